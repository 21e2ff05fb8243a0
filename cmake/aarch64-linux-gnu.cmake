# Cross-compiling the C++ tests with Debian's g++-aarch64-linux-gnu, to be run under qemu-user:
#   cmake --toolchain cmake/aarch64-linux-gnu.cmake -DIQK_PYTHON=OFF -DIQK_BUILD_TESTS=ON -DIQK_STATIC_TESTS=ON ...
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)

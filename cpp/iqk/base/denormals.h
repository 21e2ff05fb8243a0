// Denormal numbers as zeros while it lives, where the CPU would be many times slower with them: blocks of
// zeros have the smallest scale there is in some types, and that is one.
#pragma once

namespace iqk {

class FlushDenormals {
 public:
#if defined(__x86_64__)
  explicit FlushDenormals(bool flush) : saved_(__builtin_ia32_stmxcsr()) {
    if (flush) __builtin_ia32_ldmxcsr(saved_ | kResults | kOperands);
  }
  ~FlushDenormals() { __builtin_ia32_ldmxcsr(saved_); }

 private:
  static constexpr unsigned kResults = 0x8000, kOperands = 0x0040;  // bits of MXCSR: FTZ and DAZ
  unsigned saved_;
#else
  explicit FlushDenormals(bool) {}
#endif
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

}  // namespace iqk

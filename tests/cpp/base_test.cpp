// Tests of cpp/iqk/base. Prints "N passed, 0 failed" and returns 0 if all is well; timings are only printed.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "iqk/base/buffer.h"
#include "iqk/base/cpu.h"
#include "iqk/base/half.h"
#include "iqk/base/pool.h"

extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace {

using namespace iqk;

int passed = 0, failed = 0;

void check(bool ok, const char* what, int line) {
  ok ? ++passed : ++failed;
  if (!ok) std::printf("line %d: %s is false\n", line, what);
}
#define CHECK(condition) check(condition, #condition, __LINE__)

// --- half.h
// -----------------------------------------------------------------------------------------------------------

// x rounded to nearest even, as a float with `mantissa` stored bits and exponents in [lowest, highest].
double rounded(double x, int mantissa, int lowest, int highest) {
  if (x == 0 || std::isinf(x)) return x;
  const double quantum = std::ldexp(1.0, std::max(std::ilogb(x), lowest) - mantissa);
  const double y = std::nearbyint(x / quantum) * quantum;
  return std::fabs(y) < std::ldexp(1.0, highest + 1) ? y : std::copysign(INFINITY, x);
}

bool same(double a, double b) { return a == b && std::signbit(a) == std::signbit(b); }

bool fp16_encodes(float x) { return same(fp16_to_fp32(fp32_to_fp16(x)), rounded(x, 10, -14, 15)); }
bool bf16_encodes(float x) { return same(bf16_to_fp32(fp32_to_bf16(x)), rounded(x, 7, -126, 127)); }

void test_fp16() {
  static_assert(fp32_to_fp16(65519.0f) == 0x7bff && fp32_to_fp16(65520.0f) == 0x7c00);
  static_assert(fp32_to_fp16(0x1p-25f) == 0 && fp32_to_fp16(0x1.000002p-25f) == 1 &&
                fp32_to_fp16(-0.0f) == 0x8000);
  int bad_values = 0, bad_nans = 0, bad_roundings = 0;
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float x = fp16_to_fp32(static_cast<uint16_t>(half));
    const uint32_t sign = half >> 15, exponent = half >> 10 & 31, mantissa = half & 1023;
    if (exponent == 31 && mantissa != 0) {
      bad_nans += float_bits(x) != (sign << 31 | 0x7fc00000 | mantissa << 13);
      bad_nans += fp32_to_fp16(x) != (half | 0x200);
      bad_nans += fp32_to_fp16(bits_float(sign << 31 | 0x7f800000 | mantissa << 13)) != (half | 0x200);
      continue;
    }
    double value = exponent == 0    ? std::ldexp(mantissa, -24)
                   : exponent == 31 ? INFINITY
                                    : std::ldexp(1024 + mantissa, static_cast<int>(exponent) - 25);
    if (sign) value = -value;
    bad_values += !same(x, value) || fp32_to_fp16(x) != half;
    // Around x, and around the middle between x and the next value, which is a tie.
    const float next = fp16_to_fp32(static_cast<uint16_t>(half + 1));
    for (const float center : {x, std::isfinite(next) ? x + (next - x) / 2 : std::copysign(65520.0f, x)}) {
      if (!std::isfinite(center)) continue;
      for (const float y : {std::nextafter(center, -INFINITY), center, std::nextafter(center, INFINITY)}) {
        bad_roundings += !fp16_encodes(y);
      }
    }
  }
  CHECK(bad_values == 0);
  CHECK(bad_nans == 0);
  CHECK(bad_roundings == 0);
  CHECK(fp32_to_fp16(bits_float(0x7f800001)) == 0x7e00);  // NaN even if the payload's upper bits are 0
  CHECK(fp32_to_fp16(bits_float(0xff800001)) == 0xfe00);
}

void test_bf16() {
  static_assert(fp32_to_bf16(1.0f) == 0x3f80 && bf16_to_fp32(0x3f80) == 1.0f);
  int bad_values = 0, bad_roundings = 0;
  for (uint32_t upper = 0; upper < 0x10000; ++upper) {
    const uint16_t bf16 = static_cast<uint16_t>(upper);
    const bool nan = (upper & 0x7fff) > 0x7f80;
    bad_values += float_bits(bf16_to_fp32(bf16)) != upper << 16;
    bad_values += fp32_to_bf16(bf16_to_fp32(bf16)) != (nan ? upper | 0x40 : upper);
    for (const uint32_t lower : {1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const float x = bits_float(upper << 16 | lower);
      bad_roundings += std::isnan(x) ? fp32_to_bf16(x) != (upper | 0x40) : !bf16_encodes(x);
    }
  }
  CHECK(bad_values == 0);
  CHECK(bad_roundings == 0);
}

void test_random_halves() {
  std::mt19937 random(1);
  int bad = 0;
  for (int i = 0; i < 2000000; ++i) {
    const float x = bits_float(static_cast<uint32_t>(random()));
    if (!std::isnan(x)) bad += !fp16_encodes(x) + !bf16_encodes(x);
  }
  CHECK(bad == 0);
}

// --- buffer.h, cpu.h
// --------------------------------------------------------------------------------------------------

void test_buffer() {
  AlignedBuffer a;
  CHECK(a.data() == nullptr && a.size() == 0 && a.reserve(0) == nullptr);
  for (const size_t bytes : {size_t{1}, size_t{64}, size_t{65}, size_t{100000}}) {
    void* const data = a.reserve(bytes);
    std::memset(data, 1, bytes);
    CHECK(reinterpret_cast<uintptr_t>(data) % 64 == 0 && a.size() >= bytes);
  }
  void* const data = a.data();
  CHECK(a.reserve(10) == data);
  AlignedBuffer b(std::move(a));
  CHECK(b.data() == data && a.data() == nullptr);
  a = AlignedBuffer(3);
  a = std::move(b);
  CHECK(a.data() == data && b.size() == 0);
  CHECK(a.reserve_array<double>(1000) == data);
  int refused = 0;
  for (const size_t count : {SIZE_MAX, SIZE_MAX / 8, SIZE_MAX / 16}) {
    try {
      a.reserve_array<double>(count);
    } catch (const std::bad_alloc&) {
      ++refused;
    }
  }
  CHECK(refused == 3 && a.data() == data);
}

void test_cpu() {
  const CpuFeatures& f = cpu_features();
  const CacheSizes caches = cache_sizes();
  std::printf(
      "%s: avx2 %d fma %d f16c %d avxvnni %d gfni %d | avx512 f %d bw %d dq %d vl %d vnni %d vbmi %d bf16 %d "
      "| amx bf16 %d | "
      "neon %d dotprod %d i8mm %d | caches %lld %lld %lld | threads %d\n",
      cpu_name().c_str(), f.avx2, f.fma, f.f16c, f.avxvnni, f.gfni, f.avx512f, f.avx512bw, f.avx512dq,
      f.avx512vl, f.avx512vnni, f.avx512vbmi, f.avx512bf16, f.amxbf16, f.neon, f.dotprod, f.i8mm,
      static_cast<long long>(caches.l1d), static_cast<long long>(caches.l2),
      static_cast<long long>(caches.l3), default_threads());
  CHECK(!cpu_name().empty());
  CHECK(caches.l1d >= 0 && caches.l2 >= 0 && caches.l3 >= 0);
  CHECK(default_threads() >= 1);
  CHECK(default_threads() <= static_cast<int>(std::thread::hardware_concurrency()));
}

#if defined(__linux__)

// The kernel's list has what it has switched on. (Skipped if an emulator shows the list of its host.)
void test_cpu_features() {
#if defined(__x86_64__)
  const std::string key = "flags";
#else
  const std::string key = "Features";
#endif
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && line.compare(0, key.size(), key) != 0) continue;
  if (line.empty()) return;
  const auto listed = [&](const std::string& name) {
    return (line + " ").find(" " + name + " ") != std::string::npos;
  };
  const CpuFeatures& f = cpu_features();
  CHECK(f.avx2 == listed("avx2") && f.fma == listed("fma") && f.f16c == listed("f16c"));
  CHECK(f.avxvnni == listed("avx_vnni") && f.gfni == listed("gfni"));
  CHECK(f.avx512f == listed("avx512f") && f.avx512bw == listed("avx512bw") &&
        f.avx512dq == listed("avx512dq"));
  CHECK(f.avx512vl == listed("avx512vl") && f.avx512vnni == listed("avx512_vnni"));
  CHECK(f.avx512vbmi == listed("avx512vbmi") && f.avx512bf16 == listed("avx512_bf16"));
  CHECK(!f.amxbf16 || (listed("amx_tile") && listed("amx_bf16")));  // may be refused
  CHECK(f.neon == listed("asimd") && f.dotprod == listed("asimddp") && f.i8mm == listed("i8mm"));
}

void test_affinity() {
  cpu_set_t all, one;
  CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
  CHECK(default_threads() == 1);
  CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
}

void test_cgroup() {
  const std::filesystem::path root =
      std::filesystem::temp_directory_path() / ("iqk_base_test_" + std::to_string(getpid()));
  const auto write = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text << "\n";
  };
  CHECK(cgroup_cpus(root) == 0);
  write("proc/self/cgroup", "0::/a/b");
  CHECK(cgroup_cpus(root) == 0);
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000");
  CHECK(cgroup_cpus(root) == 0);
  write("sys/fs/cgroup/a/cpu.max", "250000 100000");
  CHECK(cgroup_cpus(root) == 3);
  write("sys/fs/cgroup/cpu.max", "50000 100000");
  CHECK(cgroup_cpus(root) == 1);
  write("proc/self/cgroup", "12:cpuset:/c\n4:cpu,cpuacct:/outside\n0::/nowhere");
  std::filesystem::remove(root / "sys/fs/cgroup/cpu.max");
  CHECK(cgroup_cpus(root) == 0);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  CHECK(cgroup_cpus(root) == 0);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000");
  CHECK(cgroup_cpus(root) == 4);
  std::filesystem::remove_all(root);
}

#endif

// --- pool.h
// -----------------------------------------------------------------------------------------------------------

// Every tile once, ascending within a worker; workers in range and never two threads with the same number.
bool covers(int threads, int64_t tiles) {
  const size_t workers = static_cast<size_t>(std::max(1, threads));
  std::vector<int> counts(
      static_cast<size_t>(tiles));  // not atomic, nor is `last`: the pool must order the accesses
  std::vector<int64_t> last(workers, -1);
  std::vector<std::atomic<bool>> active(workers);
  std::atomic<int> bad{0};
  parallel_for(threads, tiles, [&](int64_t tile, int worker) {
    const size_t w = static_cast<size_t>(worker);
    if (tile < 0 || tile >= tiles || w >= workers || active[w].exchange(true)) {
      ++bad;
      return;
    }
    bad += tile <= last[w];
    last[w] = tile;
    ++counts[static_cast<size_t>(tile)];
    active[w] = false;
  });
  for (const int count : counts) bad += count != 1;
  return bad == 0;
}

void test_every_tile_once() {
  CHECK(pool_threads() == 0);
  for (const int threads : {-1, 0, 1, 2, 3, 4, 9, 17}) {
    for (const int64_t tiles : {0, 1, 2, 3, 7, 64, 1000}) {
      bool ok = true;
      for (int repeat = 0; repeat < 20; ++repeat) ok = ok && covers(threads, tiles);
      CHECK(ok);
    }
  }
  CHECK(pool_threads() == 16);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // all asleep
  CHECK(covers(17, 1000));
}

void test_all_workers_take_part() {
  std::atomic<int> present{0};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  parallel_for(4, 4, [&](int64_t, int) {  // each tile keeps its thread until the others are there
    ++present;
    while (present < 4 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  CHECK(std::chrono::steady_clock::now() < deadline);
}

void test_concurrent_callers() {
  std::atomic<int> bad{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&bad, caller] {
      for (int i = 0; i < 1000; ++i) bad += !covers(2 + (caller + i) % 4, 1 + i % 50);
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(bad == 0);
}

// A call finishes although all workers are held by another one.
void test_call_beside_a_long_one() {
  const int threads = pool_threads() + 1;
  std::atomic<int> held{0};
  std::atomic<bool> release{false};
  std::thread holder([&] {
    parallel_for(threads, threads, [&](int64_t, int) {
      ++held;
      while (!release) std::this_thread::yield();
    });
  });
  while (held < threads) std::this_thread::yield();
  CHECK(covers(4, 100));
  release = true;
  holder.join();
}

void test_nested() {
  std::atomic<int> sum{0}, bad{0};
  parallel_for(4, 50, [&](int64_t, int) {
    const std::thread::id self = std::this_thread::get_id();
    parallel_for(4, 10, [&](int64_t, int worker) {
      bad += worker != 0 || std::this_thread::get_id() != self;
      ++sum;
    });
  });
  CHECK(sum == 500 && bad == 0);
}

void test_fork() {
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;  // keep the workers busy, asleep, being woken, ...
  for (int caller = 0; caller < 2; ++caller) {
    callers.emplace_back([&stop] {
      for (int i = 0; !stop; ++i) {
        covers(4, 20);
        if (i % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(80));
      }
    });
  }
  int good = 0;
  for (int i = 0; i < 30; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(300 + 37 * i));
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // instead of hanging
      bool ok = pool_threads() == 0;
      for (int repeat = 0; repeat < 20; ++repeat) ok = ok && covers(4, 100);
      _exit(ok && pool_threads() == 3 ? 0 : 1);
    }
    int status = 1;
    if (waitpid(child, &status, 0) == child) good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  CHECK(good == 30);
  CHECK(covers(4, 100));
}

void time_fork_join() {
  using Clock = std::chrono::steady_clock;
  const auto nanoseconds = [](Clock::duration d) {
    return std::chrono::duration<double, std::nano>(d).count();
  };
  for (const int threads : {2, 4}) {
    int64_t helped = 0;  // tiles not run by the caller
    const auto begin = Clock::now();
    for (int i = 0; i < 100000; ++i) {
      std::atomic<int64_t> tiles_of_others{0};
      parallel_for(threads, threads, [&](int64_t, int worker) { tiles_of_others += worker != 0; });
      helped += tiles_of_others;
    }
    std::printf("%d threads, empty tiles: %.0f ns per call, workers took %.2f tiles of %d\n", threads,
                nanoseconds(Clock::now() - begin) / 100000, static_cast<double>(helped) / 100000, threads);
  }
  // Two tiles that wait for each other: the cost if the worker does take part. Medians: the machine is
  // shared.
  for (const int pause_us : {0, 500}) {
    std::vector<double> times;
    for (int i = 0; i < (pause_us == 0 ? 20000 : 200); ++i) {
      if (pause_us != 0) std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
      std::atomic<int> present{0};
      const auto begin = Clock::now();
      parallel_for(2, 2, [&](int64_t, int) {
        ++present;
        for (int64_t spins = 0; present < 2; ++spins) {
          if (spins > 2000) std::this_thread::yield();
        }
      });
      times.push_back(nanoseconds(Clock::now() - begin));
    }
    std::sort(times.begin(), times.end());
    std::printf("2 threads that meet, worker %s: median %.0f ns, lowest %.0f ns\n",
                pause_us ? "asleep" : "awake", times[times.size() / 2], times[0]);
  }
}

}  // namespace

int main() {
  test_fp16();
  test_bf16();
  test_random_halves();
  test_buffer();
  test_cpu();
#if defined(__linux__)
  test_cpu_features();
  test_affinity();
  test_cgroup();
#endif
  test_every_tile_once();
  test_all_workers_take_part();
  test_concurrent_callers();
  test_call_beside_a_long_one();
  test_nested();
  test_fork();
  time_fork_join();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;  // with workers still awake: the exit must be clean
}

// The machine's limits, measured.
#include <algorithm>
#include <chrono>
#include <cstring>

#include "iqk/base/buffer.h"
#include "iqk/base/cpu.h"
#include "iqk/base/pool.h"
#include "iqk/dispatch/dispatch.h"

namespace iqk {

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Best time of several calls.
template <class F>
double best_time(int repetitions, F&& f) {
  double best = 1e30;
  for (int i = 0; i < repetitions; ++i) {
    const double start = seconds();
    f();
    best = std::min(best, seconds() - start);
  }
  return best;
}

double clock_ghz() {
  constexpr int64_t kAdds = 1 << 20;
  const double time = best_time(20, [] {
    uint64_t x = 1;
    for (int64_t i = 0; i < kAdds / 16; ++i)
      for (int j = 0; j < 16; ++j) {
        x += 3;
        asm volatile("" : "+r"(x));  // one add after the other
      }
  });
  return static_cast<double>(kAdds) / time * 1e-9;
}

// Operations per nanosecond of a loop of about a tenth of a millisecond.
double loop_rate(double (*loop)(int64_t)) {
  if (!loop) return 0;
  double best = 0;
  for (int i = 0; i < 40; ++i) {
    const double start = seconds(), operations = loop(20000);
    best = std::max(best, operations / (seconds() - start) * 1e-9);
  }
  return best;
}

uint64_t read_all(const uint64_t* p, size_t count) {
  uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
  for (size_t i = 0; i + 8 <= count; i += 8) {
    a |= p[i];
    b |= p[i + 1];
    c |= p[i + 2];
    d |= p[i + 3];
    e |= p[i + 4];
    f |= p[i + 5];
    g |= p[i + 6];
    h |= p[i + 7];
  }
  return a | b | c | d | e | f | g | h;
}

}  // namespace

Peaks measure_peaks(int threads) {
  const Isa& isa = current_isa();
  Peaks peaks{};
  peaks.int8_instruction = isa.kernels->int8_instruction;
  peaks.int8_gops = loop_rate(isa.kernels->int8_loop);
  peaks.float_gflops = loop_rate(isa.kernels->float_loop);
  peaks.ghz = clock_ghz();

  // Twice the last-level cache, at least 64 MiB, in pieces for the threads.
  const size_t bytes = static_cast<size_t>(std::max<int64_t>(64 << 20, 2 * cache_sizes().l3)),
               piece = 1 << 20;
  const int64_t pieces = static_cast<int64_t>(bytes / piece);
  AlignedBuffer from(bytes), to(bytes);
  uint8_t *source = static_cast<uint8_t*>(from.data()), *target = static_cast<uint8_t*>(to.data());
  std::memset(source, 1, bytes);
  std::memset(target, 2, bytes);
  volatile uint64_t sink = 0;
  const auto run = [&](auto&& body) {
    return best_time(6, [&] {
      parallel_for(threads, pieces, [&](int64_t i, int) { body(static_cast<size_t>(i) * piece); });
    });
  };
  const double gigabytes = static_cast<double>(bytes) * 1e-9;
  peaks.read_gbs = gigabytes / run([&](size_t at) {
                     const uint64_t x = read_all(reinterpret_cast<const uint64_t*>(source + at), piece / 8);
                     if (x == 0) sink = x;
                   });
  peaks.write_gbs = gigabytes / run([&](size_t at) { std::memset(target + at, 3, piece); });
  peaks.copy_gbs = 2 * gigabytes / run([&](size_t at) { std::memcpy(target + at, source + at, piece); });
  return peaks;
}

}  // namespace iqk

// The machine's limits, measured.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "iqk/base/buffer.h"
#include "iqk/base/cpu.h"
#include "iqk/base/pool.h"
#include "iqk/dispatch/dispatch.h"

namespace iqk {

namespace {

constexpr size_t kPiece = 1 << 20;  // bytes that a thread takes at a time

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
    uint64_t x = 1, step = 3;
    for (int64_t i = 0; i < kAdds / 16; ++i)
      for (int j = 0; j < 16; ++j) {
        x += step;
        // One add after the other, and of registers: some CPUs do several additions of constants in one
        // cycle.
        asm volatile("" : "+r"(x), "+r"(step));
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

uint64_t read_line(const uint64_t* p) { return p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7]; }

// Reads lines of as many parts as there are numbers, one of each in turn: hardware follows each stream on its
// own.
template <size_t... stream>
uint64_t read_streams(const uint64_t* p, size_t count, int64_t ahead, std::index_sequence<stream...>) {
  const size_t part = count / sizeof...(stream);
  uint64_t seen = 0;
  for (size_t i = 0; i < part; i += 8) {
    if (ahead != 0) (__builtin_prefetch(p + stream * part + i + ahead / 8), ...);
    seen |= (read_line(p + stream * part + i) | ...);
  }
  return seen;
}

}  // namespace

Peaks measure_peaks(int threads) {
  const Isa& isa = current_isa();
  Peaks peaks{};
  peaks.int8_instruction = isa.kernels->int8_instruction;
  peaks.int8_gops = loop_rate(isa.kernels->int8_loop);
  peaks.float_gflops = loop_rate(isa.kernels->float_loop);
  if (isa.tiles) {
    peaks.tile_instruction = isa.tiles->instruction;
    peaks.tile_gflops = loop_rate(isa.tiles->loop);
  }
  peaks.ghz = clock_ghz();

  // Twice the last-level cache, at least 64 MiB, in pieces for the threads. A copy goes from one half
  // to the other.
  const size_t bytes =
      static_cast<size_t>(std::max<int64_t>(64 << 20, 2 * cache_sizes().l3)) / (2 * kPiece) * (2 * kPiece);
  AlignedBuffer buffer(bytes);
  uint8_t* const data = static_cast<uint8_t*>(buffer.data());
  std::memset(data, 1, bytes);
  // Bytes per nanosecond of the best of so many passes over the first `range` bytes.
  const auto rate = [&](int passes, size_t range, auto&& body) {
    const double time = best_time(passes, [&] {
      parallel_for(threads, static_cast<int64_t>(range / kPiece),
                   [&](int64_t i, int) { body(data + static_cast<size_t>(i) * kPiece); });
    });
    return static_cast<double>(range) / time * 1e-9;
  };
  volatile uint64_t sink = 0;
  const auto read_rate = [&](int64_t ahead, auto streams) {
    return rate(3, bytes, [&](const uint8_t* at) {
      const uint64_t seen = read_streams(reinterpret_cast<const uint64_t*>(at), kPiece / 8, ahead, streams);
      if (seen == 0) sink = seen;
    });
  };
  // How many streams a core reads fastest differs, and whether it has to ask for them ahead.
  const int64_t ahead = cpu_fetch_distance();
  peaks.read_gbs =
      std::max({read_rate(0, std::make_index_sequence<1>()), read_rate(0, std::make_index_sequence<2>()),
                read_rate(0, std::make_index_sequence<4>()), read_rate(0, std::make_index_sequence<8>())});
  if (ahead != 0)
    peaks.read_gbs = std::max({peaks.read_gbs, read_rate(ahead, std::make_index_sequence<1>()),
                               read_rate(ahead, std::make_index_sequence<2>())});
  peaks.write_gbs = rate(6, bytes, [](uint8_t* at) { std::memset(at, 3, kPiece); });
  peaks.copy_gbs = 2 * rate(6, bytes / 2, [&](uint8_t* at) { std::memcpy(at + bytes / 2, at, kPiece); });
  return peaks;
}

}  // namespace iqk

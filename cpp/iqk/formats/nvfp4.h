// NVFP4: 64 weights, four E4M3 scales, E2M1 codes; of each 16, the first 8 are the low nibbles.
#pragma once

#include "iqk/formats/mxfp4.h"

namespace IQK_NS {

struct NVFP4 : NVFP4_facts, VectorDefaults {
  static constexpr int kLargest = 12;
  static void unpack(In in, Unit& u) {
    for (int t = 0; t < 16; ++t) {
      const uint8_t* block = in.block + t / 4 * kBytes;
      u.scale[t] = scale(block[t % 4]);
      split_nibbles<8>(block + 4 + t % 4 * 8, u.q + 16 * t);
    }
    look_up(kMxfp4, u.q, 256);
  }

  // Half the E4M3 value: the other half is in the codes' table. The sign is ignored, and NaN is zero.
  IQK_INLINE float scale(int e4m3) {
    const int exponent = e4m3 >> 3 & 15, mantissa = e4m3 & 7;
    if ((e4m3 & 127) == 127) return 0;
    const int x = exponent ? (8 + mantissa) << exponent : mantissa << 1;
    return static_cast<float>(x) * (1.0f / 2048);
  }

  // A lane has a block: the first two groups of 16 weights, then the others.
  static constexpr int kMax = MXFP4::kMax, kScales = 16, kAccumulators = 2, kStreams = 1;
  static constexpr float kOffset = MXFP4::kOffset;
  static constexpr int accumulator(int v) { return v / 2; }
  static constexpr int order(int v, int x) {
    return 64 * (x / 16) + 32 * (v / 2) + 16 * (x % 16 / 8) + 8 * (v % 2) + x % 8;
  }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const Bytes levels = load_broadcast(kMxfp4) + splat(static_cast<int>(kOffset));
    put_nibbles({load_lanes(in.block + 4, kBytes), load_lanes(in.block + 20, kBytes)}, levels, put);
  }
  // As fp16, whose exponents are eight less, without the sign; NaN becomes zero.
  IQK_INLINE Floats<16> scales(In in) {
    const auto two = [&](int b) IQK_LAMBDA {
      const uint64_t next = read<uint32_t>(in.block + (b + 1) * kBytes);
      const uint64_t x = (read<uint32_t>(in.block + b * kBytes) | next << 32) & 0x7f7f7f7f7f7f7f7f;
      const uint64_t nan = (x + 0x0101010101010101) >> 7 & 0x0101010101010101;
      return shl16<7>(zip_lo8(small_of(x & ~(nan * 127), 0), small_splat(0)));
    };
    return floats_f16(two(0), two(2)) * fsplat<16>(128);
  }
};

}  // namespace IQK_NS

// NVFP4: 64 weights, four E4M3 scales, E2M1 codes; of each 16, the first 8 are the low nibbles.
#pragma once

#include "iqk/formats/mxfp4.h"

namespace IQK_NS {

struct NVFP4 : NVFP4_facts {
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
};

}  // namespace IQK_NS

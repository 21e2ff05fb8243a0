// MXFP4: 32 weights, power-of-two scale, E2M1 codes in split nibbles.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

// Twice the E2M1 values; the scale has the half.
static constexpr int8_t kMxfp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

struct MXFP4 : MXFP4_facts, SplitBlocks<17, 1> {
  static void unpack(In in, Unit& u) {
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      u.scale[2 * b] = u.scale[2 * b + 1] = scale(p[0]);
      split_nibbles(p + 1, u.q + 32 * b);
    }
    look_up(kMxfp4, u.q, 256);
  }

  // 2^(e - 128), by its bits; the first two are subnormal.
  IQK_INLINE float scale(int e) {
    return bits_float(e < 2 ? 0x200000u << e : static_cast<uint32_t>(e - 1) << 23);
  }

  static constexpr int kMax = 24;
  static constexpr float kOffset = 12;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_nibbles(nibbles(in), load_broadcast(kMxfp4) + splat(12), put);
  }
  IQK_INLINE Floats<8> scales(In in) { return strided_powers<17>(in.block); }
};

}  // namespace IQK_NS

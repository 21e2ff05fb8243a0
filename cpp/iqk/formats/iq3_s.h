// IQ3_S: 256 weights, fp16 scale, 9-bit grid indices of 4 in two parts, signs, 4-bit scales of 32.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/grid_vectors.h"

namespace IQK_NS {

struct IQ3_S : IQ3_S_facts, GroupOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p);
    for (int t = 0; t < 16; ++t) u.scale[t] = d * static_cast<float>(2 * field<4>(p + 106, t / 2) + 1);
    for (int n = 0; n < 64; ++n) {
      const int index = p[2 + n] | field<1>(p + 66, n) << 8;
      put_signed(u.q + 4 * n, kIq3sGrid[index], kIq3sBias, field<4>(p + 74, n));
    }
  }

  static constexpr int kMax = kIq3sBias + 15, kIndexWords = 64;
  static constexpr float kOffset = kIq3sBias;
  IQK_INLINE void indices(In in, uint16_t* to) { first_grid4_parts(kIq3s, in.block + 2, in.block + 66, to); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    grid4_words(kIq3s, in.index, load_signs(in.block + 74), put);
  }
  static constexpr bool kLaneScales = kGridLaneScales;
  IQK_INLINE Floats<16> lane_scales(In in) {
    return odd_nibble_lanes<0>(in.block + 106) * splat_half<16>(in.block);
  }
  IQK_INLINE Floats<8> scales(In in) { return odd_nibbles<8, 0>(in.block + 106) * splat_half<8>(in.block); }
};

}  // namespace IQK_NS

// IQ3_XXS: 256 weights, fp16 scale, grid indices of 4; per 32 four 7-bit sign fields and a 4-bit scale.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/grid_vectors.h"

namespace IQK_NS {

struct IQ3_XXS : IQ3_XXS_facts, GroupOrder {
  static void unpack(In in, Unit& u) {
    const float d = half(in.block) / 4;
    for (int b = 0; b < 8; ++b) {
      const uint32_t word = read<uint32_t>(in.block + 66 + 4 * b);
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(2 * (word >> 28) + 1);
      for (int r = 0; r < 8; ++r) {
        const int signs = even_signs(word >> 7 * (r / 2) & 127) >> 4 * (r % 2);
        put_signed(u.q + 32 * b + 4 * r, kIq3xxsGrid[in.block[2 + 8 * b + r]], kIq3xxsBias, signs);
      }
    }
  }

  static constexpr int kMax = kIq3xxsBias + 62;
  static constexpr float kOffset = kIq3xxsBias;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    grid4_bytes(kIq3xxs, in.block + 2, load_sign_fields<4>(in.block + 66), put);
  }
  static constexpr bool kLaneScales = kGridLaneScales;
  IQK_INLINE Floats<16> lane_scales(In in) {
    return odd_upper_lanes<4, 2>(in.block + 66) * splat_half<16>(in.block);
  }
  IQK_INLINE Floats<8> scales(In in) { return odd_upper_bits<4, 2>(in.block + 66) * splat_half<8>(in.block); }
};

}  // namespace IQK_NS

// IQ2_XXS: 256 weights, fp16 scale; per 32 four grid indices, four 7-bit sign fields and a 4-bit scale.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/grid_vectors.h"

namespace IQK_NS {

struct IQ2_XXS : IQ2_XXS_facts, GroupOrder {
  static void unpack(In in, Unit& u) {
    const float d = half(in.block) / 8;
    for (int b = 0; b < 8; ++b) {
      const uint8_t* index = in.block + 2 + 8 * b;
      const uint32_t word = read<uint32_t>(index + 4);
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(2 * (word >> 28) + 1);
      for (int l = 0; l < 4; ++l)
        put_signed(u.q + 32 * b + 8 * l, kIq2xxsGrid[index[l]], kIq2Bias, even_signs(word >> 7 * l & 127));
    }
  }

  static constexpr int kMax = kIq2Bias + 43, kIndexWords = grid8_index_words(32);
  static constexpr float kOffset = kIq2Bias;
  static constexpr bool kIndexPairs = true;
  IQK_INLINE void indices(In in, In next, uint16_t* to) {
    first_grid8_bytes(kIq2xxs, in.block + 2, next.block + 2, to);
  }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    grid8_bytes(kIq2xxs, in.block + 2, in.index, load_sign_fields<8>(in.block + 6), put);
  }
  static constexpr bool kLaneScales = kGridLaneScales;
  IQK_INLINE Floats<16> lane_scales(In in) {
    return odd_upper_lanes<8, 3>(in.block + 6) * splat_half<16>(in.block);
  }
  IQK_INLINE Floats<8> scales(In in) { return odd_upper_bits<8, 3>(in.block + 6) * splat_half<8>(in.block); }
};

}  // namespace IQK_NS

// IQ2_XS: 256 weights, fp16 scale, 9-bit grid indices with 7-bit sign fields, 4-bit scales of 16.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/grid_vectors.h"

namespace IQK_NS {

struct IQ2_XS : IQ2_XS_facts, GroupOrder16 {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p) / 8;
    for (int t = 0; t < 16; ++t) u.scale[t] = d * static_cast<float>(2 * field<4>(p + 66, t) + 1);
    for (int g = 0; g < 32; ++g) {
      const uint32_t word = read<uint16_t>(p + 2 + 2 * g);
      put_signed(u.q + 8 * g, kIq2xsGrid[word & 511], kIq2Bias, even_signs(word >> 9));
    }
  }

  static constexpr int kMax = kIq2Bias + 43, kIndexWords = 32;
  static constexpr float kOffset = kIq2Bias;
  static constexpr bool kIndexPairs = true;
  IQK_INLINE void indices(In in, In next, uint16_t* to) {
    first_grid8_words(kIq2xs, load(in.block + 2), load(next.block + 2), to);
  }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    grid8_words(kIq2xs, in.index, load_sign_words(in.block + 2), put);
  }
  IQK_INLINE Floats<16> scales(In in) { return odd_nibbles<16, 3>(in.block + 66) * splat_half<16>(in.block); }
};

}  // namespace IQK_NS

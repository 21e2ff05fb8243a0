// IQ2_XXS_R4: four rows of IQ2_XXS; signs re-coded, with a bit of the scale below each seven.
#pragma once

#include "iqk/formats/grid_tiles.h"
#include "iqk/formats/iq2_xxs.h"

namespace IQK_NS {

struct IQ2_XXS_R4 : Interleaved<IQ2_XXS_R4, IQ2_XXS, IQ2_XXS_R4_facts>, GridTrait<GroupOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int b = 0; b < 8; ++b) {
      const int word = 6 + 8 * b, to = 8 + 16 * b + 4 * row;
      for (int l = 0; l < 4; ++l) {
        m.bits(word + 3, 4 + l, to + l, 0, 1);
        m.signs(word + 7 * l / 8, 7 * l % 8, to + l);
      }
      m.quad({2 + 8 * b, 0}, {to + 128, 0}, 8);
    }
  }

  static constexpr int kMax = IQ2_XXS::kMax;
  static constexpr float kOffset = IQ2_XXS::kOffset;
  IQK_INLINE GridGroup open(In in) { return open_signs_and_scales(in); }
  template <int R, class Put>
  IQK_INLINE void codes(const GridRow<R>& row, Put put) {
    const Signs signs = load_signs(row.bits);
    unroll<4>([&](auto l) IQK_LAMBDA {
      const Bytes x =
          grid8(kIq2xxsGrid, [&](auto b) IQK_LAMBDA { return row.in.block[136 + 16 * b + 4 * R + l]; });
      put(l, flip_signs<decltype(l)::value>(x, signs, 2 * kIq2Bias));
    });
  }
  template <int R>
  IQK_INLINE Floats<8> scales(const GridRow<R>& row) {
    return odd_scales(row.numbers) * (splat_half<8>(row.in.block + 2 * R) * fsplat<8>(0.125f));
  }
};

}  // namespace IQK_NS

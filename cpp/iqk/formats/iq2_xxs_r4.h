// IQ2_XXS_R4: four rows of IQ2_XXS; signs re-coded, with a bit of the scale below each seven.
#pragma once

#include "iqk/formats/grid_tiles.h"
#include "iqk/formats/iq2_xxs.h"

namespace IQK_NS {

struct IQ2_XXS_R4 : Interleaved<IQ2_XXS_R4, IQ2_XXS, IQ2_XXS_R4_facts>,
                    SignedGridTrait<IQ2_XXS_R4, GroupOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int b = 0; b < 8; ++b) {
      move_signs_and_scale(m, 6 + 8 * b, 8 + 16 * b + 4 * row);
      m.quad({2 + 8 * b, 0}, {136 + 16 * b + 4 * row, 0}, 8);
    }
  }

  static constexpr int kMax = IQ2_XXS::kMax, kIndexWords = grid8_index_words(128);
  static constexpr float kOffset = IQ2_XXS::kOffset;
  IQK_INLINE void indices(In in, uint16_t* to) { first_grid8_tile_bytes(kIq2xxs, in.block + 136, to); }
  IQK_INLINE GridGroup group(In in) { return signs_and_scales(in); }
  template <int R, class Put>
  IQK_INLINE void codes(const GridRow<R>& row, Put put) {
    grid8_tile_bytes<R>(kIq2xxs, row.in.block + 136, row.in.index, load_signs(row.bits), put);
  }
  template <int R, class Put>
  IQK_INLINE void codes(const RowInTile<R>& row, Put put) {
    grid8_tile_bytes<R>(kIq2xxs, row.in.block + 136, row.in.index, recoded_row_signs<R>(row.in.block + 8),
                        put);
  }
  static constexpr bool kLaneScales = kReadsTiles;
  template <int R>
  IQK_INLINE Floats<16> lane_scales(const RowInTile<R>& row) {
    return odd_bit_lanes<R, 3>(row.in.block + 8) * splat_half<16>(row.in.block + 2 * R);
  }
  template <int R>
  IQK_INLINE Floats<8> scales(const RowInTile<R>& row) {
    return odd_bits<R, 3>(row.in.block + 8) * splat_half<8>(row.in.block + 2 * R);
  }
  template <int R>
  IQK_INLINE Floats<8> scales(const GridRow<R>& row) {
    return odd_scales(row.numbers) * (splat_half<8>(row.in.block + 2 * R) * fsplat<8>(0.125f));
  }
};

}  // namespace IQK_NS

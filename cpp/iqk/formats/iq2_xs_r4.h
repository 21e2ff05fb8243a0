// IQ2_XS_R4: four rows of IQ2_XS; signs re-coded.
#pragma once

#include "iqk/formats/grid_tiles.h"
#include "iqk/formats/iq2_xs.h"

namespace IQK_NS {

struct IQ2_XS_R4 : Interleaved<IQ2_XS_R4, IQ2_XS, IQ2_XS_R4_facts>, SignedGridTrait<IQ2_XS_R4, GroupOrder16> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int b = 0; b < 8; ++b) {
      for (int l = 0; l < 4; ++l) {
        const int from = 2 + 2 * (4 * b + l), to = 8 + 2 * (16 * b + 4 * row + l);
        m.bytes(from, to, 1);
        m.bits(from + 1, 0, to + 1, 0, 1);
        m.signs(from + 1, 1, to + 1);
      }
      m.number(66 + b, 0, 264 + 4 * b + row, 0, 8);
    }
  }

  static constexpr int kMax = IQ2_XS::kMax, kIndexWords = 128;
  static constexpr float kOffset = IQ2_XS::kOffset;

  static constexpr BytePattern kUpperBytes = byte_pattern([](int, int y) { return y < 8 ? 2 * y + 1 : 128; });

  IQK_INLINE void indices(In in, uint16_t* to) { first_grid8_tile_words(kIq2xs, in.block + 8, to); }
  IQK_INLINE GridGroup group(In in) {
    GridGroup g;
    g.in = in;
    g.numbers = row_numbers8(in.block + 264);
    put_bits(four_signs(in.block + 8), four_signs(in.block + 136), g.bits);
    return g;
  }
  // Of four sub-blocks, a lane each: the upper bytes of the words of all rows.
  IQK_INLINE Bytes four_signs(const uint8_t* p) {
    const Bytes first = lookup(load(p), load(kUpperBytes)), second = lookup(load(p + 64), load(kUpperBytes));
    return recoded_signs(zip_lo64(even_lanes(first, second), odd_lanes(first, second)));
  }
  template <int R, class Put>
  IQK_INLINE void codes(const RowInTile<R>& row, Put put) {
    grid8_tile_words<R>(kIq2xs, row.in.index, recoded_word_row_signs<R>(row.in.block + 8), put);
  }
  template <int R, class Put>
  IQK_INLINE void codes(const GridRow<R>& row, Put put) {
    grid8_tile_words<R>(kIq2xs, row.in.index, load_signs(row.bits), put);
  }
  template <int R>
  IQK_INLINE Floats<16> scales(const RowInTile<R>& row) {
    return odd_row_nibbles<R, 3>(row.in.block + 264) * splat_half<16>(row.in.block + 2 * R);
  }
  template <int R>
  IQK_INLINE Floats<16> scales(const GridRow<R>& row) {
    return odd_nibble_scales(row.numbers) * (splat_half<16>(row.in.block + 2 * R) * fsplat<16>(0.125f));
  }
};

}  // namespace IQK_NS

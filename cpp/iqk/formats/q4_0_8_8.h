// Q4_0_8_8: eight rows of Q4_0 as signed nibbles; runs of eight code bytes of a row.
#pragma once

#include "iqk/formats/q4_0_4_4.h"

namespace IQK_NS {

struct Q4_0_8_8 : SignedNibbleRuns<Q4_0_8_8, Q4_0_8_8_facts, 8, EightByteOrder> {
  struct Tile {
    EightByteTile<kStride, 8> lower, upper;
    template <int R>
    IQK_MEMBER TwoVectors row(Constant<R>) const {
      return (R < 4 ? lower : upper).row(Constant<R % 4>{});
    }
  };
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {{EightByteTile<kStride, 8>(in.block + 16), EightByteTile<kStride, 8>(in.block + 48)},
            splat(0),
            in.block};
  }
  template <int R>
  IQK_INLINE TileRow<TwoVectors> row(const TileGroup<Tile>& g, Constant<R> r) {
    return {{lane<0>(g.numbers), g.d + 2 * R, 0}, g.tile.row(r)};
  }
};

}  // namespace IQK_NS

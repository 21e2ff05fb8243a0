// Q5_0_R4: four rows of Q5_0.
#pragma once

#include "iqk/formats/q5_0.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct Q5_0_R4 : Interleaved<Q5_0_R4, Q5_0, Q5_0_R4_facts>, TileTrait<Q5_0, NibbleOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int u = 0; u < 8; ++u) m.spread({2 + u / 2, 4 * (u % 2)}, {8 + 4 * row, kOrderD[u]});
    move_codes(m, 1, NearNibbles{6}, NibbleTile{24, row});
  }

  static constexpr int kStride = kBytes * kRows;
  using Tile = TileAndHigh<NibbleRows<kStride>, BitRows<1, kStride>>;
  IQK_INLINE TileGroup<Tile> open(In in) { return {{in.block + 24, in.block + 8}, splat(0), in.block}; }
  template <class Put>
  IQK_INLINE void codes(const TileRow<CodesAndHigh<TwoVectors>>& row, Put put) {
    each_five_bits_d(row.codes, put);
  }

  IQK_INLINE Floats<8> scales(const RowPlace& row) { return strided_halves<kStride>(row.d); }
};

}  // namespace IQK_NS

// Q2_K_R4: four rows of Q2_K.
#pragma once

#include "iqk/formats/q2_k.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct Q2_K_R4 : Interleaved<Q2_K_R4, Q2_K, Q2_K_R4_facts>, TileTrait<Q2_K, PairTileOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(80, 2 * row, 2);
    m.bytes(82, 8 + 2 * row, 2);
    for (int t = 0; t < 16; ++t) m.number(t, 0, 16 + 4 * t + row, 0, 8);
    move_codes(m, 8, BitPairs{16}, PairTile{80, row});
  }

  using Tile = PairRows;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {Tile(in.block + 80), row_numbers(load(in.block + 16)), in.block};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<Bytes>& row, Put put) {
    put_bit_pairs(row.codes, put);
  }

  IQK_INLINE Floats<16> scales(const RowPlace& row) {
    return floats_u8<16>(row.numbers & small_splat(15)) * splat_half<16>(row.d);
  }
  IQK_INLINE Floats<16> minima(const RowPlace& row) {
    return floats_u8<16>(shr16<4>(row.numbers) & small_splat(15)) *
           (splat_half<16>(row.d + 8) * fsplat<16>(-1));
  }
};

}  // namespace IQK_NS

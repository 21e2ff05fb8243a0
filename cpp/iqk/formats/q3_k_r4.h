// Q3_K_R4: four rows of Q3_K.
#pragma once

#include "iqk/formats/q3_k.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct Q3_K_R4 : Interleaved<Q3_K_R4, Q3_K, Q3_K_R4_facts>, TileTrait<Q3_K, PairTileOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(108, 2 * row, 2);
    move_numbers(m, 16, List<2>{104, 4}, List<2>{8, 16, row, 4});
    move_numbers(m, 16, List<4>{96, 8}, List<4>{24, 32, row, 4});
    move_codes(m, 8, SingleBits{0}, BitTile{56, row, kOrderA});
    move_codes(m, 8, BitPairs{32}, PairTile{184, row});
  }

  using Tile = TileAndHigh<PairRows, BitRows<4>>;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {{in.block + 184, in.block + 56},
            row_numbers(six_bit_list(in.block + 24, in.block + 8) - splat(32)),
            in.block};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<CodesAndHigh<Bytes>>& row, Put put) {
    unroll<4>([&](auto v) IQK_LAMBDA { put(v, three_bits<decltype(v)::value>(row.codes)); });
  }
};

}  // namespace IQK_NS

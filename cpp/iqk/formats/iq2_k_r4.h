// IQ2_K_R4: four rows of IQ2_K.
#pragma once

#include "iqk/formats/iq2_k.h"
#include "iqk/formats/iqk_r4.h"

namespace IQK_NS {

struct IQ2_K_R4 : Interleaved<IQ2_K_R4, IQ2_K, IQ2_K_R4_facts>, TileTrait<IQ2_K, PairTileOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_scale_and_shifts(m, row);
    move_numbers(m, 16, Fields<4>{4}, List<4>{16, 32, row, 4});
    move_codes(m, 8, BitPairs{12}, PairTile{48, row});
  }

  using Tile = PairRows;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {Tile(in.block + 48), row_numbers(four_bit_list(in.block + 16) - splat(8)), in.block,
            load_shifts(in.block)};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<Bytes>& row, Put put) {
    look_up_pairs(row.codes, kIq2Levels, put);
  }
};

}  // namespace IQK_NS

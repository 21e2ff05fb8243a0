// IQ5_K_R4: four rows of IQ5_K.
#pragma once

#include "iqk/formats/iq5_k.h"
#include "iqk/formats/iqk_r4.h"

namespace IQK_NS {

struct IQ5_K_R4 : Interleaved<IQ5_K_R4, IQ5_K, IQ5_K_R4_facts>, TileTrait<IQ5_K, NibbleOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_scale_and_shifts(m, row);
    move_numbers(m, 16, Fields<2>{4}, List<2>{16, 16, row, 4});
    move_numbers(m, 16, Fields<4>{8}, List<4>{32, 32, row, 4});
    move_codes(m, 8, FarNibbles{16}, NibbleTile{64, row});
    move_codes(m, 8, SingleBits{144}, BitTile{576, row, kOrderC});
  }

  using Tile = TileAndHigh<NibbleRows<>, BitRows<2>>;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {{in.block + 64, in.block + 576}, six_bit_row_scales(in.block), in.block, load_shifts(in.block)};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<CodesAndHigh<TwoVectors>>& row, Put put) {
    const Table32 levels = load_table32(kIq5nl[0]);
    each_five_bits_c(row.codes, [&](auto v, Bytes x) IQK_LAMBDA { put(v, signed_codes(lookup(levels, x))); });
  }
};

}  // namespace IQK_NS

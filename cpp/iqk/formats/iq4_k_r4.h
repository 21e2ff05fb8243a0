// IQ4_K_R4: four rows of IQ4_K.
#pragma once

#include "iqk/formats/iq4_k.h"
#include "iqk/formats/iqk_r4.h"

namespace IQK_NS {

struct IQ4_K_R4 : Interleaved<IQ4_K_R4, IQ4_K, IQ4_K_R4_facts>, TileTrait<IQ4_K, NibbleOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_scale_and_shifts(m, row);
    move_numbers(m, 16, Fields<2>{4}, List<2>{16, 16, row, 4});
    move_numbers(m, 16, Fields<4>{8}, List<4>{32, 32, row, 4});
    move_codes(m, 8, NearNibbles{16}, NibbleTile{64, row});
  }

  using Tile = NibbleRows<>;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {Tile(in.block + 64), six_bit_row_scales(in.block), in.block, load_shifts(in.block)};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<TwoVectors>& row, Put put) {
    put_nibbles(row.codes, signed_codes(load_broadcast(kIq4k[0])), put);
  }
};

}  // namespace IQK_NS

// IQ4_KS_R4: four rows of IQ4_KS.
#pragma once

#include "iqk/formats/iq4_ks.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct IQ4_KS_R4 : Interleaved<IQ4_KS_R4, IQ4_KS, IQ4_KS_R4_facts>, TileTrait<IQ4_KS, NibbleOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_numbers(m, 8, Fields<8>{0}, List<8>{0, 32, row, 4});
    move_codes(m, 8, NearNibbles{8}, NibbleTile{32, row});
  }

  using Tile = NibbleRows<>;
  IQK_INLINE TileGroup<Tile> open(In in) { return {Tile(in.block + 32), row_numbers8(in.block), in.block}; }
  template <class Put>
  IQK_INLINE void codes(const TileRow<TwoVectors>& row, Put put) {
    put_nibbles(row.codes, signed_codes(load_broadcast(kIq4k[0])), put);
  }

  // Bits 1-7 of the numbers: odd scales, twice the field minus 127. Bit 0: the shift.
  IQK_INLINE Floats<8> scales(const RowPlace& row) {
    return floats_i8<8>((row.numbers & small_splat(254)) - small_splat(127));
  }
  IQK_INLINE uint32_t shifts(const RowPlace& row) { return bit_of_bytes(low64(row.numbers), 0); }
};

}  // namespace IQK_NS

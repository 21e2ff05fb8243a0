// IQ5_KS_R4: four rows of IQ5_KS.
#pragma once

#include "iqk/formats/iq5_ks.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct IQ5_KS_R4 : Interleaved<IQ5_KS_R4, IQ5_KS, IQ5_KS_R4_facts>, TileTrait<IQ5_KS, NibbleOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_numbers(m, 8, Fields<8>{0}, List<8>{0, 32, row, 4});
    move_codes(m, 8, FarNibbles{8}, NibbleTile{32, row});
    move_codes(m, 8, SingleBits{136}, BitTile{544, row, kOrderC});
  }

  using Tile = TileAndHigh<NibbleRows<>, BitRows<2>>;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {{in.block + 32, in.block + 544}, row_numbers8(in.block), in.block};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<CodesAndHigh<TwoVectors>>& row, Put put) {
    const Table32 levels = load_table32(kIq5nl[0]);
    each_five_bits_c(row.codes, [&](auto v, Bytes x) IQK_LAMBDA { put(v, signed_codes(lookup(levels, x))); });
  }

  // Bits 1-7 of the numbers: odd scales, twice the field minus 127. Bit 0: the shift.
  IQK_INLINE Floats<8> scales(const RowPlace& row) {
    return floats_i8<8>((row.numbers & small_splat(254)) - small_splat(127));
  }
  IQK_INLINE uint32_t shifts(const RowPlace& row) { return bit_of_bytes(low64(row.numbers), 0); }
};

}  // namespace IQK_NS

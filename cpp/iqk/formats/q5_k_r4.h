// Q5_K_R4: four rows of Q5_K.
#pragma once

#include "iqk/formats/q4_k_r4.h"
#include "iqk/formats/q5_k.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct Q5_K_R4 : Interleaved<Q5_K_R4, Q5_K, Q5_K_R4_facts>, TileTrait<Q5_K, NibbleOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    Q4_K_R4::map_scales(m, row);
    move_codes(m, 8, SingleBits{16}, BitTile{64, row, kOrderB});
    move_codes(m, 8, FarNibbles{48}, NibbleTile{192, row});
  }

  using Tile = TileAndHigh<NibbleRows<>, BitRows<4>>;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {{in.block + 192, in.block + 64}, Q4_K_R4::six_bit_numbers(in.block), in.block};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<CodesAndHigh<TwoVectors>>& row, Put put) {
    each_five_bits_b(row.codes, put);
  }

  static constexpr bool kScalesAndMinima = kWholeFloats;
  IQK_INLINE Floats<16> scales_and_minima(const RowPlace& row) { return Q4_K_R4::scales_and_minima(row); }
  IQK_INLINE Floats<8> scales(const RowPlace& row) { return Q4_K_R4::scales(row); }
  IQK_INLINE Floats<8> minima(const RowPlace& row) { return Q4_K_R4::minima(row); }
};

}  // namespace IQK_NS

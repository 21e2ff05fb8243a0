// IQ4_NL_R4: four rows of IQ4_NL.
#pragma once

#include "iqk/formats/iq4_nl.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct IQ4_NL_R4 : Interleaved<IQ4_NL_R4, IQ4_NL, IQ4_NL_R4_facts>, TileTrait<IQ4_NL, NibbleOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    move_codes(m, 1, NearNibbles{2}, NibbleTile{8, row});
  }

  static constexpr int kStride = kBytes * kRows;
  using Tile = NibbleRows<kStride>;
  IQK_INLINE TileGroup<Tile> open(In in) { return {Tile(in.block + 8), splat(0), in.block}; }
  template <class Put>
  IQK_INLINE void codes(const TileRow<TwoVectors>& row, Put put) {
    put_nibbles(row.codes, signed_codes(load_broadcast(kIq4k[0])), put);
  }

  IQK_INLINE Floats<8> scales(const RowPlace& row) { return strided_halves<kStride>(row.d); }
};

}  // namespace IQK_NS

// Q6_0_R4: four rows of Q6_0.
#pragma once

#include "iqk/formats/q6_0.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct Q6_0_R4 : Interleaved<Q6_0_R4, Q6_0, Q6_0_R4_facts>, TileTrait<Q6_0, NibbleOrder> {
  struct HighPairs {
    static constexpr int kBits = 2;
    IQK_MEMBER Place operator()(int, int u) const { return {2 + 4 * (u % 2), 4 * (u / 2 % 2) + 2 * (u / 4)}; }
  };
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    move_codes(m, 1, HighPairs{}, PairTile{8, row});
    move_codes(m, 1, NearNibbles{10}, NibbleTile{40, row});
  }

  static constexpr int kStride = kBytes * kRows;
  using Tile = TileAndHigh<NibbleRows<kStride>, TwoRuns<kStride>>;
  IQK_INLINE TileGroup<Tile> open(In in) { return {{in.block + 40, in.block + 8}, splat(0), in.block}; }
  template <class Put>
  IQK_INLINE void codes(const TileRow<CodesAndHigh<TwoVectors>>& row, Put put) {
    const Bytes high = row.codes.high;  // quads 0, 1, 2, 3 from the lowest bits up
    put(Constant<0>{}, nibble<0>(row.codes.low) | shl16<4>(bit_pair<0>(high)));
    put(Constant<1>{}, nibble<1>(row.codes.low) | shl16<4>(bit_pair<2>(high)));
    put(Constant<2>{}, nibble<2>(row.codes.low) | shl16<4>(bit_pair<1>(high)));
    put(Constant<3>{}, nibble<3>(row.codes.low) | shl16<4>(bit_pair<3>(high)));
  }

  IQK_INLINE Floats<8> scales(const RowPlace& row) { return strided_halves<kStride>(row.d); }
};

}  // namespace IQK_NS

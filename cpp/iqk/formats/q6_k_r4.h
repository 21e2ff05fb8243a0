// Q6_K_R4: four rows of Q6_K.
#pragma once

#include "iqk/formats/q6_k.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct Q6_K_R4 : Interleaved<Q6_K_R4, Q6_K, Q6_K_R4_facts>, TileTrait<Q6_K, NibbleOrder> {
  struct Nibbles {
    static constexpr int kBits = 4;
    IQK_MEMBER Place operator()(int b, int u) const {
      return {64 * (b / 4) + 32 * (b % 2) + 4 * u, 4 * (b / 2 % 2)};
    }
  };
  // A pair tile with the quads of a byte in the order 0, 2, 1, 3.
  struct HighPairTile {
    static constexpr int kBits = 2;
    int at, row;
    IQK_MEMBER Place operator()(int b, int u) const {
      return {at + 32 * b + 16 * (u / 4) + 4 * row, 4 * (u % 2) + 2 * (u / 2 % 2)};
    }
  };
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(208, 2 * row, 2);
    for (int t = 0; t < 16; ++t) m.number(192 + t, 0, 8 + 4 * t + row, 0, 8);
    move_codes(m, 8, BitPairs{128}, HighPairTile{72, row});
    move_codes(m, 8, Nibbles{}, NibbleTile{328, row});
  }

  using Tile = TileAndHigh<NibbleRows<>, PairRows>;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {{in.block + 328, in.block + 72}, row_numbers(load(in.block + 8)), in.block};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<CodesAndHigh<TwoVectors>>& row, Put put) {
    unroll<4>([&](auto v) IQK_LAMBDA {
      constexpr int V = decltype(v)::value;
      put(v, nibble<V>(row.codes.low) | shl16<4>(bit_pair<V>(row.codes.high)));
    });
  }
};

}  // namespace IQK_NS

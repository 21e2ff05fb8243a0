// Q4_K_R4: four rows of Q4_K.
#pragma once

#include "iqk/formats/q4_k.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

struct Q4_K_R4 : Interleaved<Q4_K_R4, Q4_K, Q4_K_R4_facts>, TileTrait<Q4_K, NibbleOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    map_scales(m, row);
    move_codes(m, 8, FarNibbles{16}, NibbleTile{64, row});
  }

  // The factors and the 6-bit scales and minima of sub-blocks b and b + 4: the low nibbles of both, a byte
  // for each sub-block, and the bit pairs above them in one byte.
  template <class Mover>
  IQK_INLINE void map_scales(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    m.bytes(2, 8 + 2 * row, 2);
    for (int b = 0; b < 4; ++b) {
      const int high = 16 + 4 * b + row, low = high + 16;
      m.number(4 + b, 0, low, 0, 4);
      m.number(8 + b, 0, low, 4, 4);
      m.number(12 + b, 0, low + 16, 0, 8);
      m.number(4 + b, 4, high, 0, 2);
      m.number(8 + b, 4, high, 2, 2);
      m.number(4 + b, 6, high, 4, 2);
      m.number(8 + b, 6, high, 6, 2);
    }
  }

  using Tile = NibbleRows<>;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {Tile(in.block + 64), six_bit_numbers(in.block), in.block};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<TwoVectors>& row, Put put) {
    put_nibbles(row.codes, put);
  }

  static constexpr bool kScalesAndMinima = kWholeFloats;
  IQK_INLINE Floats<16> scales_and_minima(const RowPlace& row) {
    return floats_u8<16>(row.numbers) * splat_half_and_minus<8>(row.d);
  }
  IQK_INLINE Floats<8> scales(const RowPlace& row) {
    return floats_u8<8>(row.numbers) * splat_half<8>(row.d);
  }
  IQK_INLINE Floats<8> minima(const RowPlace& row) {
    return floats_u8<8>(upper_half(row.numbers)) * (splat_half<8>(row.d + 8) * fsplat<8>(-1));
  }

  // The scales of the eight sub-blocks, then the minima.
  IQK_INLINE Bytes six_bit_numbers(const uint8_t* block) {
    const Bytes high = shr16_halves<0, 2>(load_broadcast(block + 16));
    return row_numbers(four_bit_list(block + 32) | high_bits_in_turn(shl16<4>(high), high));
  }
};

}  // namespace IQK_NS

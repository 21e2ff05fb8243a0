// What the codebook types of four interleaved rows share.
#pragma once

#include "iqk/formats/grid_vectors.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

// All rows of a unit: 16 numbers each, and bits of their codes, such as signs for load_signs.
struct GridGroup {
  In in;
  Bytes numbers;
  alignas(64) uint8_t bits[4][32];
};
// Row R of it.
template <int R>
struct GridRow {
  In in;
  Small numbers;
  const uint8_t* bits;
};
// The same, read from the tile itself.
template <int R>
struct RowInTile {
  In in;
};
template <class Order>
struct GridTrait : Order {
  template <int R>
  IQK_INLINE RowInTile<R> row(In in, Constant<R>) {
    return {in};
  }
  template <int R>
  IQK_INLINE GridRow<R> row(const GridGroup& g, Constant<R>) {
    return {g.in, lane<R>(g.numbers), g.bits[R]};
  }
};

// Of types with signs: Self::group(in) is all rows of a unit, where those are not better read from the tile.
template <class Self, class Order>
struct SignedGridTrait : GridTrait<Order> {
  IQK_INLINE auto open(In in) {
    if constexpr (kReadsTiles)
      return in;
    else
      return Self::group(in);
  }
};

// One byte per sub-block: byte 0 of dword k of lane b in `lower` is that of sub-block b of row k, in `upper`
// of b + 4.
IQK_INLINE Bytes paired_numbers(Bytes lower, Bytes upper) {
  return transpose_lanes32(lower | shl16<8>(upper));
}
// The bytes of a row, in order.
IQK_INLINE Small eight_numbers(Small pairs) {
  return shuffle<0, 4, 8, 12, 1, 5, 9, 13, -1, -1, -1, -1, -1, -1, -1, -1>(pairs);
}
// Four bits, from the lowest bits of the bytes of each dword, in its byte 0.
IQK_INLINE Bytes lowest_bits(Bytes x) { return shr32<24, 24, 24, 24>(mul32(x & splat(1), 0x01020408)); }

// 32 bits of each sub-block: dword k of lane b in `lower` is that of sub-block b of row k, in `upper` of b
// + 4.
IQK_INLINE void put_bits(Bytes lower, Bytes upper, uint8_t (&to)[4][32]) {
  const Bytes x = transpose_lanes32(lower), y = transpose_lanes32(upper);
  store(to[0], zip_lo128(x, y));
  store(to[2], zip_hi128(x, y));
}
// The signs of eight weights from the re-coded seven in bits 1-7 of each byte.
IQK_INLINE Bytes recoded_signs(Bytes x) {
  const Bytes g = x & splat(254);
  return g ^ shr16<1>(g);
}

// IQ2_XXS_R4 and IQ3_XXS_R4: a dword of four sign fields and a scale becomes four bytes of re-coded signs
// with a bit of the scale each.
template <class Mover>
IQK_INLINE void move_signs_and_scale(Mover m, int dword, int to) {
  for (int l = 0; l < 4; ++l) {
    m.bits(dword + 3, 4 + l, to + l, 0, 1);
    m.signs(dword + 7 * l / 8, 7 * l % 8, to + l);
  }
}
// The same at 8, decoded.
IQK_INLINE GridGroup signs_and_scales(In in) {
  const Bytes lower = load(in.block + 8), upper = load(in.block + 72);
  GridGroup g;
  g.in = in;
  g.numbers = paired_numbers(lowest_bits(lower), lowest_bits(upper));
  put_bits(recoded_signs(lower), recoded_signs(upper), g.bits);
  return g;
}
// 2 s + 1.
IQK_INLINE Floats<8> odd_scales(Small pairs) {
  const Small s = eight_numbers(pairs);
  return floats_u8<8>((s + s) | small_splat(1));
}
// The same for 16 nibbles in eight bytes.
IQK_INLINE Floats<16> odd_nibble_scales(Small bytes) {
  const Small s = nibbles_in_turn(bytes);
  return floats_u8<16>((s + s) | small_splat(1));
}

}  // namespace IQK_NS

// Tiles of four interleaved rows as vectors, one row each. A run of 16 bytes of a tile has four bytes of each
// row; a transposition of the dwords of four vectors of runs, inside their lanes, leaves one vector per row.
//
// Lanes 0 and 1 of these vectors belong to the sub-blocks (32 weights) 0-3, a dword each, lanes 2 and 3 to
// 4-7. Lanes 0 and 2 have weights of a sub-block's first half, lanes 1 and 3 of its second. So all vectors
// have equal scales in equal dwords, also where scales are per 16, and registers of 256 bits need only eight
// of the sixteen.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct FourRows {
  Bytes row0, row1, row2, row3;
  template <int R>
  IQK_MEMBER Bytes row(Constant<R>) const {
    if constexpr (R == 0)
      return row0;
    else if constexpr (R == 1)
      return row1;
    else if constexpr (R == 2)
      return row2;
    else
      return row3;
  }
};
// Tiles are built by constructors, in their place in a group.
struct TransposedRows : FourRows {
  IQK_MEMBER TransposedRows(Bytes a, Bytes b, Bytes c, Bytes d)
      : FourRows{zip_lo64(zip_lo32(a, b), zip_lo32(c, d)), zip_hi64(zip_lo32(a, b), zip_lo32(c, d)),
                 zip_lo64(zip_hi32(a, b), zip_hi32(c, d)), zip_hi64(zip_hi32(a, b), zip_hi32(c, d))} {}
};
// Two runs of each sub-block, Stride bytes apart.
template <int Stride>
struct TwoRuns : TransposedRows {
  IQK_INLINE Bytes load_runs(const uint8_t* p, int b) {
    return load_halves(p + b * Stride, p + (b + 4) * Stride);
  }
  IQK_MEMBER explicit TwoRuns(const uint8_t* p)
      : TransposedRows(load_runs(p, 0), load_runs(p, 1), load_runs(p, 2), load_runs(p, 3)) {}
};

// All rows of a unit, and what the trait hands out for one of them.
template <class Tile>
struct TileGroup {
  Tile tile;
  Bytes numbers;     // 16 of each row
  const uint8_t* d;  // fp16 of the first row, in the first block
  uint64_t shifts = 0;
};
struct RowPlace {
  Small numbers;
  const uint8_t* d;
  uint32_t shifts;
};
template <class Codes>
struct TileRow : RowPlace {
  Codes codes;
};

// Trait of a type whose rows come out of tiles. Its numbers are int8 scales, its header is the float scales
// of the rows, unless it says otherwise.
template <class Base, class Order>
struct TileTrait : Order {
  static constexpr int kMax = Base::kMax, kScales = Base::kScales;
  static constexpr float kOffset = Base::kOffset, kShift = Base::kShift;
  static constexpr bool kRowScale = Base::kRowScale, kVectorMinima = Base::kVectorMinima;
  template <int R, class Tile>
  IQK_INLINE auto row(const TileGroup<Tile>& g, Constant<R> r) {
    return TileRow<decltype(g.tile.row(r))>{
        {lane<R>(g.numbers), g.d + 2 * R, static_cast<uint16_t>(g.shifts >> 16 * R)}, g.tile.row(r)};
  }
  IQK_INLINE Floats<kScales> scales(const RowPlace& row) {
    const Floats<kScales> s = floats_i8<kScales>(row.numbers);
    if constexpr (kRowScale)
      return s;
    else
      return s * splat_half<kScales>(row.d);
  }
  IQK_INLINE uint32_t shifts(const RowPlace& row) { return row.shifts; }
  IQK_INLINE float row_scale(In in) {
    if constexpr (kRowScale)
      return read<float>(in.header + 4 * in.row);
    else
      return 1;
  }
};

// ---- Nibble tile: quads 0, 2 | 4, 6 (a byte's low and high nibble, a row's lanes), then 1, 3 | 5, 7
// --------------

struct NibbleOrder : VectorDefaults {
  static constexpr int order(int v, int x) {
    return 32 * (x / 32 * 4 + x % 16 / 4) + 16 * (x / 16 % 2) + 8 * (v % 2) + 4 * (v / 2) + x % 4;
  }
};
template <int Stride = 64>
struct NibbleRows {
  TwoRuns<Stride> first, second;
  IQK_MEMBER explicit NibbleRows(const uint8_t* p) : first(p), second(p + 32) {}
  template <int R>
  IQK_MEMBER TwoVectors row(Constant<R> r) const {
    return {first.row(r), second.row(r)};
  }
};
template <int V>
IQK_INLINE Bytes nibble(TwoVectors m) {
  const Bytes x = V / 2 ? m.hi : m.lo;
  return (V % 2 ? shr16<4>(x) : x) & splat(15);
}

// ---- Pair tile: quads v | v + 4 in vector v, with bit_pair<v> --------------------------------------------

struct PairTileOrder : VectorDefaults {
  static constexpr int order(int v, int x) {
    return 32 * (x / 32 * 4 + x % 16 / 4) + 16 * (x / 16 % 2) + 4 * v + x % 4;
  }
};
using PairRows = TwoRuns<32>;

// ---- Bit tile: the quads of the second half Apart bits above those of the first --------------------------

// Bits of the first half are moved up to those of the second.
template <int Apart, int Stride = 16>
struct BitRows : TransposedRows {
  IQK_INLINE Bytes load_runs(const uint8_t* p, int b) {
    static constexpr BytePattern kMoveUp = byte_pattern([](int lane, int y) {
      return y % 2 ? 0 : lane % 2 ? 1 : 1 << Apart;
    });
    return mul16(load_lane_pairs(p + b * Stride, p + (b + 4) * Stride), load(kMoveUp));
  }
  IQK_MEMBER explicit BitRows(const uint8_t* p)
      : TransposedRows(load_runs(p, 0), load_runs(p, 1), load_runs(p, 2), load_runs(p, 3)) {}
};
template <int From, int To>
IQK_INLINE Bytes move_bit(Bytes x) {
  if constexpr (From < To)
    return shl16<To - From>(x) & splat(1 << To);
  else if constexpr (From == To)
    return x & splat(1 << To);
  else
    return shr16<From - To>(x) & splat(1 << To);
}

// Another tile with high bits beside the codes.
template <class Low>
struct CodesAndHigh {
  Low low;
  Bytes high;
};
template <class Tile, class High>
struct TileAndHigh {
  Tile low;
  High high;
  IQK_MEMBER TileAndHigh(const uint8_t* low_at, const uint8_t* high_at) : low(low_at), high(high_at) {}
  template <int R>
  IQK_MEMBER auto row(Constant<R> r) const {
    return CodesAndHigh<decltype(low.row(r))>{low.row(r), high.row(r)};
  }
};
// Nibbles with a fifth bit: bit A of the high bits for vector 0, B for vector 1, ..
template <int A, int B, int C, int D, class F>
IQK_INLINE void each_five_bits(const CodesAndHigh<TwoVectors>& x, F put) {
  put(Constant<0>{}, nibble<0>(x.low) | move_bit<A, 4>(x.high));
  put(Constant<1>{}, nibble<1>(x.low) | move_bit<B, 4>(x.high));
  put(Constant<2>{}, nibble<2>(x.low) | move_bit<C, 4>(x.high));
  put(Constant<3>{}, nibble<3>(x.low) | move_bit<D, 4>(x.high));
}
// The bits of kOrderB .. kOrderD that load_bit_tile leaves for the four vectors.
template <class F>
IQK_INLINE void each_five_bits_b(const CodesAndHigh<TwoVectors>& x, F put) {
  each_five_bits<4, 5, 6, 7>(x, put);
}
template <class F>
IQK_INLINE void each_five_bits_c(const CodesAndHigh<TwoVectors>& x, F put) {
  each_five_bits<2, 3, 6, 7>(x, put);
}
template <class F>
IQK_INLINE void each_five_bits_d(const CodesAndHigh<TwoVectors>& x, F put) {
  each_five_bits<1, 5, 3, 7>(x, put);
}
// Pairs with a third bit, kOrderA.
template <int V>
IQK_INLINE Bytes three_bits(const CodesAndHigh<Bytes>& x) {
  return bit_pair<V>(x.low) | move_bit<4 + V, 2>(x.high);
}

// ---- Numbers of all rows ---------------------------------------------------------------------------------

// Numbers of one byte, the row running fastest: those of row k become bytes 16 k .. 16 k + 15.
IQK_INLINE Bytes row_numbers(Bytes x) {
  static constexpr BytePattern kByRow = byte_pattern([](int, int y) { return y % 4 * 4 + y / 4; });
  return transpose_lanes32(lookup(x, load(kByRow)));
}
// 32 of them, twice.
IQK_INLINE Bytes row_numbers8(const uint8_t* p) { return row_numbers(load_halves(p, p)); }

// The bits 4 and 5 of x in lanes 0 and 2, of y in lanes 1 and 3.
IQK_INLINE Bytes high_bits_in_turn(Bytes x, Bytes y) {
  static constexpr BytePattern kEven = byte_pattern([](int lane, int) { return lane % 2 ? 0 : 0x30; });
  static constexpr BytePattern kOdd = byte_pattern([](int lane, int) { return lane % 2 ? 0x30 : 0; });
  return (x & load(kEven)) | (y & load(kOdd));
}
// 64 numbers in a list of 4 bits (32 bytes), or with 2 bits more (16 bytes).
IQK_INLINE Bytes four_bit_list(const uint8_t* p) { return shr16_halves<0, 4>(load_halves(p, p)) & splat(15); }
IQK_INLINE Bytes six_bit_list(const uint8_t* low, const uint8_t* high) {
  const Bytes x = shr16_halves<0, 4>(load_broadcast(high));
  return four_bit_list(low) | high_bits_in_turn(shl16<4>(x), shl16<2>(x));
}

}  // namespace IQK_NS

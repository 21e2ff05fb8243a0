// Q4_0_4_4: four rows of Q4_0 as signed nibbles; runs of four code bytes of a row.
#pragma once

#include "iqk/formats/q4_0.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

// An old layout of Q4_0: runs of `Run` code bytes of each row, with code - 8 in two's complement for code.
template <class Self, class SelfFacts, int Run, class Order>
struct SignedNibbleRuns : Interleaved<Self, Q4_0, SelfFacts>, TileTrait<Q4_0, Order> {
  using SelfFacts::kRows;
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int i = 0; i < 16; i += Run) m.bytes(2 + i, 2 * kRows + kRows * i + Run * row, Run, 0x88);
  }

  static constexpr int kStride = SelfFacts::kBytes * kRows;
  template <class Put>
  IQK_INLINE void codes(const TileRow<TwoVectors>& row, Put put) {
    put_nibbles({row.codes.lo ^ splat(0x88), row.codes.hi ^ splat(0x88)}, put);
  }
  IQK_INLINE Floats<8> scales(const RowPlace& row) { return strided_halves<kStride>(row.d); }
};

// Runs of eight: 32 bytes have a run of each of four rows. Lanes 0 to 3 of a row's vector have two blocks
// each.
template <int Stride>
struct EightByteRuns : FourRows {
  IQK_INLINE Bytes two(const uint8_t* p, int b) { return load_halves(p + b * Stride, p + (b + 2) * Stride); }
  IQK_MEMBER explicit EightByteRuns(const uint8_t* p)
      : EightByteRuns(two(p, 0), two(p, 1), two(p, 4), two(p, 5)) {}
  IQK_MEMBER EightByteRuns(Bytes a, Bytes b, Bytes c, Bytes d)
      : FourRows{even_lanes(zip_lo64(a, b), zip_lo64(c, d)), even_lanes(zip_hi64(a, b), zip_hi64(c, d)),
                 odd_lanes(zip_lo64(a, b), zip_lo64(c, d)), odd_lanes(zip_hi64(a, b), zip_hi64(c, d))} {}
};
// Codes 0-7, with 16-23 in the high nibbles, and 8-15, 24-31 of all blocks.
template <int Stride, int Rows>
struct EightByteTile {
  EightByteRuns<Stride> first, second;
  IQK_MEMBER explicit EightByteTile(const uint8_t* p) : first(p), second(p + 8 * Rows) {}
  template <int R>
  IQK_MEMBER TwoVectors row(Constant<R> r) const {
    return {first.row(r), second.row(r)};
  }
};
struct EightByteOrder : VectorDefaults {
  static constexpr int order(int v, int x) { return 32 * (x / 8) + 16 * (v % 2) + 8 * (v / 2) + x % 8; }
};

// Runs of four are tiles: quads 0 | 1, with 4 | 5 in the high nibbles, then 2 | 3 and 6 | 7.
struct Q4_0_4_4_order : VectorDefaults {
  static constexpr int order(int v, int x) {
    return 32 * (x / 32 * 4 + x % 16 / 4) + 16 * (v % 2) + 8 * (v / 2) + 4 * (x / 16 % 2) + x % 4;
  }
};
struct Q4_0_4_4 : SignedNibbleRuns<Q4_0_4_4, Q4_0_4_4_facts, 4, Q4_0_4_4_order> {
  IQK_INLINE TileGroup<NibbleRows<kStride>> open(In in) {
    return {NibbleRows<kStride>(in.block + 8), splat(0), in.block};
  }
};

}  // namespace IQK_NS

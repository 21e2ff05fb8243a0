// Row-interleaved formats: a bit map over a base format, used in both directions.
#pragma once

#include "iqk/formats/format.h"

namespace IQK_NS {

// Where some bits of a block begin.
struct Place {
  int byte, bit;
};

// ORs the bits of `mask`, in each T from `from` on, into `to`, whose bytes start as zero.
template <class T>
IQK_INLINE void move_bits(const uint8_t* from, int from_bit, uint8_t* to, int to_bit, T mask) {
  const T x = static_cast<T>(read<T>(to) | (read<T>(from) >> from_bit & mask) << to_bit);
  std::memcpy(to, &x, sizeof x);
}
IQK_INLINE constexpr uint32_t in_four_bytes(int count) { return ((1u << count) - 1) * 0x01010101u; }

// A mover carries bits between a block of the base format (source) and the interleaved block: the same map
// serves repacking (source to interleaved), its inverse, and the decoder of an interleaved row. What it
// writes to starts as zero bytes. Each mover has
//   bits      `count` bits at bit `sbit` of source byte `s` are bits `dbit`.. of interleaved byte `d`
//   number    the same; the byte of row k is k behind that of row 0
//   quad      the same for each of four consecutive bytes; those of row k are 4 k behind those of row 0
//   spread    the four bits at source place `s` are one bit of each of four consecutive bytes at `d`
//   bytes     whole bytes, with the bits of `flip` inverted
//   signs     the 7 sign bits from bit `sbit` of source byte `s` on are bits 1..7 of interleaved byte `d`,
//             each as the XOR of itself and all below
struct ToInterleaved {
  const uint8_t* source;
  uint8_t* interleaved;
  IQK_MEMBER void bits(int s, int sbit, int d, int dbit, int count) const {
    move_bits<uint8_t>(source + s, sbit, interleaved + d, dbit, static_cast<uint8_t>((1 << count) - 1));
  }
  IQK_MEMBER void number(int s, int sbit, int d, int dbit, int count) const { bits(s, sbit, d, dbit, count); }
  IQK_MEMBER void quad(Place s, Place d, int count) const {
    move_bits<uint32_t>(source + s.byte, s.bit, interleaved + d.byte, d.bit, in_four_bytes(count));
  }
  IQK_MEMBER void spread(Place s, Place d) const {
    const uint32_t bits = source[s.byte] >> s.bit & 15;
    const uint32_t x = read<uint32_t>(interleaved + d.byte) | (bits * 0x00204081 & 0x01010101) << d.bit;
    std::memcpy(interleaved + d.byte, &x, sizeof x);
  }
  IQK_MEMBER void bytes(int s, int d, int count, int flip = 0) const {
    for (int i = 0; i < count; ++i) interleaved[d + i] = static_cast<uint8_t>(source[s + i] ^ flip);
  }
  IQK_MEMBER void signs(int s, int sbit, int d) const {
    int x = (source[s] >> sbit | (sbit > 1 ? source[s + 1] << (8 - sbit) : 0)) & 127;
    for (int step = 1; step < 7; step *= 2) x ^= x << step;
    interleaved[d] = static_cast<uint8_t>(interleaved[d] | (x & 127) << 1);
  }
};
struct ToSource {
  uint8_t* source;
  const uint8_t* interleaved;
  IQK_MEMBER void bits(int s, int sbit, int d, int dbit, int count) const {
    move_bits<uint8_t>(interleaved + d, dbit, source + s, sbit, static_cast<uint8_t>((1 << count) - 1));
  }
  IQK_MEMBER void number(int s, int sbit, int d, int dbit, int count) const { bits(s, sbit, d, dbit, count); }
  IQK_MEMBER void quad(Place s, Place d, int count) const {
    move_bits<uint32_t>(interleaved + d.byte, d.bit, source + s.byte, s.bit, in_four_bytes(count));
  }
  IQK_MEMBER void spread(Place s, Place d) const {
    const uint32_t bits = (read<uint32_t>(interleaved + d.byte) >> d.bit & 0x01010101) * 0x10204080 >> 28;
    source[s.byte] = static_cast<uint8_t>(source[s.byte] | bits << s.bit);
  }
  IQK_MEMBER void bytes(int s, int d, int count, int flip = 0) const {
    for (int i = 0; i < count; ++i) source[s + i] = static_cast<uint8_t>(interleaved[d + i] ^ flip);
  }
  IQK_MEMBER void signs(int s, int sbit, int d) const {
    const int x = interleaved[d] >> 1, f = (x ^ x << 1) & 127;
    source[s] = static_cast<uint8_t>(source[s] | f << sbit);
    if (sbit > 1) source[s + 1] = static_cast<uint8_t>(source[s + 1] | f >> (8 - sbit));
  }
};

// Codes. Four consecutive columns of a row, a quad, lie in four consecutive bytes on both sides. A pattern
// says where quad u (0..7) of sub-block b (32 weights) begins; it starts at offset `at`.

// Source patterns; their readers in planes.h.
struct NearNibbles {
  static constexpr int kBits = 4;
  int at;
  IQK_MEMBER Place operator()(int b, int u) const { return {at + 16 * b + 4 * (u % 4), 4 * (u / 4)}; }
};
struct FarNibbles {
  static constexpr int kBits = 4;
  int at;
  IQK_MEMBER Place operator()(int b, int u) const { return {at + 32 * (b / 2) + 4 * u, 4 * (b % 2)}; }
};
struct BitPairs {
  static constexpr int kBits = 2;
  int at;
  IQK_MEMBER Place operator()(int b, int u) const { return {at + 32 * (b / 4) + 4 * u, 2 * (b % 4)}; }
};
struct SingleBits {
  static constexpr int kBits = 1;
  int at;
  IQK_MEMBER Place operator()(int b, int u) const { return {at + 4 * u, b}; }
};

// Tiles of four rows.
struct NibbleTile {
  static constexpr int kBits = 4;
  int at, row;
  IQK_MEMBER Place operator()(int b, int u) const {
    return {at + 64 * b + 32 * (u % 2) + 16 * (u / 4) + 4 * row, 4 * (u / 2 % 2)};
  }
};
struct PairTile {
  static constexpr int kBits = 2;
  int at, row;
  IQK_MEMBER Place operator()(int b, int u) const {
    return {at + 32 * b + 16 * (u / 4) + 4 * row, 2 * (u % 4)};
  }
};
// The bit of quad u in each order of the bit tile.
static constexpr int kOrderA[8] = {0, 1, 2, 3, 4, 5, 6, 7};
static constexpr int kOrderB[8] = {0, 2, 1, 3, 4, 6, 5, 7};
static constexpr int kOrderC[8] = {0, 4, 1, 5, 2, 6, 3, 7};
static constexpr int kOrderD[8] = {0, 2, 4, 6, 1, 3, 5, 7};
struct BitTile {
  static constexpr int kBits = 1;
  int at, row;
  const int* order;
  IQK_MEMBER Place operator()(int b, int u) const { return {at + 16 * b + 4 * row, order[u]}; }
};

template <class Mover, class Source, class Tile>
IQK_INLINE void move_codes(Mover m, int sub_blocks, Source source, Tile tile) {
  static_assert(Source::kBits == Tile::kBits);
  for (int b = 0; b < sub_blocks; ++b)
    for (int u = 0; u < 8; ++u) m.quad(source(b, u), tile(b, u), Tile::kBits);
}

// Scales and other numbers of 1, 2, 4 or 8 bits, one per sub-block: where number n begins.

// Consecutive fields, lowest bits first; `field` of planes.h.
template <int Bits>
struct Fields {
  static constexpr int kBits = Bits;
  int at;
  IQK_MEMBER Place operator()(int n) const { return {at + n * Bits / 8, n * Bits % 8}; }
};
// The numbers of all rows, the row running fastest: `bytes` of them in the lowest bits, then in the next.
template <int Bits>
struct List {
  static constexpr int kBits = Bits;
  int at, bytes, row = 0, rows = 1;
  IQK_MEMBER Place operator()(int n) const {
    const int m = rows * n + row;
    return {at + m % bytes, m / bytes * Bits};
  }
};

template <class Mover, class Source, class Target>
IQK_INLINE void move_numbers(Mover m, int count, Source source, Target target) {
  static_assert(Source::kBits == Target::kBits);
  for (int n = 0; n < count; ++n) {
    const Place s = source(n), d = target(n);
    m.number(s.byte, s.bit, d.byte, d.bit, Target::kBits);
  }
}

// Decoder of an interleaved format: moves the row's bits back into blocks of the base format and unpacks
// those. `Self` has `template <class Mover> static void map(Mover m, int row)` for one block, `kMapWeights`
// columns. The header of a group, where there is one, is the float32 scales of its rows.
template <class Self, class Base, class SelfFacts>
struct Interleaved : SelfFacts {
  using base = Base;
  static constexpr bool kMinima = Base::kMinima;
  static constexpr int kMapWeights = SelfFacts::kWeights;
  template <class Mover>
  static void map_header(Mover m, int row) {
    m.bytes(0, 4 * row, 4);
  }
  static void unpack(In in, Unit& u) {
    uint8_t unit[Base::kUnit] = {}, header[Base::kHeader ? Base::kHeader : 1] = {};
    if constexpr (Base::kHeader != 0) map_header(ToSource{header, in.header}, in.row);
    for (int b = 0; b < 256 / Base::kWeights; ++b)
      Self::map(ToSource{unit + b * Base::kBytes, in.block + b * SelfFacts::kBytes * SelfFacts::kRows},
                in.row);
    Base::unpack({unit, header, 0}, u);
  }
};

}  // namespace IQK_NS

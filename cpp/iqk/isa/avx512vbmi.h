// AVX-512 with VBMI and GFNI: tables of 64 bytes and grids in registers. Definitions: generic.h.
#pragma once

#include "iqk/isa/avx512.h"

namespace IQK_NS {

// ---- Look-ups --------------------------------------------------------------------------------------------
//
// vpermb looks at six bits: with four copies of a table of 16 entries, what stands above the nibble does not
// matter.

IQK_INLINE Bytes permute(Bytes table, Bytes index) { return {_mm512_permutexvar_epi8(index.v, table.v)}; }
IQK_INLINE Bytes lookup_low(Bytes table, Bytes x) { return permute(table, x); }
IQK_INLINE Bytes lookup_high(Bytes table, Bytes x) { return permute(table, shr16<4>(x)); }
struct Table32 {
  Bytes twice;
};
struct Table64 {
  Bytes all;
};
IQK_INLINE Table32 load_table32(const void* p) { return {{_mm512_broadcast_i64x4(load256(p))}}; }
IQK_INLINE Table64 load_table64(const void* p) { return {load(p)}; }
IQK_INLINE Bytes lookup(const Table32& t, Bytes x) { return permute(t.twice, x); }
IQK_INLINE Bytes lookup(const Table64& t, Bytes x) { return permute(t.all, x); }

// ---- Codebooks -------------------------------------------------------------------------------------------
//
// An affine transformation of constants by a matrix of data transposes eight bytes: byte n of a qword becomes
// bit n of each of its bytes, that of byte 0 on top. So the bit planes of four groups of eight weights, two
// bytes of their entries each, and their signs become one byte per weight with the bits of all four groups.

constexpr uint64_t in_each_byte(int x) { return 0x0101010101010101 * static_cast<uint64_t>(x); }
// Byte n: the bits of each byte that are added up.
constexpr uint64_t kEachBit = 0x8040201008040201, kSevenAndParity = 0x7f40201008040201;
IQK_INLINE __m512i transposed(__m512i x, uint64_t bits) {
  return _mm512_gf2p8affine_epi64_epi8(_mm512_set1_epi64(static_cast<int64_t>(bits)), x, 0);
}
// 32 bits of each of eight blocks, see grids.h.
constexpr bool kTransposesBits = true;
template <int Stride>
IQK_INLINE Bytes transposed_block_bits(const uint8_t* p) {
  constexpr int end = 7 * Stride + 4;
  static_assert(5 * Stride + 4 <= 128 && 6 * Stride >= end - 64, "six blocks in front, two behind");
  const auto at = [](int qword) {
    const int block = qword / 2 + qword % 2 * 4;
    const uint64_t last_first = 0x0001020300010203;  // the first byte becomes the uppermost bit
    return static_cast<int64_t>(last_first + in_each_byte(block * Stride - (block < 6 ? 0 : end - 64)));
  };
  const __m512i from = _mm512_setr_epi64(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
  const __m512i x = _mm512_permutex2var_epi8(load(p).v, from, load(p + 64).v);
  const __mmask64 behind = 0xff00ff0000000000;
  const __m512i rows = _mm512_mask_permutexvar_epi8(x, behind, from, load(p + end - 64).v);
  return {transposed(rows, kEachBit)};
}
// x where the mask is set, else y. GCC would make the mask anew each time, by a shuffle.
IQK_INLINE __m512i select(uint64_t mask, __m512i x, __m512i y) {
  const Bytes m = held({_mm512_set1_epi64(static_cast<int64_t>(mask))});
  return _mm512_ternarylogic_epi64(x, y, m.v, 0xe4);
}
template <int N>
IQK_INLINE __m512i shr16(__m512i x) {
  return _mm512_srli_epi16(x, N);
}

// Byte n of qword c has the signs of bytes 8 c + n of the vectors: of vector 0 in bit 2, of 1 in bit 0, of 2
// in bits 6 and 5, of 3 in bit 4. kSignRows: whose signs the bytes have before the transposition; the first
// and the fifth are free.
struct Signs {
  __m512i v;
};
constexpr int sign_bit(int vector) { return (2 - 2 * vector) & 7; }
constexpr uint64_t kSignRows = 0x0101000003020200, kFreeRows = 0x000000ff000000ff;
IQK_INLINE Signs load_signs(const uint8_t* p) {
  const auto at = [](int c) { return static_cast<int64_t>(kSignRows + in_each_byte(4 * c)); };
  const __m512i from = _mm512_setr_epi64(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
  return {transposed(_mm512_permutexvar_epi8(from, _mm512_castsi256_si512(load256(p))), kEachBit)};
}
// Eight dwords Stride apart in the lower halves of qwords: four fields of seven bits become signs, the four
// bits above them the free rows.
template <int Stride>
IQK_INLINE __m512i field_rows(const uint8_t* p) {
  const __m512i control =
      _mm512_set1_epi64(static_cast<int64_t>((7 * kSignRows & ~kFreeRows) | (in_each_byte(28) & kFreeRows)));
  if constexpr (Stride == 8)
    return _mm512_multishift_epi64_epi8(control, _mm512_maskz_loadu_epi32(0x5555, p));
  else
    return _mm512_multishift_epi64_epi8(control, _mm512_cvtepu32_epi64(strided_dwords<Stride>(p)));
}
template <int Stride>
IQK_INLINE Signs load_sign_fields(const uint8_t* p) {
  return {transposed(field_rows<Stride>(p), kSevenAndParity)};
}
// Bits 9-15 of words.
IQK_INLINE Signs load_sign_words(const uint8_t* p) {
  const __m512i control = _mm512_set1_epi64(static_cast<int64_t>(16 * kSignRows + in_each_byte(9)));
  return {transposed(_mm512_multishift_epi64_epi8(control, load(p).v), kSevenAndParity)};
}
template <int V>
IQK_INLINE Bytes flip_signs(Bytes x, const Signs& signs, int twice) {
  const __mmask64 negative = _mm512_test_epi8_mask(signs.v, splat(1 << sign_bit(V)).v);
  return {_mm512_mask_sub_epi8(x.v, negative, splat(twice).v, x.v)};
}

// See grids.h. A grid also has `planes` and `levels`, see codebooks.h. The first pass looks up both planes of
// the entries, of two units at once where the groups have one entry, and stores them side by side.
constexpr bool kGridLaneScales = true;
constexpr int grid8_index_words(int words) { return words; }

// Bits of indices; both: 6 and 7.
struct IndexBits {
  __mmask64 bit6, bit7, both, bit8, bit9;
};
// One plane of entries.
template <int Count>
IQK_INLINE __m512i plane_bytes(const uint8_t* plane, __m512i index, const IndexBits& bits) {
  if constexpr (Count == 256) {
    const auto where = [&](__mmask64 mask, __m512i x, int quarter) IQK_LAMBDA {
      return _mm512_mask_permutexvar_epi8(x, mask, index, load(plane + 64 * quarter).v);
    };
    const __m512i x = permute(load(plane), {index}).v;
    return where(bits.both, where(bits.bit7, where(bits.bit6, x, 1), 2), 3);
  } else {
    return _mm512_mask_blend_epi8(Count == 512 ? bits.bit8 : bits.bit9,
                                  plane_bytes<Count / 2>(plane, index, bits),
                                  plane_bytes<Count / 2>(plane + Count / 2, index, bits));
  }
}
struct EntryPlanes {
  __m512i lower, upper;
};
template <class Grid>
IQK_INLINE EntryPlanes entry_planes(const Grid& grid, __m512i index, __mmask64 bit8, __mmask64 bit9) {
  const __mmask64 bit6 = _mm512_movepi8_mask(_mm512_add_epi8(index, index)),
                  bit7 = _mm512_movepi8_mask(index);
  const IndexBits bits = {bit6, bit7, _kand_mask64(bit6, bit7), bit8, bit9};
  return {plane_bytes<Grid::kCount>(grid.planes, index, bits),
          plane_bytes<Grid::kCount>(grid.planes + Grid::kCount, index, bits)};
}
// Of bytes that take turns: the first unit's, then the other's.
IQK_INLINE void store_in_turn(const EntryPlanes& x, uint16_t* to) {
  constexpr uint64_t kLower = 0x00ff00ff00ff00ff;
  store(to, {select(kLower, x.lower, _mm512_slli_epi16(x.upper, 8))});
  store(to + 32, {select(kLower, shr16<8>(x.lower), x.upper)});
}
template <class Grid>
IQK_INLINE void first_grid8_bytes(const Grid& grid, const uint8_t* index, const uint8_t* next, uint16_t* to) {
  // Lanes: two dwords of each unit.
  const __m512 both =
      _mm512_shuffle_ps(_mm512_castsi512_ps(load(index).v), _mm512_castsi512_ps(load(next).v), 0x88);
  const EntryPlanes x = entry_planes(grid, _mm512_castps_si512(both), 0, 0);
  store(to, {_mm512_unpacklo_epi8(x.lower, x.upper)});
  store(to + 32, {_mm512_unpackhi_epi8(x.lower, x.upper)});
}
template <class Grid>
IQK_INLINE void first_grid8_words(const Grid& grid, Bytes index, Bytes next, uint16_t* to) {
  constexpr uint64_t kLower = 0x00ff00ff00ff00ff;
  const __m512i low = select(kLower, index.v, _mm512_slli_epi16(next.v, 8));
  const __m512i high = select(kLower, shr16<8>(index.v), next.v);
  store_in_turn(entry_planes(grid, low, _mm512_test_epi8_mask(high, splat(1).v), 0), to);
}
template <class Grid, class Words>
IQK_INLINE void first_grid8_parts(const Grid& grid, const uint8_t* low, const uint8_t* high,
                                  const uint8_t* next_low, const uint8_t* next_high, uint16_t* to, Words) {
  const __m512i first = _mm512_cvtepu8_epi16(load256(low)), second = _mm512_cvtepu8_epi16(load256(next_low));
  const __m512i index = _mm512_or_si512(first, _mm512_slli_epi16(second, 8));
  uint64_t x, y;
  std::memcpy(&x, high, 8);
  std::memcpy(&y, next_high, 8);
  constexpr uint64_t kEven = 0x5555555555555555;
  const __mmask64 bit8 = (x & kEven) | (y & kEven) << 1, bit9 = (x >> 1 & kEven) | (y & ~kEven);
  store_in_turn(entry_planes(grid, index, bit8, bit9), to);
}

template <class Grid, class Put>
IQK_INLINE void grid8_words(const Grid& grid, const uint16_t* index, const Signs& signs, Put put) {
  const __m512i digits = transposed(load(index).v, kEachBit);
  // The digit of vector 0 comes where that of vector 1 is, because the look-up does not see bits 6 and 7.
  const auto vector = [&](auto v, int mask, __m512i x) IQK_LAMBDA {
    put(v, permute(load(grid.levels + 64 * v), {select(in_each_byte(mask), x, signs.v)}));
  };
  vector(Constant<0>{}, 0x30, shr16<2>(digits));
  vector(Constant<1>{}, 0x30, digits);
  vector(Constant<2>{}, 0x0c, digits);
  vector(Constant<3>{}, 0x03, digits);
}
template <class Grid, class Put>
IQK_INLINE void grid8_bytes(const Grid& grid, const uint8_t*, const uint16_t* index, const Signs& signs,
                            Put put) {
  grid8_words(grid, index, signs, put);
}

template <int Shift>
IQK_INLINE __m512 odd_numbers(__m512i four_bits) {
  constexpr float f = 1.0f / (1 << Shift);
  const __m512 table = _mm512_setr_ps(1 * f, 3 * f, 5 * f, 7 * f, 9 * f, 11 * f, 13 * f, 15 * f, 17 * f,
                                      19 * f, 21 * f, 23 * f, 25 * f, 27 * f, 29 * f, 31 * f);
  return _mm512_permutexvar_ps(four_bits, table);
}
template <int N, int Shift>
IQK_INLINE Floats<N> odd_nibbles(const uint8_t* p) {
  __m512i x;
  if constexpr (N == 8) {
    int32_t y;
    std::memcpy(&y, p, 4);
    x = _mm512_set1_epi32(y);
  } else {
    int64_t y;
    std::memcpy(&y, p, 8);
    x = _mm512_set1_epi64(y);
  }
  const auto at = [](int64_t c) { return (8 * c + 4) << 32 | 8 * c; };  // of nibbles 2 c and 2 c + 1
  const __m512i from = _mm512_setr_epi64(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
  const __m512 scales = odd_numbers<Shift>(_mm512_multishift_epi64_epi8(from, x));
  if constexpr (N == 8)
    return {_mm512_castps512_ps256(scales)};
  else
    return {scales};
}
// The blocks of MXFP4: out of two loads, to the uppermost byte of each dword.
template <>
inline __attribute__((always_inline)) Floats<8> strided_powers<17>(const uint8_t* p) {
  constexpr int last = 7 * 17 + 1 - 64;
  const auto at = [](int i) { return (17 * i - (i < 4 ? 0 : last)) << 24; };
  const __m512i from =
      _mm512_castsi256_si512(_mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
  const __m512i front = _mm512_maskz_permutexvar_epi8(0x00008888, from, load(p).v);
  const __m512i all = _mm512_mask_permutexvar_epi8(front, 0x88880000, from, load(p + last).v);
  return powers(_mm256_srli_epi32(_mm512_castsi512_si256(all), 1));
}
template <int Stride, int Shift>
IQK_INLINE Floats<8> odd_upper_bits(const uint8_t* p) {
  const __m256i x = _mm256_srli_epi32(strided_dwords<Stride>(p), 28);
  return {_mm512_castps512_ps256(odd_numbers<Shift>(_mm512_castsi256_si512(x)))};
}
// The same by lanes of two for each.
template <int Shift>
IQK_INLINE Floats<16> odd_nibble_lanes(const uint8_t* p) {
  int32_t x;
  std::memcpy(&x, p, 4);
  const auto at = [](int64_t c) { return 4 * c << 32 | 4 * c; };
  const __m512i from = _mm512_setr_epi64(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
  return {odd_numbers<Shift>(_mm512_multishift_epi64_epi8(from, _mm512_set1_epi32(x)))};
}
template <int Stride, int Shift>
IQK_INLINE Floats<16> odd_upper_lanes(const uint8_t* p) {
  return {odd_numbers<Shift>(field_rows<Stride>(p))};
}

// Two entries of four weights make a group: of a transposed byte, the odd bits belong to the first, the even
// ones to the second.
struct DigitBits {
  __m512i pairs;    // of each group the lowest and the middle bit, those of the first group on top
  __m512i highest;  // in the odd bits, the last two groups in front of the first two
};
IQK_INLINE DigitBits digit_bits(const EntryPlanes& planes) {
  const auto by_half = [](int lower, int upper) IQK_LAMBDA {
    return _mm512_set1_epi64(lower | static_cast<int64_t>(upper) << 32);
  };
  // Lowest bits in the first four bytes and middle ones in the others, and the other way round.
  const __m512i low_middle = transposed(planes.lower, kEachBit);
  const __m512i middle_low = transposed(planes.lower, kEachBit << 32 | kEachBit >> 32);
  const __m512i highest = transposed(_mm512_rol_epi64(planes.upper, 32), kEachBit);
  return {select(0x55555555aaaaaaaa, low_middle, _mm512_rolv_epi32(middle_low, by_half(31, 1))),
          _mm512_sllv_epi32(highest, by_half(0, 1))};
}
template <class Grid, class Put>
IQK_INLINE void put_grid4(const Grid& grid, const DigitBits& bits, const Signs& signs, Put put) {
  const __m512i others = select(in_each_byte(0xaa), bits.highest, signs.v);
  const __m512i first = select(in_each_byte(0xf0), bits.pairs, others);
  const __m512i second = select(in_each_byte(0xf0), others, bits.pairs);
  const Bytes table = load(grid.levels), swapped = load(grid.levels + 64);
  put(Constant<0>{}, permute(table, {shr16<2>(first)}));
  put(Constant<1>{}, permute(table, {first}));
  put(Constant<2>{}, permute(swapped, {shr16<2>(second)}));
  put(Constant<3>{}, permute(swapped, {second}));
}
template <class Grid, class Put>
IQK_INLINE void grid4_bytes(const Grid& grid, const uint8_t* index, const Signs& signs, Put put) {
  put_grid4(grid, digit_bits(entry_planes(grid, load(index).v, 0, 0)), signs, put);
}
template <class Grid>
IQK_INLINE void first_grid4_parts(const Grid& grid, const uint8_t* low, const uint8_t* high, uint16_t* to) {
  __mmask64 bit8;
  std::memcpy(&bit8, high, 8);
  const DigitBits bits = digit_bits(entry_planes(grid, load(low).v, bit8, 0));
  store(to, {bits.pairs});
  store(to + 32, {bits.highest});
}
template <class Grid, class Put>
IQK_INLINE void grid4_words(const Grid& grid, const uint16_t* index, const Signs& signs, Put put) {
  put_grid4(grid, {load(index).v, load(index + 32).v}, signs, put);
}

}  // namespace IQK_NS

#include "iqk/isa/avx512vbmi_tiles.h"

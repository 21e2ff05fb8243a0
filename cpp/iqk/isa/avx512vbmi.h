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

// Byte n of each qword becomes its bits from first(n) on, around the end.
template <class First>
IQK_INLINE __m512i shifted_bytes(__m512i x, First first) {
  uint64_t control = 0;
  for (int n = 0; n < 8; ++n) control |= static_cast<uint64_t>(first(n) & 63) << 8 * n;
  return _mm512_multishift_epi64_epi8(_mm512_set1_epi64(static_cast<int64_t>(control)), x);
}

// Dword c in the low half of qword c.
struct Signs {
  __m512i v;
};
IQK_INLINE Signs load_signs(const uint8_t* p) { return {_mm512_cvtepu32_epi64(load256(p))}; }
// Bits 0-6 of each byte pass; bit 7 becomes their parity.
IQK_INLINE __m512i with_parity(__m512i x) {
  return _mm512_gf2p8affine_epi64_epi8(x, _mm512_set1_epi64(0x010204081020407f), 0);
}
template <int Stride>
IQK_INLINE Signs load_sign_fields(const uint8_t* p) {
  const __m512i x = _mm512_cvtepu32_epi64(strided_dwords<Stride>(p));
  return {with_parity(shifted_bytes(x, [](int n) IQK_LAMBDA { return n < 4 ? 7 * n : 32; }))};
}
// Bits 9-15 of words.
IQK_INLINE Signs load_sign_words(const uint8_t* p) {
  return {with_parity(shifted_bytes(load(p).v, [](int n) IQK_LAMBDA { return n < 4 ? 16 * n + 9 : 0; }))};
}
template <int V>
IQK_INLINE Bytes flip_signs(Bytes x, const Signs& signs, int twice) {
  const __mmask64 negative =  // bit 7 of the bytes
      _mm512_movepi8_mask(shifted_bytes(signs.v, [](int n) IQK_LAMBDA { return 8 * V + n - 7; }));
  return {_mm512_mask_sub_epi8(x.v, negative, splat(twice).v, x.v)};
}

// See grids.h. A grid also has `codes`, its packed entries, and `levels`, bytes by digit, over again up
// to 64.
constexpr int grid_index_words(int) { return 0; }

// Packed entries of 16 bits, by words.
template <int Count>
IQK_INLINE __m512i packed_entries(const uint16_t* codes, __m512i index) {
  if constexpr (Count == 64) {
    return _mm512_permutex2var_epi16(load(codes).v, index, load(codes + 32).v);
  } else {
    const __mmask32 upper = _mm512_test_epi16_mask(index, splat16(Count / 2).v);
    return _mm512_mask_blend_epi16(upper, packed_entries<Count / 2>(codes, index),
                                   packed_entries<Count / 2>(codes + Count / 2, index));
  }
}
template <class Grid, class Put>
IQK_INLINE void put_grid8(const Grid& grid, __m512i index, Put put) {
  const __m512i entries = packed_entries<Grid::kCount>(grid.codes, index);
  unroll<4>([&](auto v) IQK_LAMBDA {
    constexpr int kEntry = 16 * decltype(v)::value;
    put(v, permute(load(grid.levels),
                   {shifted_bytes(entries, [](int n) IQK_LAMBDA { return kEntry + 2 * n; })}));
  });
}
template <class Grid, class Made, class Put>
IQK_INLINE void grid8_words(const Grid& grid, const uint16_t*, Made made, Put put) {
  put_grid8(grid, made().v, put);
}
template <class Grid, class Put>
IQK_INLINE void grid8_bytes(const Grid& grid, const uint8_t* index, Put put) {
  const __m512i low =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, -1, 1, -1, 2, -1, 3, -1, 8, -1, 9, -1, 10, -1, 11, -1));
  put_grid8(grid, _mm512_shuffle_epi8(load(index).v, low), put);
}

// One byte of each packed entry, by the lower bits of bytes: bit 7 and `bit8` choose between tables of 128.
IQK_INLINE __m512i packed_bytes(const uint8_t* bytes, __m512i index) {
  const auto table = [&](int n) IQK_LAMBDA {
    return _mm512_permutex2var_epi8(load(bytes + 128 * n).v, index, load(bytes + 128 * n + 64).v);
  };
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), table(0), table(1));
}
// `entry(plane, index)`: lower or upper bytes of the entries.
template <class Grid, class Entry, class Put>
IQK_INLINE void put_grid4(const Grid& grid, const uint8_t* index, Entry entry, Put put) {
  // The indices of each first two vectors together: zipped bytes are then four words for each qword.
  const __m512i pairs =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15));
  const __m512i at = _mm512_shuffle_epi8(load(index).v, pairs);
  const __m512i lower = entry(0, at), upper = entry(1, at);
  const __m512i entries[2] = {_mm512_unpacklo_epi8(lower, upper), _mm512_unpackhi_epi8(lower, upper)};
  unroll<4>([&](auto v) IQK_LAMBDA {
    constexpr int kEntries = decltype(v)::value % 2 * 32;
    put(v, permute(load(grid.levels), {shifted_bytes(entries[v / 2], [](int n) IQK_LAMBDA {
                     return kEntries + n / 4 * 16 + n % 4 * 3;
                   })}));
  });
}
template <class Grid, class Put>
IQK_INLINE void grid4_bytes(const Grid& grid, const uint8_t* index, Put put) {
  put_grid4(
      grid, index,
      [&](int plane, __m512i at) IQK_LAMBDA { return packed_bytes(grid.codes + 256 * plane, at); }, put);
}
template <class Grid, class Put>
IQK_INLINE void grid4_words(const Grid& grid, const uint16_t*, const uint8_t* low, const uint8_t* high,
                            Put put) {
  // The ninth bits move as their bytes do: bits 4-7 and 8-11 of each sixteen change places.
  uint64_t x;
  std::memcpy(&x, high, 8);
  const uint64_t moved = (x ^ x >> 4) & 0x00f000f000f000f0;
  const __mmask64 bit8 = x ^ moved ^ moved << 4;
  put_grid4(
      grid, low,
      [&](int plane, __m512i at) IQK_LAMBDA {
        const uint8_t* bytes = grid.codes + 512 * plane;
        return _mm512_mask_blend_epi8(bit8, packed_bytes(bytes, at), packed_bytes(bytes + 256, at));
      },
      put);
}

}  // namespace IQK_NS

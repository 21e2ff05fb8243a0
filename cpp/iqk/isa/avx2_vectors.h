// The vocabulary on 256-bit registers, all but the products: shared by avx2 and avxvnni. Definitions:
// generic.h.
#pragma once

#include "iqk/isa/x86_small.h"

namespace IQK_NS {

// ---- Bytes: lanes 0 and 1 in a, lanes 2 and 3 in b -------------------------------------------------------

struct Bytes {
  __m256i a, b;
};
IQK_INLINE __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
IQK_INLINE __m256i two_lanes(const void* p, const void* q) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(small_load(p).v), small_load(q).v, 1);
}
IQK_INLINE Bytes held(Bytes x) { return x; }
IQK_INLINE Bytes load(const void* p) { return {load256(p), load256(static_cast<const uint8_t*>(p) + 32)}; }
template <int K>
IQK_INLINE Small lane(Bytes x) {
  const __m256i half = K < 2 ? x.a : x.b;
  if constexpr (K % 2 == 0)
    return {_mm256_castsi256_si128(half)};
  else
    return {_mm256_extracti128_si256(half, 1)};
}
IQK_INLINE void store(void* p, Bytes x) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(static_cast<__m256i*>(p) + 1, x.b);
}
IQK_INLINE void store_halves(uint8_t* p, uint8_t* q, Bytes x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), x.b);
}
IQK_INLINE Bytes load_lanes(const uint8_t* p, ptrdiff_t stride) {
  return {two_lanes(p, p + stride), two_lanes(p + 2 * stride, p + 3 * stride)};
}
IQK_INLINE Bytes load_halves(const uint8_t* p, const uint8_t* q) { return {load256(p), load256(q)}; }
IQK_INLINE Bytes load_lane_pairs(const uint8_t* p, const uint8_t* q) {
  return {_mm256_broadcastsi128_si256(small_load(p).v), _mm256_broadcastsi128_si256(small_load(q).v)};
}
IQK_INLINE __m256i load_dword256(const uint8_t* p) {
  int32_t x;
  std::memcpy(&x, p, 4);
  return _mm256_set1_epi32(x);
}
IQK_INLINE Bytes load_dword_halves(const uint8_t* p, const uint8_t* q) {
  return {load_dword256(p), load_dword256(q)};
}
IQK_INLINE Bytes load_broadcast(const void* p) {
  const __m256i x = _mm256_broadcastsi128_si256(small_load(p).v);
  return {x, x};
}
IQK_INLINE Bytes splat(int x) {
  const __m256i v = _mm256_set1_epi8(static_cast<char>(x));
  return {v, v};
}
IQK_INLINE Bytes operator&(Bytes x, Bytes y) {
  return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
}
IQK_INLINE Bytes operator|(Bytes x, Bytes y) {
  return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}
IQK_INLINE Bytes operator^(Bytes x, Bytes y) {
  return {_mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b)};
}
IQK_INLINE Bytes operator+(Bytes x, Bytes y) {
  return {_mm256_add_epi8(x.a, y.a), _mm256_add_epi8(x.b, y.b)};
}
IQK_INLINE Bytes operator-(Bytes x, Bytes y) {
  return {_mm256_sub_epi8(x.a, y.a), _mm256_sub_epi8(x.b, y.b)};
}
template <int N>
IQK_INLINE Bytes shr16(Bytes x) {
  return {_mm256_srli_epi16(x.a, N), _mm256_srli_epi16(x.b, N)};
}
template <int N>
IQK_INLINE Bytes shl16(Bytes x) {
  return {_mm256_slli_epi16(x.a, N), _mm256_slli_epi16(x.b, N)};
}
template <int A, int B>
IQK_INLINE Bytes shr16_halves(Bytes x) {
  return {_mm256_srli_epi16(x.a, A), _mm256_srli_epi16(x.b, B)};
}
IQK_INLINE Bytes zip_lo8(Bytes x, Bytes y) {
  return {_mm256_unpacklo_epi8(x.a, y.a), _mm256_unpacklo_epi8(x.b, y.b)};
}
IQK_INLINE Bytes zip_hi8(Bytes x, Bytes y) {
  return {_mm256_unpackhi_epi8(x.a, y.a), _mm256_unpackhi_epi8(x.b, y.b)};
}
IQK_INLINE Bytes zip_lo32(Bytes x, Bytes y) {
  return {_mm256_unpacklo_epi32(x.a, y.a), _mm256_unpacklo_epi32(x.b, y.b)};
}
IQK_INLINE Bytes zip_hi32(Bytes x, Bytes y) {
  return {_mm256_unpackhi_epi32(x.a, y.a), _mm256_unpackhi_epi32(x.b, y.b)};
}
IQK_INLINE Bytes zip_lo64(Bytes x, Bytes y) {
  return {_mm256_unpacklo_epi64(x.a, y.a), _mm256_unpacklo_epi64(x.b, y.b)};
}
IQK_INLINE Bytes zip_hi64(Bytes x, Bytes y) {
  return {_mm256_unpackhi_epi64(x.a, y.a), _mm256_unpackhi_epi64(x.b, y.b)};
}
IQK_INLINE __m256i zip_even32(__m256i x, __m256i y) {
  return _mm256_blend_epi32(x, _mm256_slli_epi64(y, 32), 0xaa);
}
IQK_INLINE __m256i zip_odd32(__m256i x, __m256i y) {
  return _mm256_blend_epi32(_mm256_srli_epi64(x, 32), y, 0xaa);
}
IQK_INLINE Bytes zip_even32(Bytes x, Bytes y) { return {zip_even32(x.a, y.a), zip_even32(x.b, y.b)}; }
IQK_INLINE Bytes zip_odd32(Bytes x, Bytes y) { return {zip_odd32(x.a, y.a), zip_odd32(x.b, y.b)}; }
IQK_INLINE Bytes lookup(Bytes table, Bytes index) {
  return {_mm256_shuffle_epi8(table.a, index.a), _mm256_shuffle_epi8(table.b, index.b)};
}
IQK_INLINE Bytes lookup_low(Bytes table, Bytes x) { return lookup(table, x & splat(15)); }
IQK_INLINE Bytes lookup_high(Bytes table, Bytes x) { return lookup(table, shr16<4>(x) & splat(15)); }
// y where bit 7 of the byte of `mask` is set, else x.
IQK_INLINE Bytes select_top(Bytes mask, Bytes x, Bytes y) {
  return {_mm256_blendv_epi8(x.a, y.a, mask.a), _mm256_blendv_epi8(x.b, y.b, mask.b)};
}
struct Table32 {
  Bytes part[2];
};
struct Table64 {
  Bytes part[4];
};
IQK_INLINE Table32 load_table32(const void* p) {
  const uint8_t* x = static_cast<const uint8_t*>(p);
  return {{load_broadcast(x), load_broadcast(x + 16)}};
}
IQK_INLINE Table64 load_table64(const void* p) {
  const uint8_t* x = static_cast<const uint8_t*>(p);
  return {{load_broadcast(x), load_broadcast(x + 16), load_broadcast(x + 32), load_broadcast(x + 48)}};
}
// pshufb looks at bits 0-3 and 7 only, and the bits above 5 are 0.
IQK_INLINE Bytes lookup(const Table32& t, Bytes x) {
  return select_top(shl16<3>(x), lookup(t.part[0], x), lookup(t.part[1], x));
}
IQK_INLINE Bytes lookup(const Table64& t, Bytes x) {
  const Bytes bit4 = shl16<3>(x), bit5 = shl16<2>(x);
  return select_top(bit5, select_top(bit4, lookup(t.part[0], x), lookup(t.part[1], x)),
                    select_top(bit4, lookup(t.part[2], x), lookup(t.part[3], x)));
}
// 0xff where bit (i mod 8) of byte from[i / 8] of x's lane is set.
IQK_INLINE __m256i bits_to_mask(__m256i x, __m256i from) {
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  return _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(x, from), bit), bit);
}
IQK_INLINE Bytes expand_bits(uint64_t bits, int value) {
  const __m256i x = _mm256_set1_epi64x(static_cast<int64_t>(bits));
  const __m256i lo = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i hi = _mm256_add_epi8(lo, _mm256_set1_epi8(4)), v = _mm256_set1_epi8(static_cast<char>(value));
  return {_mm256_and_si256(bits_to_mask(x, lo), v), _mm256_and_si256(bits_to_mask(x, hi), v)};
}
IQK_INLINE Bytes bytes_of(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g,
                          uint64_t h) {
  const auto four = [](uint64_t w, uint64_t x, uint64_t y, uint64_t z) {
    return _mm256_setr_epi64x(static_cast<int64_t>(w), static_cast<int64_t>(x), static_cast<int64_t>(y),
                              static_cast<int64_t>(z));
  };
  return {four(a, b, c, d), four(e, f, g, h)};
}
IQK_INLINE Bytes equal(Bytes x, Bytes y) {
  return {_mm256_cmpeq_epi8(x.a, y.a), _mm256_cmpeq_epi8(x.b, y.b)};
}
IQK_INLINE Bytes abs8(Bytes x) { return {_mm256_abs_epi8(x.a), _mm256_abs_epi8(x.b)}; }
IQK_INLINE Bytes negate_where(Bytes x, Bytes bits, Bytes mask) {
  const Bytes minus = equal(bits & mask, mask);
  return (x ^ minus) - minus;
}
IQK_INLINE Bytes add_unless(Bytes x, Bytes bits, Bytes mask, Bytes y) {
  return x + (equal(bits & mask, splat(0)) & y);
}
IQK_INLINE Bytes splat16(int x) {
  const __m256i v = _mm256_set1_epi16(static_cast<int16_t>(x));
  return {v, v};
}
IQK_INLINE Bytes splat32(uint32_t x) {
  const __m256i v = _mm256_set1_epi32(static_cast<int>(x));
  return {v, v};
}
IQK_INLINE Bytes mul16(Bytes x, Bytes y) {
  return {_mm256_mullo_epi16(x.a, y.a), _mm256_mullo_epi16(x.b, y.b)};
}
template <int N>
IQK_INLINE Bytes shl32(Bytes x) {
  return {_mm256_slli_epi32(x.a, N), _mm256_slli_epi32(x.b, N)};
}
IQK_INLINE Bytes shr32(Bytes x, Bytes counts) {
  return {_mm256_srlv_epi32(x.a, counts.a), _mm256_srlv_epi32(x.b, counts.b)};
}
template <int A, int B, int C, int D>
IQK_INLINE Bytes shr32(Bytes x) {
  if constexpr (A == B && B == C && C == D) return {_mm256_srli_epi32(x.a, A), _mm256_srli_epi32(x.b, A)};
  const __m256i count = _mm256_setr_epi32(A, B, C, D, A, B, C, D);
  return {_mm256_srlv_epi32(x.a, count), _mm256_srlv_epi32(x.b, count)};
}
IQK_INLINE uint64_t lowest_word_bits(const uint8_t* p) {
  const auto mask = [](const uint8_t* q) IQK_LAMBDA {
    const Bytes x = shl16<15>(load(q));  // words become bytes, by signed saturation
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(x.a, x.b), 0xd8);
    return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
  };
  return mask(p) | static_cast<uint64_t>(mask(p + 64)) << 32;
}
IQK_INLINE Bytes zip_lo128(Bytes x, Bytes y) {
  return {_mm256_permute2x128_si256(x.a, y.a, 0x20), _mm256_permute2x128_si256(x.a, y.a, 0x31)};
}
IQK_INLINE Bytes zip_hi128(Bytes x, Bytes y) {
  return {_mm256_permute2x128_si256(x.b, y.b, 0x20), _mm256_permute2x128_si256(x.b, y.b, 0x31)};
}
IQK_INLINE Bytes even_lanes(Bytes x, Bytes y) {
  return {_mm256_permute2x128_si256(x.a, x.b, 0x20), _mm256_permute2x128_si256(y.a, y.b, 0x20)};
}
IQK_INLINE Bytes odd_lanes(Bytes x, Bytes y) {
  return {_mm256_permute2x128_si256(x.a, x.b, 0x31), _mm256_permute2x128_si256(y.a, y.b, 0x31)};
}
IQK_INLINE Bytes mul32(Bytes x, uint32_t factor) {
  const __m256i f = _mm256_set1_epi32(static_cast<int>(factor));
  return {_mm256_mullo_epi32(x.a, f), _mm256_mullo_epi32(x.b, f)};
}
IQK_INLINE Bytes add32(Bytes x, Bytes y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
IQK_INLINE Bytes add32(Bytes x, uint32_t term) {
  const __m256i t = _mm256_set1_epi32(static_cast<int>(term));
  return add32(x, Bytes{t, t});
}
IQK_INLINE __m256i byte_sums256(__m256i a, __m256i b, __m256i c, __m256i d) {
  // Words hold two sums of two bytes, of a and b, of c and d; the other half of the dword holds the rest of
  // each sum.
  const __m256i one = _mm256_set1_epi8(1);
  const __m256i ab =
      _mm256_or_si256(_mm256_maddubs_epi16(a, one), _mm256_slli_epi16(_mm256_maddubs_epi16(b, one), 8));
  const __m256i cd =
      _mm256_or_si256(_mm256_maddubs_epi16(c, one), _mm256_slli_epi16(_mm256_maddubs_epi16(d, one), 8));
  return _mm256_add_epi8(_mm256_blend_epi16(ab, cd, 0xaa),
                         _mm256_or_si256(_mm256_srli_epi32(ab, 16), _mm256_slli_epi32(cd, 16)));
}
IQK_INLINE Bytes byte_sums(Bytes a, Bytes b, Bytes c, Bytes d) {
  return {byte_sums256(a.a, b.a, c.a, d.a), byte_sums256(a.b, b.b, c.b, d.b)};
}
IQK_INLINE Bytes transpose_lanes32(Bytes x) {
  // Dwords of lanes 0 and 2 (x0, x2) and of 1 and 3 (x1, x3) interleaved, then once more, are columns.
  const __m256i p = _mm256_permute2x128_si256(x.a, x.b, 0x20), q = _mm256_permute2x128_si256(x.a, x.b, 0x31);
  const __m256i lo = _mm256_unpacklo_epi32(p, q), hi = _mm256_unpackhi_epi32(p, q);
  // lo lane 0: 00 10 01 11 (row, column), lane 1: 20 30 21 31; hi: columns 2 and 3.
  const __m256i l = _mm256_permute4x64_epi64(lo, 0xd8), h = _mm256_permute4x64_epi64(hi, 0xd8);
  return {l, h};
}

// ---- Floats<16> and Ints ---------------------------------------------------------------------------------

template <>
struct Floats<16> {
  __m256 a, b;
};
struct Ints {
  __m256i a, b;
};
IQK_INLINE Floats<8> lower(Floats<16> x) { return {x.a}; }
IQK_INLINE Floats<8> upper(Floats<16> x) { return {x.b}; }
IQK_INLINE Floats<16> floats_i32(Bytes dwords) {
  return {_mm256_cvtepi32_ps(dwords.a), _mm256_cvtepi32_ps(dwords.b)};
}
IQK_INLINE Floats<16> look_up_floats(const int8_t* table, Bytes dwords) {
  const __m256i entries = _mm256_broadcastsi128_si256(small_load(table).v);
  const auto half = [&](__m256i x) IQK_LAMBDA {  // the entry comes into the highest byte
    const __m256i index = _mm256_or_si256(_mm256_slli_epi32(x, 24), _mm256_set1_epi32(0x00808080));
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(
        _mm256_shuffle_epi8(entries, _mm256_and_si256(index, _mm256_set1_epi32(0x0f808080))), 24));
  };
  return {half(dwords.a), half(dwords.b)};
}
IQK_INLINE Floats<16> to_float(Ints x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
IQK_INLINE Floats<16> as_floats(Ints x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
IQK_INLINE Floats<8> folded_to_float(Ints x) { return {_mm256_cvtepi32_ps(_mm256_add_epi32(x.a, x.b))}; }
template <int N>
IQK_INLINE Floats<N> fsplat(float x) {
  if constexpr (N == 8)
    return {_mm256_set1_ps(x)};
  else
    return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
template <int N>
IQK_INLINE Floats<N> splats(__m256 x) {
  if constexpr (N == 8)
    return {x};
  else
    return {x, x};
}
template <int N>
IQK_INLINE Floats<N> splat_half(const uint8_t* p) {
  return splats<N>(_mm256_broadcastss_ps(four_halves(p)));
}
template <int N>
IQK_INLINE Floats<N> splat_last_half(const uint8_t* p) {
  return splats<N>(
      _mm256_permutevar8x32_ps(_mm256_castps128_ps256(four_halves(p - 6)), _mm256_set1_epi32(3)));
}
template <int Apart>
IQK_INLINE Floats<16> splat_half_and_minus(const uint8_t* p) {
  return {splat_half<8>(p).v, (splat_half<8>(p + Apart) * Floats<8>{_mm256_set1_ps(-1)}).v};
}
template <int Stride>
IQK_INLINE Floats<16> strided_half_pairs(const uint8_t* p) {
  return {strided_halves<Stride>(p).v, strided_halves<Stride>(p + 2).v};
}
template <int N>
IQK_INLINE Floats<N> fload(const float* p) {
  if constexpr (N == 8)
    return {_mm256_loadu_ps(p)};
  else
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
IQK_INLINE void fstore(float* p, Floats<8> x) { _mm256_storeu_ps(p, x.v); }
IQK_INLINE void fstore(float* p, Floats<16> x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
IQK_INLINE Floats<16> operator*(Floats<16> x, Floats<16> y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
IQK_INLINE Floats<16> operator+(Floats<16> x, Floats<16> y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
IQK_INLINE Floats<16> fma(Floats<16> x, Floats<16> y, Floats<16> z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
IQK_INLINE __m256 where256(uint32_t bits, __m256 y) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), bit);
  return _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bit)), y);
}
IQK_INLINE Floats<8> add_where(Floats<8> x, uint32_t bits, Floats<8> y) {
  return {_mm256_add_ps(x.v, where256(bits, y.v))};
}
IQK_INLINE Floats<16> add_where(Floats<16> x, uint32_t bits, Floats<16> y) {
  return {_mm256_add_ps(x.a, where256(bits, y.a)), _mm256_add_ps(x.b, where256(bits >> 8, y.b))};
}
IQK_INLINE Floats<8> fma_where(Floats<8> x, Floats<8> y, Floats<8> z, uint32_t bits) {
  return fma(Floats<8>{where256(bits, x.v)}, y, z);
}
IQK_INLINE Floats<16> fma_where(Floats<16> x, Floats<16> y, Floats<16> z, uint32_t bits) {
  return fma(Floats<16>{where256(bits, x.a), where256(bits >> 8, x.b)}, y, z);
}
IQK_INLINE float sum(Floats<16> x) { return sum(Floats<8>{_mm256_add_ps(x.a, x.b)}); }
template <int C>
IQK_INLINE void store_sums(const Floats<16> (&x)[C], float* to) {
  if constexpr (C == 4) {
    const auto two = [&](int c) IQK_LAMBDA {
      return _mm256_hadd_ps(_mm256_add_ps(x[c].a, x[c].b), _mm256_add_ps(x[c + 1].a, x[c + 1].b));
    };
    const __m256 all = _mm256_hadd_ps(two(0), two(2));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
  } else {
    for (int c = 0; c < C; ++c) to[c] = sum(x[c]);
  }
}
IQK_INLINE Floats<16> add_lowest(Floats<16> x, Floats<8> y) { return {_mm256_add_ps(x.a, y.v), x.b}; }
IQK_INLINE Floats<16> add_lowest(Floats<16> x, Floats<16> y) { return x + y; }

template <class Map, int From>
IQK_INLINE __m256 spread8(Floats<8> x) {
  return _mm256_permutevar8x32_ps(
      x.v, _mm256_setr_epi32(Map::at[From], Map::at[From + 1], Map::at[From + 2], Map::at[From + 3],
                             Map::at[From + 4], Map::at[From + 5], Map::at[From + 6], Map::at[From + 7]));
}
// Of 16 elements: one permutation where all eight lie in one register, else two and a blend.
template <class Map, int From>
IQK_INLINE __m256 spread8(Floats<16> x) {
  constexpr int upper = (Map::at[From] / 8) + (Map::at[From + 1] / 8) * 2 + (Map::at[From + 2] / 8) * 4 +
                        (Map::at[From + 3] / 8) * 8 + (Map::at[From + 4] / 8) * 16 +
                        (Map::at[From + 5] / 8) * 32 + (Map::at[From + 6] / 8) * 64 +
                        (Map::at[From + 7] / 8) * 128;
  if constexpr (upper == 0) return spread8<Map, From>(Floats<8>{x.a});
  if constexpr (upper == 255) return spread8<Map, From>(Floats<8>{x.b});
  const __m256 lo = spread8<Map, From>(Floats<8>{x.a}), hi = spread8<Map, From>(Floats<8>{x.b});
  return _mm256_blend_ps(lo, hi, upper);
}
template <class Map, int N>
IQK_INLINE Floats<16> spread(Floats<N> x) {
  return {spread8<Map, 0>(x), spread8<Map, 8>(x)};
}
template <class Map, int Stride>
IQK_INLINE Floats<16> strided_half_lanes(const uint8_t* p) {
  return spread<Map>(strided_halves<Stride>(p));
}
template <int N>
IQK_INLINE Floats<N> floats_i8(Small x) {
  const __m256 lo = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x.v));
  if constexpr (N == 8)
    return {lo};
  else
    return {lo, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(x.v, x.v)))};
}
template <int N>
IQK_INLINE Floats<N> floats_u8(Small x) {
  const __m256 lo = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x.v));
  if constexpr (N == 8)
    return {lo};
  else
    return {lo, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(x.v, x.v)))};
}
IQK_INLINE Floats<16> load_f32(const void* p) { return fload<16>(static_cast<const float*>(p)); }
IQK_INLINE Floats<16> load_f16(const void* p) {
  return {_mm256_cvtph_ps(small_load(p).v),
          _mm256_cvtph_ps(small_load(static_cast<const uint8_t*>(p) + 16).v)};
}
IQK_INLINE __m256 bf16_to_ps(__m128i x) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
IQK_INLINE Floats<16> floats_f16(Small x, Small y) { return {_mm256_cvtph_ps(x.v), _mm256_cvtph_ps(y.v)}; }
IQK_INLINE Floats<16> load_bf16(const void* p) {
  return {bf16_to_ps(small_load(p).v), bf16_to_ps(small_load(static_cast<const uint8_t*>(p) + 16).v)};
}

// ---- Panel transposition ---------------------------------------------------------------------------------

// Eight rows of eight dwords.
IQK_INLINE void transpose8(const uint8_t* rows, ptrdiff_t stride, uint8_t* to, const uint8_t* at,
                           ptrdiff_t line_stride) {
  const auto row = [&](int r) { return load256(rows + r * stride); };
  const __m256i a0 = _mm256_unpacklo_epi32(row(0), row(1)), a1 = _mm256_unpackhi_epi32(row(0), row(1));
  const __m256i a2 = _mm256_unpacklo_epi32(row(2), row(3)), a3 = _mm256_unpackhi_epi32(row(2), row(3));
  const __m256i a4 = _mm256_unpacklo_epi32(row(4), row(5)), a5 = _mm256_unpackhi_epi32(row(4), row(5));
  const __m256i a6 = _mm256_unpacklo_epi32(row(6), row(7)), a7 = _mm256_unpackhi_epi32(row(6), row(7));
  const auto put = [&](int d, __m256i lo, __m256i hi) {  // dword d of the low lanes, d + 4 of the high lanes
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at[d] * line_stride),
                        _mm256_permute2x128_si256(lo, hi, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at[d + 4] * line_stride),
                        _mm256_permute2x128_si256(lo, hi, 0x31));
  };
  put(0, _mm256_unpacklo_epi64(a0, a2), _mm256_unpacklo_epi64(a4, a6));
  put(1, _mm256_unpackhi_epi64(a0, a2), _mm256_unpackhi_epi64(a4, a6));
  put(2, _mm256_unpacklo_epi64(a1, a3), _mm256_unpacklo_epi64(a5, a7));
  put(3, _mm256_unpackhi_epi64(a1, a3), _mm256_unpackhi_epi64(a5, a7));
}
IQK_INLINE void transpose16(const uint8_t* rows, ptrdiff_t stride, uint8_t* to, const uint8_t* at,
                            ptrdiff_t line_stride) {
  for (int half = 0; half < 2; ++half) {  // rows 0-7, 8-15
    transpose8(rows + half * 8 * stride, stride, to + 32 * half, at, line_stride);
    transpose8(rows + half * 8 * stride + 32, stride, to + 32 * half, at + 8, line_stride);
  }
}

// ---- Codebooks -------------------------------------------------------------------------------------------

// Entries of codebooks side by side.
IQK_INLINE __m128i two_entries(const uint64_t* p, const uint64_t* q) {
  const __m128i lo = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(lo), reinterpret_cast<const __m64*>(q)));
}
IQK_INLINE __m128i four_entries(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  const __m128i ab = _mm_insert_epi32(_mm_cvtsi32_si128(static_cast<int>(a)), static_cast<int>(b), 1);
  return _mm_insert_epi32(_mm_insert_epi32(ab, static_cast<int>(c), 2), static_cast<int>(d), 3);
}
template <int From, class Index>
IQK_INLINE __m256i grid8_half(const uint64_t* grid, Index at) {
  const __m128i lo = two_entries(grid + at(Constant<From>{}), grid + at(Constant<From + 1>{}));
  const __m128i hi = two_entries(grid + at(Constant<From + 2>{}), grid + at(Constant<From + 3>{}));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(lo), hi, 1);
}
template <class Index>
IQK_INLINE Bytes grid8(const uint64_t* grid, Index at) {
  return {grid8_half<0>(grid, at), grid8_half<4>(grid, at)};
}
template <int From, class Index>
IQK_INLINE __m128i grid4_lane(const uint32_t* grid, Index at) {
  return four_entries(grid[at(Constant<From>{})], grid[at(Constant<From + 1>{})],
                      grid[at(Constant<From + 2>{})], grid[at(Constant<From + 3>{})]);
}
template <class Index>
IQK_INLINE Bytes grid4(const uint32_t* grid, Index at) {
  const auto two = [](__m128i lo, __m128i hi) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(lo), hi, 1);
  };
  return {two(grid4_lane<0>(grid, at), grid4_lane<4>(grid, at)),
          two(grid4_lane<8>(grid, at), grid4_lane<12>(grid, at))};
}
// Dwords 0-3 in both lanes of lo, 4-7 in both lanes of hi.
struct Signs {
  __m256i lo, hi;
};
IQK_INLINE Signs signs_of(__m128i lo, __m128i hi) {
  return {_mm256_broadcastsi128_si256(lo), _mm256_broadcastsi128_si256(hi)};
}
IQK_INLINE Signs load_signs(const uint8_t* p) { return signs_of(small_load(p).v, small_load(p + 16).v); }
// Bits 0-6 with bit 7 = their parity.
IQK_INLINE __m256i with_parity(__m256i field) {
  const __m256i odd =
      _mm256_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0,  //
                       0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0);
  const __m256i folded =
      _mm256_and_si256(_mm256_xor_si256(field, _mm256_srli_epi16(field, 4)), _mm256_set1_epi8(15));
  return _mm256_or_si256(field, _mm256_shuffle_epi8(odd, folded));
}
IQK_INLINE Signs both_lanes(__m256i x) {
  return {_mm256_permute2x128_si256(x, x, 0x00), _mm256_permute2x128_si256(x, x, 0x11)};
}
// Eight dwords Stride apart; none of the bytes behind the last one is read.
template <int Stride>
IQK_INLINE __m256i strided_dwords(const uint8_t* p) {
  static_assert(Stride == 4 || Stride == 8);
  if constexpr (Stride == 4) return load256(p);
  const __m256 first = _mm256_castsi256_ps(load256(p)), last = _mm256_castsi256_ps(load256(p + 28));
  // 0, 1, 4, 5, then 2, 3, 6, 7.
  const __m256 x = _mm256_shuffle_ps(first, last, _MM_SHUFFLE(3, 1, 2, 0));
  return _mm256_permute4x64_epi64(_mm256_castps_si256(x), 0xd8);
}
template <int Stride>
IQK_INLINE Floats<8> top_nibbles(const uint8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_srli_epi32(strided_dwords<Stride>(p), 28))};
}
template <int Stride>
IQK_INLINE Signs load_sign_fields(const uint8_t* p) {
  const __m256i x = strided_dwords<Stride>(p);
  const auto mask = [](int m) { return _mm256_set1_epi32(m); };
  const __m256i f0 = _mm256_and_si256(x, mask(0x7f)),
                f1 = _mm256_and_si256(_mm256_slli_epi32(x, 1), mask(0x7f00)),
                f2 = _mm256_and_si256(_mm256_slli_epi32(x, 2), mask(0x7f0000)),
                f3 = _mm256_and_si256(_mm256_slli_epi32(x, 3), mask(0x7f000000));
  return both_lanes(with_parity(_mm256_or_si256(_mm256_or_si256(f0, f1), _mm256_or_si256(f2, f3))));
}
IQK_INLINE Signs load_sign_words(const uint8_t* p) {
  const __m256i lo = _mm256_srli_epi16(load256(p), 9), hi = _mm256_srli_epi16(load256(p + 32), 9);
  return both_lanes(with_parity(_mm256_permute4x64_epi64(_mm256_packus_epi16(lo, hi), 0xd8)));
}
template <int V>
IQK_INLINE Bytes flip_signs(Bytes x, const Signs& signs, int twice) {
  const __m256i from = _mm256_setr_epi64x(0x0101010101010101 * V, 0x0101010101010101 * (V + 4),
                                          0x0101010101010101 * (V + 8), 0x0101010101010101 * (V + 12));
  return select_top({bits_to_mask(signs.lo, from), bits_to_mask(signs.hi, from)}, x, splat(twice) - x);
}

}  // namespace IQK_NS

#include "iqk/isa/grids.h"

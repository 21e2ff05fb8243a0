// AVX-512 F, BW, DQ, VL and VNNI. Definitions: generic.h.
#pragma once

#include "iqk/isa/avx512.h"

namespace IQK_NS {

// ---- Look-ups --------------------------------------------------------------------------------------------

IQK_INLINE Bytes lookup_low(Bytes table, Bytes x) { return lookup(table, x & splat(15)); }
IQK_INLINE Bytes lookup_high(Bytes table, Bytes x) { return lookup(table, shr16<4>(x) & splat(15)); }
struct Table32 {
  Bytes part[2];
};
struct Table64 {
  Bytes part[4];
};
IQK_INLINE Table32 load_table32(const void* q) {
  const uint8_t* p = static_cast<const uint8_t*>(q);
  return {{load_broadcast(p), load_broadcast(p + 16)}};
}
IQK_INLINE Table64 load_table64(const void* q) {
  const uint8_t* p = static_cast<const uint8_t*>(q);

  return {{load_broadcast(p), load_broadcast(p + 16), load_broadcast(p + 32), load_broadcast(p + 48)}};
}
// vpshufb looks at bits 0-3 and 7 only, and the bits above 5 are 0. `bit4` chooses between two parts.
IQK_INLINE __m512i lookup_pair(Bytes lo, Bytes hi, __mmask64 bit4, Bytes x) {
  return _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(lo.v, x.v), bit4, hi.v, x.v);
}
IQK_INLINE Bytes lookup(const Table32& t, Bytes x) {
  return {lookup_pair(t.part[0], t.part[1], _mm512_test_epi8_mask(x.v, splat(16).v), x)};
}
IQK_INLINE Bytes lookup(const Table64& t, Bytes x) {
  const __mmask64 bit4 = _mm512_test_epi8_mask(x.v, splat(16).v);
  const __mmask64 bit5 = _mm512_test_epi8_mask(x.v, splat(32).v);
  return {_mm512_mask_blend_epi8(bit5, lookup_pair(t.part[0], t.part[1], bit4, x),
                                 lookup_pair(t.part[2], t.part[3], bit4, x))};
}

// ---- Codebooks -------------------------------------------------------------------------------------------

// Dword c in the low half of qword c.
struct Signs {
  __m512i v;
};
IQK_INLINE Signs load_signs(const uint8_t* p) { return {_mm512_cvtepu32_epi64(load256(p))}; }
// Parity of a nibble, in bit 7.
IQK_INLINE __m128i nibble_parity() {
  return _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0);
}
constexpr int kXorAnd = 0x28, kAndOr = 0xec;  // vpternlog: (x ^ y) & z, (x & z) | y
template <int Stride>
IQK_INLINE Signs load_sign_fields(const uint8_t* p) {
  const auto mask = [](int m) { return _mm256_set1_epi32(m); };
  const __m256i x = strided_dwords<Stride>(p);
  __m256i field = _mm256_and_si256(x, mask(0x7f));
  field = _mm256_ternarylogic_epi32(_mm256_slli_epi32(x, 1), field, mask(0x7f00), kAndOr);
  field = _mm256_ternarylogic_epi32(_mm256_slli_epi32(x, 2), field, mask(0x7f0000), kAndOr);
  field = _mm256_ternarylogic_epi32(_mm256_slli_epi32(x, 3), field, mask(0x7f000000), kAndOr);
  const __m256i folded =
      _mm256_ternarylogic_epi32(field, _mm256_srli_epi16(field, 4), _mm256_set1_epi8(15), kXorAnd);
  const __m256i parity = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(nibble_parity()), folded);
  return {_mm512_cvtepu32_epi64(_mm256_or_si256(field, parity))};
}
template <int Stride>
IQK_INLINE Floats<8> top_nibbles(const uint8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_srli_epi32(strided_dwords<Stride>(p), 28))};
}
IQK_INLINE Signs load_sign_words(const uint8_t* p) {
  const __m512i low_bytes =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 4, 6, -1, -1, -1, -1, 8, 10, 12, 14, -1, -1, -1, -1));
  const __m512i field = _mm512_shuffle_epi8(_mm512_srli_epi16(load(p).v, 9), low_bytes);
  const __m512i folded =
      _mm512_ternarylogic_epi32(field, _mm512_srli_epi16(field, 4), _mm512_set1_epi8(15), kXorAnd);
  const __m512i parity = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(nibble_parity()), folded);
  return {_mm512_or_si512(field, parity)};
}
template <int V>
IQK_INLINE Bytes flip_signs(Bytes x, const Signs& signs, int twice) {
  const __m512i byte_v =
      _mm512_broadcast_i32x4(_mm_set_epi64x(0x0101010101010101 * (V + 8), 0x0101010101010101 * V));
  const __m512i bit = _mm512_set1_epi64(static_cast<int64_t>(0x8040201008040201));
  const __mmask64 negative = _mm512_test_epi8_mask(_mm512_shuffle_epi8(signs.v, byte_v), bit);
  return {_mm512_mask_sub_epi8(x.v, negative, splat(twice).v, x.v)};
}

}  // namespace IQK_NS

#include "iqk/isa/grids.h"

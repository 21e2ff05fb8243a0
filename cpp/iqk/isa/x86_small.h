// Small (16 bytes) and Floats<8> on x86 with AVX2, FMA and F16C: shared by all x86 tiers. Definitions:
// generic.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "iqk/base/inline.h"
#include "iqk/base/unroll.h"

namespace IQK_NS {

struct Small {
  __m128i v;
};
IQK_INLINE Small small_load(const void* p) { return {_mm_loadu_si128(static_cast<const __m128i*>(p))}; }
IQK_INLINE Small small_load8(const void* p) { return {_mm_loadl_epi64(static_cast<const __m128i*>(p))}; }
IQK_INLINE Small small_load4(const void* p) {
  int32_t x;
  std::memcpy(&x, p, 4);
  return {_mm_cvtsi32_si128(x)};
}
IQK_INLINE void small_store(void* p, Small x) { _mm_storeu_si128(static_cast<__m128i*>(p), x.v); }
IQK_INLINE Small small_splat(int x) { return {_mm_set1_epi8(static_cast<char>(x))}; }
IQK_INLINE Small small_splat32(uint32_t x) { return {_mm_set1_epi32(static_cast<int>(x))}; }
IQK_INLINE Small small_of(uint64_t low, uint64_t high) {
  return {_mm_set_epi64x(static_cast<int64_t>(high), static_cast<int64_t>(low))};
}
IQK_INLINE uint64_t low64(Small x) { return static_cast<uint64_t>(_mm_cvtsi128_si64(x.v)); }
IQK_INLINE Small operator&(Small x, Small y) { return {_mm_and_si128(x.v, y.v)}; }
IQK_INLINE Small operator|(Small x, Small y) { return {_mm_or_si128(x.v, y.v)}; }
IQK_INLINE Small operator^(Small x, Small y) { return {_mm_xor_si128(x.v, y.v)}; }
IQK_INLINE Small operator+(Small x, Small y) { return {_mm_add_epi8(x.v, y.v)}; }
IQK_INLINE Small operator-(Small x, Small y) { return {_mm_sub_epi8(x.v, y.v)}; }
template <int N>
IQK_INLINE Small shr16(Small x) {
  return {_mm_srli_epi16(x.v, N)};
}
template <int N>
IQK_INLINE Small shl16(Small x) {
  return {_mm_slli_epi16(x.v, N)};
}
template <int A, int B, int C, int D>
IQK_INLINE Small shr32(Small x) {
  return {_mm_srlv_epi32(x.v, _mm_setr_epi32(A, B, C, D))};
}
IQK_INLINE Small zip_lo8(Small x, Small y) { return {_mm_unpacklo_epi8(x.v, y.v)}; }
IQK_INLINE Small zip_lo32(Small x, Small y) { return {_mm_unpacklo_epi32(x.v, y.v)}; }
IQK_INLINE Small zip_lo64(Small x, Small y) { return {_mm_unpacklo_epi64(x.v, y.v)}; }
template <int... I>
IQK_INLINE Small shuffle(Small x) {
  return {_mm_shuffle_epi8(x.v, _mm_setr_epi8(static_cast<char>(I)...))};
}
IQK_INLINE Small lookup(Small table, Small index) { return {_mm_shuffle_epi8(table.v, index.v)}; }

template <int N>
struct Floats;
template <>
struct Floats<8> {
  __m256 v;
};
IQK_INLINE Floats<8> look_up_floats(const float* table, Small codes) {
  return {_mm256_i32gather_ps(table, _mm256_cvtepu8_epi32(codes.v), 4)};
}
IQK_INLINE Floats<8> fsplat_two(const float* p, const float* q) {
  return {_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_broadcast_ss(p)), _mm_broadcast_ss(q), 1)};
}
IQK_INLINE void fstore_two(float* p, float* q, Floats<8> x) {
  _mm_storeu_ps(p, _mm256_castps256_ps128(x.v));
  _mm_storeu_ps(q, _mm256_extractf128_ps(x.v, 1));
}
IQK_INLINE Floats<8> operator*(Floats<8> x, Floats<8> y) { return {_mm256_mul_ps(x.v, y.v)}; }
IQK_INLINE Floats<8> operator+(Floats<8> x, Floats<8> y) { return {_mm256_add_ps(x.v, y.v)}; }
IQK_INLINE Floats<8> fma(Floats<8> x, Floats<8> y, Floats<8> z) { return {_mm256_fmadd_ps(x.v, y.v, z.v)}; }
IQK_INLINE float sum(Floats<8> x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// Converted from memory, which takes no shuffle.
IQK_INLINE __m128 four_halves(const uint8_t* p) {
  return _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
template <int Stride>
IQK_INLINE __m128i strided_words(const uint8_t* p) {
  if constexpr (Stride == 2) return small_load(p).v;
  const auto at = [p](int i) {
    uint16_t x;
    std::memcpy(&x, p + i * Stride, 2);
    return x;
  };
  __m128i a = _mm_cvtsi32_si128(at(0)), b = _mm_cvtsi32_si128(at(4));
  a = _mm_insert_epi16(a, at(1), 1);
  b = _mm_insert_epi16(b, at(5), 1);
  a = _mm_insert_epi16(a, at(2), 2);
  b = _mm_insert_epi16(b, at(6), 2);
  a = _mm_insert_epi16(a, at(3), 3);
  b = _mm_insert_epi16(b, at(7), 3);
  return _mm_unpacklo_epi64(a, b);
}
template <int Stride>
IQK_INLINE Floats<8> strided_halves(const uint8_t* p) {
  return {_mm256_cvtph_ps(strided_words<Stride>(p))};
}
// 2^(e - 128) of e << 23. The exponent field of that is e - 1; below 2 it is subnormal, 2^-127 and 2^-128,
// and larger than what the field says; from 2 on it is smaller.
IQK_INLINE Floats<8> powers(__m256i e) {
  const __m256i normal = _mm256_sub_epi32(e, _mm256_set1_epi32(1 << 23));
  const __m256i subnormal = _mm256_add_epi32(_mm256_srli_epi32(e, 2), _mm256_set1_epi32(1 << 21));
  return {_mm256_castsi256_ps(_mm256_max_epi32(normal, subnormal))};
}
template <int Stride>
IQK_INLINE Floats<8> strided_powers(const uint8_t* p) {
  if constexpr (Stride == 1)
    return powers(_mm256_slli_epi32(_mm256_cvtepu8_epi32(small_load8(p).v), 23));
  else
    return powers(
        _mm256_srli_epi32(_mm256_slli_epi32(_mm256_cvtepu16_epi32(strided_words<Stride>(p)), 24), 1));
}

}  // namespace IQK_NS

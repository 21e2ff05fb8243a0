// What the AVX-512 instruction sets share: one 512-bit register per vector. Needs F, BW, DQ, VL and VNNI;
// look-ups and signs are added by avx512vnni.h and avx512vbmi.h. Definitions: generic.h.
#pragma once

#if defined(__GNUC__) && !defined(__clang__)  // GCC 12 and 13 warn inside their own header (bug 105593)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#include "iqk/isa/x86_small.h"
#include "iqk/isa/peak_x86.h"

namespace IQK_NS {

constexpr int kSignedBias = 128;
constexpr bool kIntegerStarts = true;
constexpr int kRowsAtOnce = 2;
constexpr int kFusedColumns = 8;
constexpr bool kMerges = true;
constexpr bool kMultipliesParts = true;
constexpr bool kWholeFloats = true;
constexpr bool kLooksUpPairs = true;
constexpr int kLookupStreams = 2;
constexpr bool kPadColumn = true;
constexpr int kPanelVectors = 2;
constexpr int kPanelColumns = 6;
constexpr int kSignedColumns = 6;
constexpr int kFloatVectors = 2;
constexpr int kFloatColumns = 8;
constexpr int kPanelCodes[] = {0};
constexpr int kRowCodes[] = {0};

// ---- Bytes -----------------------------------------------------------------------------------------------

struct Bytes {
  __m512i v;
};
IQK_INLINE __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
// Dword i is at(i).
template <class At>
IQK_INLINE __m512i dwords_at(At at) {
  return _mm512_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9), at(10),
                           at(11), at(12), at(13), at(14), at(15));
}
IQK_INLINE Bytes load(const void* p) { return {_mm512_loadu_si512(p)}; }
IQK_INLINE Bytes held(Bytes x) {
  asm("" : "+v"(x.v));
  return x;
}
template <int K>
IQK_INLINE Small lane(Bytes x) {
  return {_mm512_extracti32x4_epi32(x.v, K)};
}
IQK_INLINE void store(void* p, Bytes x) { _mm512_storeu_si512(p, x.v); }
IQK_INLINE void store_halves(uint8_t* p, uint8_t* q, Bytes x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_castsi512_si256(x.v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm512_extracti64x4_epi64(x.v, 1));
}
IQK_INLINE Bytes load_lanes(const uint8_t* p, ptrdiff_t stride) {
  __m512i x = _mm512_castsi128_si512(small_load(p).v);
  x = _mm512_inserti32x4(x, small_load(p + stride).v, 1);
  x = _mm512_inserti32x4(x, small_load(p + 2 * stride).v, 2);
  return {_mm512_inserti32x4(x, small_load(p + 3 * stride).v, 3)};
}
// Of registers: pairs first.
IQK_INLINE Bytes join_lanes(__m128i a, __m128i b, __m128i c, __m128i d) {
  const __m256i ab = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
  const __m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(c), d, 1);
  return {_mm512_inserti64x4(_mm512_castsi256_si512(ab), cd, 1)};
}
IQK_INLINE Bytes load_halves(const uint8_t* p, const uint8_t* q) {
  return {_mm512_inserti64x4(_mm512_castsi256_si512(load256(p)), load256(q), 1)};
}
IQK_INLINE Bytes load_lane_pairs(const uint8_t* p, const uint8_t* q) {
  const __m256i lower = _mm256_broadcastsi128_si256(small_load(p).v);
  return {_mm512_inserti64x4(_mm512_castsi256_si512(lower), _mm256_broadcastsi128_si256(small_load(q).v), 1)};
}
IQK_INLINE Bytes load_dword_halves(const uint8_t* p, const uint8_t* q) {
  int32_t lower, upper;
  std::memcpy(&lower, p, 4);
  std::memcpy(&upper, q, 4);
  return {_mm512_mask_set1_epi32(_mm512_set1_epi32(lower), 0xff00, upper)};
}
IQK_INLINE Bytes load_broadcast(const void* p) { return {_mm512_broadcast_i32x4(small_load(p).v)}; }
IQK_INLINE Bytes splat(int x) { return {_mm512_set1_epi8(static_cast<char>(x))}; }
IQK_INLINE Bytes operator&(Bytes x, Bytes y) { return {_mm512_and_si512(x.v, y.v)}; }
IQK_INLINE Bytes operator|(Bytes x, Bytes y) { return {_mm512_or_si512(x.v, y.v)}; }
IQK_INLINE Bytes operator^(Bytes x, Bytes y) { return {_mm512_xor_si512(x.v, y.v)}; }
IQK_INLINE Bytes operator+(Bytes x, Bytes y) { return {_mm512_add_epi8(x.v, y.v)}; }
IQK_INLINE Bytes operator-(Bytes x, Bytes y) { return {_mm512_sub_epi8(x.v, y.v)}; }
template <int N>
IQK_INLINE Bytes shr16(Bytes x) {
  return {_mm512_srli_epi16(x.v, N)};
}
template <int N>
IQK_INLINE Bytes shl16(Bytes x) {
  return {_mm512_slli_epi16(x.v, N)};
}
template <int A, int B>
IQK_INLINE Bytes shr16_halves(Bytes x) {
  const __m512i count = _mm512_inserti64x4(_mm512_set1_epi16(A), _mm256_set1_epi16(B), 1);
  return {_mm512_srlv_epi16(x.v, count)};
}
IQK_INLINE Bytes zip_lo8(Bytes x, Bytes y) { return {_mm512_unpacklo_epi8(x.v, y.v)}; }
IQK_INLINE Bytes zip_hi8(Bytes x, Bytes y) { return {_mm512_unpackhi_epi8(x.v, y.v)}; }
IQK_INLINE Bytes zip_lo32(Bytes x, Bytes y) { return {_mm512_unpacklo_epi32(x.v, y.v)}; }
IQK_INLINE Bytes zip_hi32(Bytes x, Bytes y) { return {_mm512_unpackhi_epi32(x.v, y.v)}; }
IQK_INLINE Bytes zip_lo64(Bytes x, Bytes y) { return {_mm512_unpacklo_epi64(x.v, y.v)}; }
IQK_INLINE Bytes zip_hi64(Bytes x, Bytes y) { return {_mm512_unpackhi_epi64(x.v, y.v)}; }
IQK_INLINE Bytes zip_even32(Bytes x, Bytes y) {
  return {_mm512_mask_shuffle_epi32(x.v, 0xaaaa, y.v, _MM_PERM_CCAA)};
}
IQK_INLINE Bytes zip_odd32(Bytes x, Bytes y) {
  return {_mm512_mask_shuffle_epi32(y.v, 0x5555, x.v, _MM_PERM_DDBB)};
}
IQK_INLINE Bytes lookup(Bytes table, Bytes index) { return {_mm512_shuffle_epi8(table.v, index.v)}; }
// Acc multiplies unsigned codes.
IQK_INLINE Bytes signed_codes(Bytes x) { return x ^ splat(128); }
IQK_INLINE Bytes expand_bits(uint64_t bits, int value) {
  return {_mm512_maskz_mov_epi8(bits, splat(value).v)};
}
IQK_INLINE Bytes bytes_of(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g,
                          uint64_t h) {
  const auto lane = [](uint64_t lo, uint64_t hi) IQK_LAMBDA {
    return _mm_set_epi64x(static_cast<int64_t>(hi), static_cast<int64_t>(lo));
  };
  return join_lanes(lane(a, b), lane(c, d), lane(e, f), lane(g, h));
}
IQK_INLINE Bytes equal(Bytes x, Bytes y) { return {_mm512_movm_epi8(_mm512_cmpeq_epi8_mask(x.v, y.v))}; }
IQK_INLINE Bytes abs8(Bytes x) { return {_mm512_abs_epi8(x.v)}; }
IQK_INLINE Bytes negate_where(Bytes x, Bytes bits, Bytes mask) {
  return {_mm512_mask_sub_epi8(x.v, _mm512_test_epi8_mask(bits.v, mask.v), _mm512_setzero_si512(), x.v)};
}
IQK_INLINE Bytes add_unless(Bytes x, Bytes bits, Bytes mask, Bytes y) {
  return {_mm512_mask_add_epi8(x.v, _mm512_testn_epi8_mask(bits.v, mask.v), x.v, y.v)};
}
IQK_INLINE Bytes splat16(int x) { return {_mm512_set1_epi16(static_cast<int16_t>(x))}; }
IQK_INLINE Bytes splat32(uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
IQK_INLINE Bytes mul16(Bytes x, Bytes y) { return {_mm512_mullo_epi16(x.v, y.v)}; }
template <int N>
IQK_INLINE Bytes shl32(Bytes x) {
  return {_mm512_slli_epi32(x.v, N)};
}
IQK_INLINE Bytes shr32(Bytes x, Bytes counts) { return {_mm512_srlv_epi32(x.v, counts.v)}; }
template <int A, int B, int C, int D>
IQK_INLINE Bytes shr32(Bytes x) {
  if constexpr (A == B && B == C && C == D) return {_mm512_srli_epi32(x.v, A)};
  return {_mm512_srlv_epi32(x.v, _mm512_setr4_epi32(A, B, C, D))};
}
IQK_INLINE uint64_t lowest_word_bits(const uint8_t* p) {
  const auto mask = [](const uint8_t* q) IQK_LAMBDA { return _mm512_movepi16_mask(shl16<15>(load(q)).v); };
  return mask(p) | static_cast<uint64_t>(mask(p + 64)) << 32;
}
IQK_INLINE Bytes zip_lo128(Bytes x, Bytes y) {
  return {_mm512_permutex2var_epi64(x.v, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), y.v)};
}
IQK_INLINE Bytes zip_hi128(Bytes x, Bytes y) {
  return {_mm512_permutex2var_epi64(x.v, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), y.v)};
}
IQK_INLINE Bytes even_lanes(Bytes x, Bytes y) { return {_mm512_shuffle_i32x4(x.v, y.v, 0x88)}; }
IQK_INLINE Bytes odd_lanes(Bytes x, Bytes y) { return {_mm512_shuffle_i32x4(x.v, y.v, 0xdd)}; }
IQK_INLINE Bytes mul32(Bytes x, uint32_t factor) {
  return {_mm512_mullo_epi32(x.v, held(splat32(factor)).v)};
}
IQK_INLINE Bytes add32(Bytes x, Bytes y) { return {_mm512_add_epi32(x.v, y.v)}; }
IQK_INLINE Bytes add32(Bytes x, uint32_t term) { return add32(x, splat32(term)); }
// The sums of d move up a byte before those of c come in, and so on.
IQK_INLINE Bytes byte_sums(Bytes a, Bytes b, Bytes c, Bytes d) {
  const __m512i one = splat(1).v;
  __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), d.v, one);
  sums = _mm512_dpbusd_epi32(_mm512_slli_epi32(sums, 8), c.v, one);
  sums = _mm512_dpbusd_epi32(_mm512_slli_epi32(sums, 8), b.v, one);
  return {_mm512_dpbusd_epi32(_mm512_slli_epi32(sums, 8), a.v, one)};
}
IQK_INLINE Bytes transpose_lanes32(Bytes x) {
  const __m512i from = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return {_mm512_permutexvar_epi32(from, x.v)};
}

// ---- Floats<16> ------------------------------------------------------------------------------------------

template <>
struct Floats<16> {
  __m512 v;
};
template <int N>
IQK_INLINE Floats<N> fsplat(float x) {
  if constexpr (N == 8)
    return {_mm256_set1_ps(x)};
  else
    return {_mm512_set1_ps(x)};
}
template <int N>
IQK_INLINE Floats<N> fload(const float* p) {
  if constexpr (N == 8)
    return {_mm256_loadu_ps(p)};
  else
    return {_mm512_loadu_ps(p)};
}
IQK_INLINE void fstore(float* p, Floats<8> x) { _mm256_storeu_ps(p, x.v); }
IQK_INLINE void fstore(float* p, Floats<16> x) { _mm512_storeu_ps(p, x.v); }
IQK_INLINE Floats<16> operator*(Floats<16> x, Floats<16> y) { return {_mm512_mul_ps(x.v, y.v)}; }
IQK_INLINE Floats<16> operator+(Floats<16> x, Floats<16> y) { return {_mm512_add_ps(x.v, y.v)}; }
IQK_INLINE Floats<16> fma(Floats<16> x, Floats<16> y, Floats<16> z) {
  return {_mm512_fmadd_ps(x.v, y.v, z.v)};
}
IQK_INLINE Floats<8> add_where(Floats<8> x, uint32_t bits, Floats<8> y) {
  return {_mm256_mask_add_ps(x.v, static_cast<__mmask8>(bits), x.v, y.v)};
}
IQK_INLINE Floats<16> add_where(Floats<16> x, uint32_t bits, Floats<16> y) {
  return {_mm512_mask_add_ps(x.v, static_cast<__mmask16>(bits), x.v, y.v)};
}
IQK_INLINE Floats<8> fma_where(Floats<8> x, Floats<8> y, Floats<8> z, uint32_t bits) {
  return {_mm256_mask3_fmadd_ps(x.v, y.v, z.v, static_cast<__mmask8>(bits))};
}
IQK_INLINE Floats<16> fma_where(Floats<16> x, Floats<16> y, Floats<16> z, uint32_t bits) {
  return {_mm512_mask3_fmadd_ps(x.v, y.v, z.v, static_cast<__mmask16>(bits))};
}
IQK_INLINE float sum(Floats<16> x) {
  return sum(Floats<8>{_mm256_add_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1))});
}
template <int C>
IQK_INLINE void store_sums(const Floats<16> (&x)[C], float* to) {
  if constexpr (C >= 4) {
    // Halves of two, then lanes of four are added up.
    const auto halves = [&](int c) IQK_LAMBDA {
      return _mm512_add_ps(_mm512_shuffle_f32x4(x[c].v, x[c + 1].v, 0x44),
                           _mm512_shuffle_f32x4(x[c].v, x[c + 1].v, 0xee));
    };
    const auto lanes = [&](int c) IQK_LAMBDA {
      const __m512 a = halves(c), b = halves(c + 2);
      return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    };
    const __m512 a = lanes(0), b = lanes(C - 4);
    const __m512 both = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 sums = _mm512_add_ps(both, _mm512_permute_ps(both, 0xee));
    const __m512i from = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256 all = _mm512_castps512_ps256(_mm512_permutexvar_ps(from, sums));
    if constexpr (C == 8)
      _mm256_storeu_ps(to, all);
    else
      _mm_storeu_ps(to, _mm256_castps256_ps128(all));
  } else {
    for (int c = 0; c < C; ++c) to[c] = sum(x[c]);
  }
}
IQK_INLINE Floats<16> add_lowest(Floats<16> x, Floats<8> y) {
  return {_mm512_mask_add_ps(x.v, 0xff, x.v, _mm512_castps256_ps512(y.v))};
}
IQK_INLINE Floats<16> add_lowest(Floats<16> x, Floats<16> y) { return x + y; }
IQK_INLINE __m512 widest(Floats<8> x) { return _mm512_castps256_ps512(x.v); }
IQK_INLINE __m512 widest(Floats<16> x) { return x.v; }
template <class Map, int N>
IQK_INLINE Floats<16> spread(Floats<N> x) {
  const __m512i from = dwords_at([](int i) IQK_LAMBDA { return Map::at[i]; });
  return {_mm512_permutexvar_ps(from, widest(x))};
}
template <int N>
IQK_INLINE Floats<N> floats_i8(Small x) {
  if constexpr (N == 8)
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x.v))};
  else
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x.v))};
}
template <int N>
IQK_INLINE Floats<N> floats_u8(Small x) {
  if constexpr (N == 8)
    return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x.v))};
  else
    return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x.v))};
}
template <int N>
IQK_INLINE Floats<N> splat_half(const uint8_t* p) {
  if constexpr (N == 8)
    return {_mm256_broadcastss_ps(four_halves(p))};
  else
    return {_mm512_broadcastss_ps(four_halves(p))};
}
template <int N>
IQK_INLINE Floats<N> splat_last_half(const uint8_t* p) {
  const __m512 x = _mm512_permutexvar_ps(_mm512_set1_epi32(3), _mm512_castps128_ps512(four_halves(p - 6)));
  if constexpr (N == 8)
    return {_mm512_castps512_ps256(x)};
  else
    return {x};
}
template <int Apart>
IQK_INLINE Floats<16> splat_half_and_minus(const uint8_t* p) {
  static_assert(Apart % 2 == 0 && Apart < 16);
  asm("" : "+r"(p));  // or GCC loads what is here only once, and converts from a register
  const __m256 x = _mm256_cvtph_ps(small_load(p).v),
               y = _mm256_xor_ps(x, _mm256_setr_ps(0, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f));
  constexpr int m = Apart / 2;
  return {_mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, m, m, m, m, m, m, m, m),
                                _mm512_castps256_ps512(y))};
}
IQK_INLINE Floats<8> lower(Floats<16> x) { return {_mm512_castps512_ps256(x.v)}; }
IQK_INLINE Floats<8> upper(Floats<16> x) { return {_mm512_extractf32x8_ps(x.v, 1)}; }
IQK_INLINE Floats<16> load_f32(const void* p) { return {_mm512_loadu_ps(p)}; }
IQK_INLINE Floats<16> load_f16(const void* p) { return {_mm512_cvtph_ps(load256(p))}; }
IQK_INLINE Floats<16> floats_f16(Small x, Small y) {
  return {_mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(x.v), y.v, 1))};
}
IQK_INLINE Floats<16> load_bf16(const void* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load256(p)), 16))};
}

// Eight words Stride apart out of two to four 64-byte loads, all of them between the first word and the last.
template <int Stride>
IQK_INLINE __m128i permuted_words(const uint8_t* p) {
  constexpr int end = 7 * Stride + 2,
                in_front = 126 / Stride + 1;  // this many words lie in the first 128 bytes
  static_assert(Stride % 2 == 0 && 128 <= end && end <= 256, "two loads on each side reach all words");
  const auto index = [](int base) IQK_LAMBDA {  // of the words in what was loaded from p + base on
    const auto at = [base](int i) IQK_LAMBDA { return static_cast<int16_t>((i * Stride - base) / 2); };
    return _mm512_castsi128_si512(_mm_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
  };
  const __m512i last = load(p + end - 64).v;
  if constexpr (end == 128) {
    return _mm512_castsi512_si128(_mm512_permutex2var_epi16(load(p).v, index(0), last));
  } else {
    const __m512i front = _mm512_permutex2var_epi16(load(p).v, index(0), load(p + 64).v);
    __m512i back;
    if constexpr (in_front * Stride >= end - 64)
      back = _mm512_permutexvar_epi16(index(end - 64), last);
    else
      back = _mm512_permutex2var_epi16(load(p + end - 128).v, index(end - 128), last);
    return _mm_blend_epi16(_mm512_castsi512_si128(front), _mm512_castsi512_si128(back),
                           255 << in_front & 255);
  }
}
// The strides of the legacy blocks.
#define IQK_PERMUTED_WORDS(stride)                                                        \
  template <>                                                                             \
  inline __attribute__((always_inline)) __m128i strided_words<stride>(const uint8_t* p) { \
    return permuted_words<stride>(p);                                                     \
  }
IQK_PERMUTED_WORDS(18)
IQK_PERMUTED_WORDS(20)
IQK_PERMUTED_WORDS(22)
IQK_PERMUTED_WORDS(24)
IQK_PERMUTED_WORDS(26)
IQK_PERMUTED_WORDS(34)
#undef IQK_PERMUTED_WORDS

// Eight dwords Stride apart; none of the bytes behind the last one is read.
template <int Stride>
IQK_INLINE __m256i strided_dwords(const uint8_t* p) {
  static_assert(Stride == 4 || Stride == 8 || Stride == 20 || Stride == 24);
  if constexpr (Stride == 4) {
    return load256(p);
  } else if constexpr (Stride == 8) {
    const __m256i from = _mm256_setr_epi32(0, 2, 4, 6, 8 + 1, 8 + 3, 8 + 5, 8 + 7);
    return _mm256_permutex2var_epi32(load256(p), from, load256(p + 28));
  } else {
    // The first 64 bytes, as many from the first dword behind them on, and of the longer stride the last
    // ones.
    constexpr int in_first = 60 / Stride + 1;
    const auto at = [](int b) IQK_LAMBDA {
      return b < in_first       ? b * Stride / 4
             : b < 2 * in_first ? 16 + (b - in_first) * Stride / 4
                                : 15 - (7 - b) * Stride / 4;
    };
    const __m512i index =
        _mm512_castsi256_si512(_mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
    const __m512i x = _mm512_permutex2var_epi32(load(p).v, index, load(p + in_first * Stride).v);
    if constexpr (2 * in_first >= 8) return _mm512_castsi512_si256(x);
    return _mm512_castsi512_si256(
        _mm512_mask_permutexvar_epi32(x, 0xff << 2 * in_first, index, load(p + 7 * Stride - 60).v));
  }
}
template <class Map, int Stride>
IQK_INLINE Floats<16> strided_half_lanes(const uint8_t* p) {
  static_assert(Stride == 18 || Stride == 22 || Stride == 26 || Stride == 34);
  // Half b is in dword b of x, out of the first 128 bytes and, behind those, the last 64 or 128.
  constexpr int in_front = 126 / Stride + 1, end = 7 * Stride + 2,
                behind = end - in_front * Stride > 64 ? 128 : 64;
  const auto index = [](int base) IQK_LAMBDA {
    const auto at = [base](int b) IQK_LAMBDA { return (b * Stride - base) / 4; };
    return _mm512_castsi256_si512(_mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
  };
  __m512i x = _mm512_permutex2var_epi32(load(p).v, index(0), load(p + 64).v);
  if constexpr (in_front < 8 && behind == 64)
    x = _mm512_mask_permutexvar_epi32(x, 0xff << in_front & 0xff, index(end - 64), load(p + end - 64).v);
  else if constexpr (in_front < 8)
    x = _mm512_mask_blend_epi32(
        0xff << in_front & 0xff, x,
        _mm512_permutex2var_epi32(load(p + end - 128).v, index(end - 128), load(p + end - 64).v));
  // Half b is number 2 b now, or 2 b + 1 where it lies at the odd multiple of two.
  const auto at = [](int l) IQK_LAMBDA { return 2 * Map::at[l] + Map::at[l] * Stride / 2 % 2; };
  const __m512i from = dwords_at(at);
  return {_mm512_permutexvar_ps(from, _mm512_cvtph_ps(_mm512_castsi512_si256(x)))};
}
template <int Stride>
IQK_INLINE Floats<16> strided_half_pairs(const uint8_t* p) {
  const __m512i from = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  return {_mm512_permutexvar_ps(from, _mm512_cvtph_ps(strided_dwords<Stride>(p)))};
}

// ---- Products --------------------------------------------------------------------------------------------

struct Ints {
  __m512i v;
};
IQK_INLINE Floats<16> to_float(Ints x) { return {_mm512_cvtepi32_ps(x.v)}; }
IQK_INLINE Floats<16> floats_i32(Bytes dwords) { return {_mm512_cvtepi32_ps(dwords.v)}; }
IQK_INLINE Floats<16> look_up_floats(const int8_t* table, Bytes dwords) {
  return {_mm512_permutexvar_ps(dwords.v, floats_i8<16>(small_load(table)).v)};
}
IQK_INLINE Floats<16> as_floats(Ints x) { return {_mm512_castsi512_ps(x.v)}; }
IQK_INLINE Floats<8> folded_to_float(Ints x) {
  return {
      _mm256_cvtepi32_ps(_mm256_add_epi32(_mm512_castsi512_si256(x.v), _mm512_extracti64x4_epi64(x.v, 1)))};
}

template <int Max>
struct Acc {
  __m512i sum, other;  // many products would wait for one another; nothing is left of `other` with few
  IQK_MEMBER void start() { sum = other = _mm512_setzero_si512(); }
  IQK_MEMBER void start(const uint8_t* first) {
    start();
    sum = load(first).v;
  }
  template <int N>
  IQK_MEMBER void add(Bytes codes, Bytes activations) {
    __m512i& to = N < 4 || N % 2 ? sum : other;
    to = _mm512_dpbusd_epi32(to, codes.v, activations.v);
  }
  IQK_MEMBER Ints finish() const { return {_mm512_add_epi32(sum, other)}; }
};

template <int Max>
struct PanelAcc {
  using Line = Bytes;
  __m512i sum;
  IQK_INLINE Line prepare(const uint8_t* line) { return load(line); }
  IQK_MEMBER void start(const uint8_t* first) { sum = four(first); }
  // A register for all vectors of the line: with the broadcast in the product, the loads would decide.
  IQK_INLINE __m512i four(const uint8_t* p) {
    int32_t x;
    std::memcpy(&x, p, 4);
    return _mm512_set1_epi32(x);
  }
  // Assembly, because GCC would copy sums.
  template <int N>
  IQK_MEMBER void add(const Line& line, __m512i activations) {
    asm("vpdpbusd %[act], %[line], %[sum]" : [sum] "+v"(sum) : [line] "v"(line.v), [act] "v"(activations));
  }
  IQK_MEMBER Ints finish() const { return {sum}; }
};

// ---- Panel transposition ---------------------------------------------------------------------------------

IQK_INLINE void transpose16(const uint8_t* rows, ptrdiff_t stride, uint8_t* to, const uint8_t* at,
                            ptrdiff_t line_stride) {
  // quad[g][c]: lane l holds dword 4 l + c of rows 4 g .. 4 g + 3.
  __m512i quad[4][4];
  unroll<4>([&](auto g) IQK_LAMBDA {
    const auto row = [&](int r) IQK_LAMBDA { return load(rows + (4 * g + r) * stride); };
    const Bytes lo01 = zip_lo32(row(0), row(1)), hi01 = zip_hi32(row(0), row(1));
    const Bytes lo23 = zip_lo32(row(2), row(3)), hi23 = zip_hi32(row(2), row(3));
    quad[g][0] = zip_lo64(lo01, lo23).v;
    quad[g][1] = zip_hi64(lo01, lo23).v;
    quad[g][2] = zip_lo64(hi01, hi23).v;
    quad[g][3] = zip_hi64(hi01, hi23).v;
  });
  unroll<4>([&](auto c) IQK_LAMBDA {
    const auto put = [&](int d, __m512i line) IQK_LAMBDA { store(to + at[d] * line_stride, {line}); };
    const __m512i even01 = _mm512_shuffle_i32x4(quad[0][c], quad[1][c], 0x88);  // lanes 0 and 2 of both
    const __m512i even23 = _mm512_shuffle_i32x4(quad[2][c], quad[3][c], 0x88);
    const __m512i odd01 = _mm512_shuffle_i32x4(quad[0][c], quad[1][c], 0xdd);
    const __m512i odd23 = _mm512_shuffle_i32x4(quad[2][c], quad[3][c], 0xdd);
    put(c, _mm512_shuffle_i32x4(even01, even23, 0x88));
    put(c + 4, _mm512_shuffle_i32x4(odd01, odd23, 0x88));
    put(c + 8, _mm512_shuffle_i32x4(even01, even23, 0xdd));
    put(c + 12, _mm512_shuffle_i32x4(odd01, odd23, 0xdd));
  });
}

// ---- Codebooks -------------------------------------------------------------------------------------------

// Entries side by side: broadcasts from memory under constant masks, because inserts are shuffles, of which
// Intel has one a cycle.
IQK_INLINE __m256i four_entries(const uint64_t* p, const uint64_t* q, const uint64_t* r, const uint64_t* s) {
  const auto entry = [](const uint64_t* at)
                         IQK_LAMBDA { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)); };
  __m256i x = _mm256_broadcastq_epi64(entry(p));
  x = _mm256_mask_broadcastq_epi64(x, 2, entry(q));
  x = _mm256_mask_broadcastq_epi64(x, 4, entry(r));
  return _mm256_mask_broadcastq_epi64(x, 8, entry(s));
}
// In both lanes.
IQK_INLINE __m256i four_entries(const uint32_t* p, const uint32_t* q, const uint32_t* r, const uint32_t* s) {
  const auto entry = [](const uint32_t* at)
                         IQK_LAMBDA { return _mm_cvtsi32_si128(static_cast<int32_t>(*at)); };
  __m256i x = _mm256_broadcastd_epi32(entry(p));
  x = _mm256_mask_broadcastd_epi32(x, 0x22, entry(q));
  x = _mm256_mask_broadcastd_epi32(x, 0x44, entry(r));
  return _mm256_mask_broadcastd_epi32(x, 0x88, entry(s));
}
template <class Index>
IQK_INLINE Bytes grid8(const uint64_t* grid, Index at) {
  const auto half = [&](auto c) IQK_LAMBDA {
    constexpr int first = decltype(c)::value;
    return four_entries(grid + at(c), grid + at(Constant<first + 1>{}), grid + at(Constant<first + 2>{}),
                        grid + at(Constant<first + 3>{}));
  };
  return {_mm512_inserti64x4(_mm512_castsi256_si512(half(Constant<0>{})), half(Constant<4>{}), 1)};
}
template <class Index>
IQK_INLINE Bytes grid4(const uint32_t* grid, Index at) {
  const auto four = [&](auto c) IQK_LAMBDA {
    constexpr int first = decltype(c)::value;
    return four_entries(grid + at(c), grid + at(Constant<first + 1>{}), grid + at(Constant<first + 2>{}),
                        grid + at(Constant<first + 3>{}));
  };
  const __m256i lower = _mm256_blend_epi32(four(Constant<0>{}), four(Constant<4>{}), 0xf0);
  const __m256i upper = _mm256_blend_epi32(four(Constant<8>{}), four(Constant<12>{}), 0xf0);
  return {_mm512_inserti64x4(_mm512_castsi256_si512(lower), upper, 1)};
}

static constexpr char kInt8Instruction[] = "vpdpbusd zmm";
constexpr double kInt8PeakOperations = 12 * 128, kFloatPeakOperations = 12 * 32;
IQK_INLINE void int8_peak_step() { IQK_TWELVE_CHAINS("", "vpdpbusd %%zmm14, %%zmm15, %%zmm\\r"); }
IQK_INLINE void float_peak_step() { IQK_FLOAT_CHAINS("zmm"); }

}  // namespace IQK_NS

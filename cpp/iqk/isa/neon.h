// AArch64 NEON, with or without the dot-product instructions (compiled for both). Definitions: generic.h.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "iqk/base/inline.h"
#include "iqk/base/unroll.h"

namespace IQK_NS {

// ---- Constants -------------------------------------------------------------------------------------------

constexpr int kSignedBias = 0;
constexpr bool kIntegerStarts = false;
constexpr int kRowsAtOnce = 1;
constexpr int kFusedColumns = 4;
constexpr bool kMerges = false;
constexpr bool kMultipliesParts = false;
constexpr bool kWholeFloats = false;
constexpr bool kLooksUpPairs = false;
constexpr int kLookupStreams = 1;
constexpr bool kPadColumn = false;
constexpr int kPanelVectors = 1;
constexpr int kFloatVectors = 1;
constexpr int kFloatColumns = 6;
#ifdef __ARM_FEATURE_DOTPROD
// Of four columns, the sums of products and the float sums are all 32 registers.
constexpr int kPanelColumns = 3;
constexpr int kSignedColumns = 3;
constexpr int kPanelCodes[] = {0};
constexpr int kRowCodes[] = {0};
#else
constexpr int kPanelColumns = 4;
constexpr int kSignedColumns = 4;
constexpr int kPanelCodes[] = {15, 127, 0};
constexpr int kRowCodes[] = {31, 63, 127, 0};
#endif

// Index and mask vectors, loaded where they are used: the compiler keeps them in registers or folds them.
static constexpr uint8_t kEightFold[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
static constexpr uint8_t kByteBits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
static constexpr uint32_t kDwordBits[16] = {0x1,   0x2,   0x4,   0x8,   0x10,   0x20,   0x40,   0x80,
                                            0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000};
static constexpr uint8_t kTranspose4x4[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};

template <class T>
IQK_INLINE T read_at(const void* p) {
  T x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
IQK_INLINE uint16x8_t as_words(uint8x16_t x) { return vreinterpretq_u16_u8(x); }
IQK_INLINE uint32x4_t as_dwords(uint8x16_t x) { return vreinterpretq_u32_u8(x); }
IQK_INLINE uint64x2_t as_qwords(uint8x16_t x) { return vreinterpretq_u64_u8(x); }
IQK_INLINE int8x16_t as_signed(uint8x16_t x) { return vreinterpretq_s8_u8(x); }
IQK_INLINE uint8x16_t as_bytes(uint16x8_t x) { return vreinterpretq_u8_u16(x); }
IQK_INLINE uint8x16_t as_bytes(uint32x4_t x) { return vreinterpretq_u8_u32(x); }
IQK_INLINE uint8x16_t as_bytes(uint64x2_t x) { return vreinterpretq_u8_u64(x); }

template <int N>
IQK_INLINE uint8x16_t shift_right16(uint8x16_t x) {
  if constexpr (N == 0)
    return x;  // which the intrinsic does not take
  else
    return as_bytes(vshrq_n_u16(as_words(x), N));
}
template <int N>
IQK_INLINE uint8x16_t shift_left16(uint8x16_t x) {
  return as_bytes(vshlq_n_u16(as_words(x), N));
}

// ---- Bytes: a register per lane --------------------------------------------------------------------------

struct Bytes {
  uint8x16_t a, b, c, d;
};
IQK_INLINE Bytes load_lanes(const uint8_t* p, ptrdiff_t stride) {
  return {vld1q_u8(p), vld1q_u8(p + stride), vld1q_u8(p + 2 * stride), vld1q_u8(p + 3 * stride)};
}
IQK_INLINE Bytes held(Bytes x) { return x; }
IQK_INLINE Bytes load(const void* p) { return load_lanes(static_cast<const uint8_t*>(p), 16); }
IQK_INLINE void store(void* p, Bytes x) {
  uint8_t* to = static_cast<uint8_t*>(p);
  vst1q_u8(to, x.a);
  vst1q_u8(to + 16, x.b);
  vst1q_u8(to + 32, x.c);
  vst1q_u8(to + 48, x.d);
}
IQK_INLINE void store_halves(uint8_t* p, uint8_t* q, Bytes x) {
  vst1q_u8(p, x.a);
  vst1q_u8(p + 16, x.b);
  vst1q_u8(q, x.c);
  vst1q_u8(q + 16, x.d);
}
IQK_INLINE Bytes load_halves(const uint8_t* p, const uint8_t* q) {
  return {vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(q), vld1q_u8(q + 16)};
}
IQK_INLINE Bytes load_lane_pairs(const uint8_t* p, const uint8_t* q) {
  const uint8x16_t lower = vld1q_u8(p), upper = vld1q_u8(q);
  return {lower, lower, upper, upper};
}
IQK_INLINE Bytes load_dword_halves(const uint8_t* p, const uint8_t* q) {
  const uint8x16_t lower = as_bytes(vdupq_n_u32(read_at<uint32_t>(p)));
  const uint8x16_t upper = as_bytes(vdupq_n_u32(read_at<uint32_t>(q)));
  return {lower, lower, upper, upper};
}
IQK_INLINE Bytes load_broadcast(const void* p) {
  const uint8x16_t x = vld1q_u8(static_cast<const uint8_t*>(p));
  return {x, x, x, x};
}
IQK_INLINE Bytes splat(int x) {
  const uint8x16_t v = vdupq_n_u8(static_cast<uint8_t>(x));
  return {v, v, v, v};
}
IQK_INLINE Bytes operator&(Bytes x, Bytes y) { return {x.a & y.a, x.b & y.b, x.c & y.c, x.d & y.d}; }
IQK_INLINE Bytes operator|(Bytes x, Bytes y) { return {x.a | y.a, x.b | y.b, x.c | y.c, x.d | y.d}; }
IQK_INLINE Bytes operator^(Bytes x, Bytes y) { return {x.a ^ y.a, x.b ^ y.b, x.c ^ y.c, x.d ^ y.d}; }
IQK_INLINE Bytes operator+(Bytes x, Bytes y) { return {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d}; }
IQK_INLINE Bytes operator-(Bytes x, Bytes y) { return {x.a - y.a, x.b - y.b, x.c - y.c, x.d - y.d}; }
template <int A, int B>
IQK_INLINE Bytes shr16_halves(Bytes x) {
  return {shift_right16<A>(x.a), shift_right16<A>(x.b), shift_right16<B>(x.c), shift_right16<B>(x.d)};
}
template <int N>
IQK_INLINE Bytes shr16(Bytes x) {
  return shr16_halves<N, N>(x);
}
template <int N>
IQK_INLINE Bytes shl16(Bytes x) {
  return {shift_left16<N>(x.a), shift_left16<N>(x.b), shift_left16<N>(x.c), shift_left16<N>(x.d)};
}
IQK_INLINE uint8x16_t zip_lo32(uint8x16_t x, uint8x16_t y) {
  return as_bytes(vzip1q_u32(as_dwords(x), as_dwords(y)));
}
IQK_INLINE uint8x16_t zip_hi32(uint8x16_t x, uint8x16_t y) {
  return as_bytes(vzip2q_u32(as_dwords(x), as_dwords(y)));
}
IQK_INLINE uint8x16_t zip_lo64(uint8x16_t x, uint8x16_t y) {
  return as_bytes(vzip1q_u64(as_qwords(x), as_qwords(y)));
}
IQK_INLINE uint8x16_t zip_hi64(uint8x16_t x, uint8x16_t y) {
  return as_bytes(vzip2q_u64(as_qwords(x), as_qwords(y)));
}
IQK_INLINE uint8x16_t zip_even32(uint8x16_t x, uint8x16_t y) {
  return as_bytes(vtrn1q_u32(as_dwords(x), as_dwords(y)));
}
IQK_INLINE uint8x16_t zip_odd32(uint8x16_t x, uint8x16_t y) {
  return as_bytes(vtrn2q_u32(as_dwords(x), as_dwords(y)));
}
IQK_INLINE Bytes zip_lo8(Bytes x, Bytes y) {
  return {vzip1q_u8(x.a, y.a), vzip1q_u8(x.b, y.b), vzip1q_u8(x.c, y.c), vzip1q_u8(x.d, y.d)};
}
IQK_INLINE Bytes zip_hi8(Bytes x, Bytes y) {
  return {vzip2q_u8(x.a, y.a), vzip2q_u8(x.b, y.b), vzip2q_u8(x.c, y.c), vzip2q_u8(x.d, y.d)};
}
IQK_INLINE Bytes zip_lo32(Bytes x, Bytes y) {
  return {zip_lo32(x.a, y.a), zip_lo32(x.b, y.b), zip_lo32(x.c, y.c), zip_lo32(x.d, y.d)};
}
IQK_INLINE Bytes zip_hi32(Bytes x, Bytes y) {
  return {zip_hi32(x.a, y.a), zip_hi32(x.b, y.b), zip_hi32(x.c, y.c), zip_hi32(x.d, y.d)};
}
IQK_INLINE Bytes zip_lo64(Bytes x, Bytes y) {
  return {zip_lo64(x.a, y.a), zip_lo64(x.b, y.b), zip_lo64(x.c, y.c), zip_lo64(x.d, y.d)};
}
IQK_INLINE Bytes zip_hi64(Bytes x, Bytes y) {
  return {zip_hi64(x.a, y.a), zip_hi64(x.b, y.b), zip_hi64(x.c, y.c), zip_hi64(x.d, y.d)};
}
IQK_INLINE Bytes zip_even32(Bytes x, Bytes y) {
  return {zip_even32(x.a, y.a), zip_even32(x.b, y.b), zip_even32(x.c, y.c), zip_even32(x.d, y.d)};
}
IQK_INLINE Bytes zip_odd32(Bytes x, Bytes y) {
  return {zip_odd32(x.a, y.a), zip_odd32(x.b, y.b), zip_odd32(x.c, y.c), zip_odd32(x.d, y.d)};
}
IQK_INLINE Bytes lookup(Bytes table, Bytes index) {
  return {vqtbl1q_u8(table.a, index.a), vqtbl1q_u8(table.b, index.b), vqtbl1q_u8(table.c, index.c),
          vqtbl1q_u8(table.d, index.d)};
}
IQK_INLINE Bytes lookup_low(Bytes table, Bytes x) { return lookup(table, x & splat(15)); }
IQK_INLINE Bytes lookup_high(Bytes table, Bytes x) {
  return lookup(table, {vshrq_n_u8(x.a, 4), vshrq_n_u8(x.b, 4), vshrq_n_u8(x.c, 4), vshrq_n_u8(x.d, 4)});
}
struct Table32 {
  uint8x16x2_t v;
};
struct Table64 {
  uint8x16x4_t v;
};
IQK_INLINE Table32 load_table32(const void* q) {
  const uint8_t* p = static_cast<const uint8_t*>(q);
  return {{{vld1q_u8(p), vld1q_u8(p + 16)}}};
}
IQK_INLINE Table64 load_table64(const void* q) {
  const uint8_t* p = static_cast<const uint8_t*>(q);

  return {{{vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)}}};
}
IQK_INLINE Bytes lookup(Table32 t, Bytes x) {
  return {vqtbl2q_u8(t.v, x.a), vqtbl2q_u8(t.v, x.b), vqtbl2q_u8(t.v, x.c), vqtbl2q_u8(t.v, x.d)};
}
IQK_INLINE Bytes lookup(Table64 t, Bytes x) {
  return {vqtbl4q_u8(t.v, x.a), vqtbl4q_u8(t.v, x.b), vqtbl4q_u8(t.v, x.c), vqtbl4q_u8(t.v, x.d)};
}
IQK_INLINE Bytes signed_codes(Bytes x) { return x; }
// 0xff where bit (i mod 8) of byte from[i] of x is set.
IQK_INLINE uint8x16_t bits_to_mask(uint8x16_t x, uint8x16_t from) {
  return vtstq_u8(vqtbl1q_u8(x, from), vld1q_u8(kByteBits));
}
IQK_INLINE Bytes expand_bits(uint64_t bits, int value) {
  const uint8x16_t x = vreinterpretq_u8_u64(vdupq_n_u64(bits)), from = vld1q_u8(kEightFold);
  const Bytes mask = {bits_to_mask(x, from), bits_to_mask(x, from + vdupq_n_u8(2)),
                      bits_to_mask(x, from + vdupq_n_u8(4)), bits_to_mask(x, from + vdupq_n_u8(6))};
  return mask & splat(value);
}
IQK_INLINE uint8x16_t two_qwords(uint64_t low, uint64_t high) { return as_bytes(uint64x2_t{low, high}); }
IQK_INLINE Bytes bytes_of(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g,
                          uint64_t h) {
  return {two_qwords(a, b), two_qwords(c, d), two_qwords(e, f), two_qwords(g, h)};
}
IQK_INLINE Bytes equal(Bytes x, Bytes y) {
  return {vceqq_u8(x.a, y.a), vceqq_u8(x.b, y.b), vceqq_u8(x.c, y.c), vceqq_u8(x.d, y.d)};
}
IQK_INLINE uint8x16_t abs8(uint8x16_t x) { return vreinterpretq_u8_s8(vabsq_s8(as_signed(x))); }
IQK_INLINE Bytes abs8(Bytes x) { return {abs8(x.a), abs8(x.b), abs8(x.c), abs8(x.d)}; }
IQK_INLINE Bytes negate_where(Bytes x, Bytes bits, Bytes mask) {
  const Bytes minus = equal(bits & mask, mask);
  return (x ^ minus) - minus;
}
IQK_INLINE Bytes add_unless(Bytes x, Bytes bits, Bytes mask, Bytes y) {
  return x + (equal(bits & mask, splat(0)) & y);
}
IQK_INLINE Bytes splat16(int x) {
  const uint8x16_t v = as_bytes(vdupq_n_u16(static_cast<uint16_t>(x)));
  return {v, v, v, v};
}
IQK_INLINE Bytes splat32(uint32_t x) {
  const uint8x16_t v = as_bytes(vdupq_n_u32(x));
  return {v, v, v, v};
}
IQK_INLINE Bytes mul16(Bytes x, Bytes y) {
  return {as_bytes(as_words(x.a) * as_words(y.a)), as_bytes(as_words(x.b) * as_words(y.b)),
          as_bytes(as_words(x.c) * as_words(y.c)), as_bytes(as_words(x.d) * as_words(y.d))};
}
template <int A, int B, int C, int D>
IQK_INLINE uint8x16_t shift_right32(uint8x16_t x) {
  return as_bytes(vshlq_u32(as_dwords(x), int32x4_t{-A, -B, -C, -D}));
}
template <int N>
IQK_INLINE Bytes shl32(Bytes x) {
  const auto shifted = [](uint8x16_t y) IQK_LAMBDA { return as_bytes(vshlq_n_u32(as_dwords(y), N)); };
  return {shifted(x.a), shifted(x.b), shifted(x.c), shifted(x.d)};
}
IQK_INLINE Bytes shr32(Bytes x, Bytes counts) {
  const auto shifted = [](uint8x16_t y, uint8x16_t n) IQK_LAMBDA {
    return as_bytes(vshlq_u32(as_dwords(y), vnegq_s32(vreinterpretq_s32_u8(n))));
  };
  return {shifted(x.a, counts.a), shifted(x.b, counts.b), shifted(x.c, counts.c), shifted(x.d, counts.d)};
}
template <int A, int B, int C, int D>
IQK_INLINE Bytes shr32(Bytes x) {
  return {shift_right32<A, B, C, D>(x.a), shift_right32<A, B, C, D>(x.b), shift_right32<A, B, C, D>(x.c),
          shift_right32<A, B, C, D>(x.d)};
}
IQK_INLINE uint64_t lowest_word_bits(const uint8_t* p) {
  // The lower bytes of the words; of eight, bit n of byte n, then all added up.
  const uint8x16_t place = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  const auto bytes = [&](const uint8_t* q) IQK_LAMBDA {
    const uint8x16x2_t x = vld2q_u8(q);
    return vandq_u8(vtstq_u8(x.val[0], vdupq_n_u8(1)), place);
  };
  const uint8x16_t x = vpaddq_u8(bytes(p), bytes(p + 32)), y = vpaddq_u8(bytes(p + 64), bytes(p + 96));
  const uint8x16_t all = vpaddq_u8(x, y);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}
IQK_INLINE Bytes zip_lo128(Bytes x, Bytes y) { return {x.a, y.a, x.b, y.b}; }
IQK_INLINE Bytes zip_hi128(Bytes x, Bytes y) { return {x.c, y.c, x.d, y.d}; }
IQK_INLINE Bytes even_lanes(Bytes x, Bytes y) { return {x.a, x.c, y.a, y.c}; }
IQK_INLINE Bytes odd_lanes(Bytes x, Bytes y) { return {x.b, x.d, y.b, y.d}; }
IQK_INLINE Bytes mul32(Bytes x, uint32_t factor) {
  return {as_bytes(vmulq_n_u32(as_dwords(x.a), factor)), as_bytes(vmulq_n_u32(as_dwords(x.b), factor)),
          as_bytes(vmulq_n_u32(as_dwords(x.c), factor)), as_bytes(vmulq_n_u32(as_dwords(x.d), factor))};
}
IQK_INLINE Bytes add32(Bytes x, Bytes y) {
  return {as_bytes(as_dwords(x.a) + as_dwords(y.a)), as_bytes(as_dwords(x.b) + as_dwords(y.b)),
          as_bytes(as_dwords(x.c) + as_dwords(y.c)), as_bytes(as_dwords(x.d) + as_dwords(y.d))};
}
IQK_INLINE Bytes add32(Bytes x, uint32_t term) { return add32(x, splat32(term)); }
IQK_INLINE uint8x16_t byte_sums(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) {
  // Pairwise additions leave the four sums of a, those of b, of c, of d.
  const uint8x16_t sums = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
  return vqtbl1q_u8(sums, vld1q_u8(kTranspose4x4));
}
IQK_INLINE Bytes byte_sums(Bytes a, Bytes b, Bytes c, Bytes d) {
  return {byte_sums(a.a, b.a, c.a, d.a), byte_sums(a.b, b.b, c.b, d.b), byte_sums(a.c, b.c, c.c, d.c),
          byte_sums(a.d, b.d, c.d, d.d)};
}
IQK_INLINE Bytes transpose_lanes32(Bytes x) {
  const uint8x16_t lo_ac = zip_lo32(x.a, x.c), hi_ac = zip_hi32(x.a, x.c);  // a0 c0 a1 c1, a2 c2 a3 c3
  const uint8x16_t lo_bd = zip_lo32(x.b, x.d), hi_bd = zip_hi32(x.b, x.d);
  return {zip_lo32(lo_ac, lo_bd), zip_hi32(lo_ac, lo_bd), zip_lo32(hi_ac, hi_bd), zip_hi32(hi_ac, hi_bd)};
}

// ---- Small -----------------------------------------------------------------------------------------------

struct Small {
  uint8x16_t v;
};
IQK_INLINE Small small_load(const void* p) { return {vld1q_u8(static_cast<const uint8_t*>(p))}; }
IQK_INLINE Small small_load8(const void* p) {
  return {vcombine_u8(vld1_u8(static_cast<const uint8_t*>(p)), vdup_n_u8(0))};
}
IQK_INLINE Small small_load4(const void* p) { return {as_bytes(uint32x4_t{read_at<uint32_t>(p), 0, 0, 0})}; }
template <int K>
IQK_INLINE Small lane(Bytes x) {
  return {K == 0 ? x.a : K == 1 ? x.b : K == 2 ? x.c : x.d};
}
IQK_INLINE void small_store(void* p, Small x) { vst1q_u8(static_cast<uint8_t*>(p), x.v); }
IQK_INLINE Small small_splat(int x) { return {vdupq_n_u8(static_cast<uint8_t>(x))}; }
IQK_INLINE Small small_splat32(uint32_t x) { return {as_bytes(vdupq_n_u32(x))}; }
IQK_INLINE Small small_of(uint64_t low, uint64_t high) { return {two_qwords(low, high)}; }
IQK_INLINE uint64_t low64(Small x) { return vgetq_lane_u64(as_qwords(x.v), 0); }
IQK_INLINE Small operator&(Small x, Small y) { return {x.v & y.v}; }
IQK_INLINE Small operator|(Small x, Small y) { return {x.v | y.v}; }
IQK_INLINE Small operator^(Small x, Small y) { return {x.v ^ y.v}; }
IQK_INLINE Small operator+(Small x, Small y) { return {x.v + y.v}; }
IQK_INLINE Small operator-(Small x, Small y) { return {x.v - y.v}; }
template <int N>
IQK_INLINE Small shr16(Small x) {
  return {shift_right16<N>(x.v)};
}
template <int N>
IQK_INLINE Small shl16(Small x) {
  return {shift_left16<N>(x.v)};
}
template <int A, int B, int C, int D>
IQK_INLINE Small shr32(Small x) {
  return {shift_right32<A, B, C, D>(x.v)};
}
IQK_INLINE Small zip_lo8(Small x, Small y) { return {vzip1q_u8(x.v, y.v)}; }
IQK_INLINE Small zip_lo32(Small x, Small y) { return {zip_lo32(x.v, y.v)}; }
IQK_INLINE Small zip_lo64(Small x, Small y) { return {zip_lo64(x.v, y.v)}; }
template <int... I>
IQK_INLINE Small shuffle(Small x) {
  static_assert(sizeof...(I) == 16, "16 byte numbers");
  static constexpr uint8_t from[16] = {static_cast<uint8_t>(I)...};
  return {vqtbl1q_u8(x.v, vld1q_u8(from))};
}
IQK_INLINE Small lookup(Small table, Small index) { return {vqtbl1q_u8(table.v, index.v)}; }

// ---- Floats<N> -------------------------------------------------------------------------------------------

template <int N>
struct Floats;
template <>
struct Floats<8> {
  float32x4_t a, b;
};
template <>
struct Floats<16> {
  float32x4_t a, b, c, d;
};
template <int N>
IQK_INLINE Floats<N> fsplat(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  if constexpr (N == 8)
    return {v, v};
  else
    return {v, v, v, v};
}
template <int N>
IQK_INLINE Floats<N> fload(const float* p) {
  if constexpr (N == 8)
    return {vld1q_f32(p), vld1q_f32(p + 4)};
  else
    return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
IQK_INLINE void fstore(float* p, Floats<8> x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
}
IQK_INLINE void fstore(float* p, Floats<16> x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
IQK_INLINE Floats<8> fsplat_two(const float* p, const float* q) {
  return {vld1q_dup_f32(p), vld1q_dup_f32(q)};
}
IQK_INLINE void fstore_two(float* p, float* q, Floats<8> x) {
  vst1q_f32(p, x.a);
  vst1q_f32(q, x.b);
}
IQK_INLINE Floats<8> operator*(Floats<8> x, Floats<8> y) { return {x.a * y.a, x.b * y.b}; }
IQK_INLINE Floats<16> operator*(Floats<16> x, Floats<16> y) {
  return {x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d};
}
IQK_INLINE Floats<8> operator+(Floats<8> x, Floats<8> y) { return {x.a + y.a, x.b + y.b}; }
IQK_INLINE Floats<16> operator+(Floats<16> x, Floats<16> y) {
  return {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d};
}
IQK_INLINE Floats<8> fma(Floats<8> x, Floats<8> y, Floats<8> z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b)};
}
IQK_INLINE Floats<16> fma(Floats<16> x, Floats<16> y, Floats<16> z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c),
          vfmaq_f32(z.d, x.d, y.d)};
}
// For elements From .. From + 3.
template <int From>
IQK_INLINE float32x4_t add_where4(float32x4_t x, uint32x4_t bits, float32x4_t y) {
  return vbslq_f32(vtstq_u32(bits, vld1q_u32(kDwordBits + From)), x + y, x);
}
IQK_INLINE Floats<8> add_where(Floats<8> x, uint32_t bits, Floats<8> y) {
  const uint32x4_t v = vdupq_n_u32(bits);
  return {add_where4<0>(x.a, v, y.a), add_where4<4>(x.b, v, y.b)};
}
IQK_INLINE Floats<16> add_where(Floats<16> x, uint32_t bits, Floats<16> y) {
  const uint32x4_t v = vdupq_n_u32(bits);
  return {add_where4<0>(x.a, v, y.a), add_where4<4>(x.b, v, y.b), add_where4<8>(x.c, v, y.c),
          add_where4<12>(x.d, v, y.d)};
}
template <int From>
IQK_INLINE float32x4_t fma_where4(float32x4_t x, float32x4_t y, float32x4_t z, uint32x4_t bits) {
  return vbslq_f32(vtstq_u32(bits, vld1q_u32(kDwordBits + From)), vfmaq_f32(z, x, y), z);
}
IQK_INLINE Floats<8> fma_where(Floats<8> x, Floats<8> y, Floats<8> z, uint32_t bits) {
  const uint32x4_t v = vdupq_n_u32(bits);
  return {fma_where4<0>(x.a, y.a, z.a, v), fma_where4<4>(x.b, y.b, z.b, v)};
}
IQK_INLINE Floats<16> fma_where(Floats<16> x, Floats<16> y, Floats<16> z, uint32_t bits) {
  const uint32x4_t v = vdupq_n_u32(bits);
  return {fma_where4<0>(x.a, y.a, z.a, v), fma_where4<4>(x.b, y.b, z.b, v), fma_where4<8>(x.c, y.c, z.c, v),
          fma_where4<12>(x.d, y.d, z.d, v)};
}
IQK_INLINE float sum(Floats<8> x) {
  const float32x4_t s = x.a + x.b;
  return vpadds_f32(vget_low_f32(s) + vget_high_f32(s));
}
IQK_INLINE float sum(Floats<16> x) { return sum(Floats<8>{x.a + x.c, x.b + x.d}); }
template <int C>
IQK_INLINE void store_sums(const Floats<16> (&x)[C], float* to) {
  if constexpr (C == 4) {
    const auto quarter = [&](int c) IQK_LAMBDA { return (x[c].a + x[c].c) + (x[c].b + x[c].d); };
    vst1q_f32(to, vpaddq_f32(vpaddq_f32(quarter(0), quarter(1)), vpaddq_f32(quarter(2), quarter(3))));
  } else {
    for (int c = 0; c < C; ++c) to[c] = sum(x[c]);
  }
}
IQK_INLINE Floats<16> add_lowest(Floats<16> x, Floats<8> y) { return {x.a + y.a, x.b + y.b, x.c, x.d}; }
IQK_INLINE Floats<16> add_lowest(Floats<16> x, Floats<16> y) { return x + y; }

template <int I, int N>
IQK_INLINE float32x4_t quad(Floats<N> x) {
  if constexpr (I == 0)
    return x.a;
  else if constexpr (I == 1)
    return x.b;
  else if constexpr (I == 2)
    return x.c;
  else
    return x.d;
}
// Elements of one or two registers are left to the compiler, which knows dup, zip, ext and the like.
template <class Map, int From, int N>
IQK_INLINE float32x4_t spread4(Floats<N> x) {
  constexpr int i = Map::at[From], j = Map::at[From + 1], k = Map::at[From + 2], l = Map::at[From + 3];
  constexpr int p = i / 4, q = j / 4 != p ? j / 4 : k / 4 != p ? k / 4 : l / 4;
  if constexpr ((k / 4 == p || k / 4 == q) && (l / 4 == p || l / 4 == q)) {
    return __builtin_shufflevector(quad<p>(x), quad<q>(x), i % 4, j % 4 + (j / 4 == p ? 0 : 4),
                                   k % 4 + (k / 4 == p ? 0 : 4), l % 4 + (l / 4 == p ? 0 : 4));
  } else {
    static constexpr uint8_t from[16] = {4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3,  //
                                         4 * j, 4 * j + 1, 4 * j + 2, 4 * j + 3,  //
                                         4 * k, 4 * k + 1, 4 * k + 2, 4 * k + 3,  //
                                         4 * l, 4 * l + 1, 4 * l + 2, 4 * l + 3};
    const uint8x16x4_t table = {{vreinterpretq_u8_f32(x.a), vreinterpretq_u8_f32(x.b),  //
                                 vreinterpretq_u8_f32(x.c), vreinterpretq_u8_f32(x.d)}};
    return vreinterpretq_f32_u8(vqtbl4q_u8(table, vld1q_u8(from)));
  }
}
template <class Map, int N>
IQK_INLINE Floats<16> spread(Floats<N> x) {
  return {spread4<Map, 0>(x), spread4<Map, 4>(x), spread4<Map, 8>(x), spread4<Map, 12>(x)};
}
IQK_INLINE Floats<8> words_to_float(int16x8_t x) {
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(x))), vcvtq_f32_s32(vmovl_high_s16(x))};
}
IQK_INLINE Floats<16> join(Floats<8> lo, Floats<8> hi) { return {lo.a, lo.b, hi.a, hi.b}; }
template <int N>
IQK_INLINE Floats<N> floats_i8(Small x) {
  const int8x16_t v = as_signed(x.v);
  const Floats<8> lo = words_to_float(vmovl_s8(vget_low_s8(v)));
  if constexpr (N == 8)
    return lo;
  else
    return join(lo, words_to_float(vmovl_high_s8(v)));
}
IQK_INLINE Floats<8> look_up_floats(const float* table, Small codes) {
  uint8_t at[16];
  float y[8];
  vst1q_u8(at, codes.v);
  for (int i = 0; i < 8; ++i) y[i] = table[at[i]];
  return {vld1q_f32(y), vld1q_f32(y + 4)};
}
template <int N>
IQK_INLINE Floats<N> floats_u8(Small x) {
  const Floats<8> lo = words_to_float(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(x.v))));
  if constexpr (N == 8)
    return lo;
  else
    return join(lo, words_to_float(vreinterpretq_s16_u16(vmovl_high_u8(x.v))));
}
template <int N>
IQK_INLINE Floats<N> splat_half(const uint8_t* p) {
  return fsplat<N>(static_cast<float>(read_at<__fp16>(p)));
}
template <int N>
IQK_INLINE Floats<N> splat_last_half(const uint8_t* p) {
  return splat_half<N>(p);
}
template <int Apart>
IQK_INLINE Floats<16> splat_half_and_minus(const uint8_t* p) {
  return join(splat_half<8>(p), splat_half<8>(p + Apart) * fsplat<8>(-1));
}
IQK_INLINE Floats<8> halves_to_float(uint8x16_t x) {
  const float16x8_t h = vreinterpretq_f16_u8(x);
  return {vcvt_f32_f16(vget_low_f16(h)), vcvt_high_f32_f16(h)};
}
// Strided elements are put together in general registers, beside the vector pipes.
template <int Stride>
IQK_INLINE uint64_t four_words(const uint8_t* p) {
  return read_at<uint16_t>(p) | static_cast<uint64_t>(read_at<uint16_t>(p + Stride)) << 16 |
         static_cast<uint64_t>(read_at<uint16_t>(p + 2 * Stride)) << 32 |
         static_cast<uint64_t>(read_at<uint16_t>(p + 3 * Stride)) << 48;
}
template <int Stride>
IQK_INLINE Floats<8> strided_halves(const uint8_t* p) {
  if constexpr (Stride == 2) return halves_to_float(vld1q_u8(p));
  return halves_to_float(two_qwords(four_words<Stride>(p), four_words<Stride>(p + 4 * Stride)));
}
template <class Map, int Stride>
IQK_INLINE Floats<16> strided_half_lanes(const uint8_t* p) {
  return spread<Map>(strided_halves<Stride>(p));
}
template <int Stride>
IQK_INLINE Floats<16> strided_half_pairs(const uint8_t* p) {
  return join(strided_halves<Stride>(p), strided_halves<Stride>(p + 2));
}
IQK_INLINE Floats<8> lower(Floats<16> x) { return {x.a, x.b}; }
IQK_INLINE Floats<8> upper(Floats<16> x) { return {x.c, x.d}; }
IQK_INLINE float32x4_t powers(uint32x4_t e) {
  // The exponent field of 2^(e - 128) is e - 1; below 2 the value is subnormal: 2^-127, 2^-128.
  const uint32x4_t normal = vshlq_n_u32(e - vdupq_n_u32(1), 23);
  const uint32x4_t tiny = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(e));
  return vreinterpretq_f32_u32(vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), tiny, normal));
}
template <int Stride>
IQK_INLINE Floats<8> strided_powers(const uint8_t* p) {
  uint64_t bytes = 0;
  if constexpr (Stride == 1)
    bytes = read_at<uint64_t>(p);
  else
    unroll<8>([&](auto i) IQK_LAMBDA { bytes |= static_cast<uint64_t>(p[i * Stride]) << (8 * i); });
  const uint16x8_t e = vmovl_u8(vcreate_u8(bytes));
  return {powers(vmovl_u16(vget_low_u16(e))), powers(vmovl_high_u16(e))};
}
IQK_INLINE Floats<16> load_f32(const void* p) {
  const Bytes x = load(p);
  return {vreinterpretq_f32_u8(x.a), vreinterpretq_f32_u8(x.b), vreinterpretq_f32_u8(x.c),
          vreinterpretq_f32_u8(x.d)};
}
IQK_INLINE Floats<16> load_f16(const void* p) {
  const uint8_t* q = static_cast<const uint8_t*>(p);
  return join(halves_to_float(vld1q_u8(q)), halves_to_float(vld1q_u8(q + 16)));
}
IQK_INLINE Floats<16> floats_f16(Small x, Small y) {
  return join(halves_to_float(x.v), halves_to_float(y.v));
}
IQK_INLINE Floats<8> bf16_to_floats(uint8x16_t x) {
  return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(as_words(x)), 16)),
          vreinterpretq_f32_u32(vshll_high_n_u16(as_words(x), 16))};
}
IQK_INLINE Floats<16> load_bf16(const void* p) {
  const uint8_t* q = static_cast<const uint8_t*>(p);
  return join(bf16_to_floats(vld1q_u8(q)), bf16_to_floats(vld1q_u8(q + 16)));
}

// ---- Products: codes of at most 127 are signed bytes too -------------------------------------------------

struct Ints {
  int32x4_t a, b, c, d;
};
IQK_INLINE Floats<16> to_float(Ints x) {
  return {vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d)};
}
IQK_INLINE Floats<16> floats_i32(Bytes dwords) {
  return to_float({vreinterpretq_s32_u8(dwords.a), vreinterpretq_s32_u8(dwords.b),
                   vreinterpretq_s32_u8(dwords.c), vreinterpretq_s32_u8(dwords.d)});
}
IQK_INLINE Floats<16> look_up_floats(const int8_t* table, Bytes dwords) {
  const int8x16_t entries = vld1q_s8(table);
  const auto quarter = [&](uint8x16_t x) IQK_LAMBDA {  // the entry comes into the highest byte
    const uint32x4_t index = vshlq_n_u32(vandq_u32(as_dwords(x), vdupq_n_u32(15)), 24);
    return vshrq_n_s32(
        vreinterpretq_s32_s8(vqtbl1q_s8(entries, as_bytes(vorrq_u32(index, vdupq_n_u32(0x00ffffff))))), 24);
  };
  return to_float({quarter(dwords.a), quarter(dwords.b), quarter(dwords.c), quarter(dwords.d)});
}
IQK_INLINE Floats<16> as_floats(Ints x) {
  return {vreinterpretq_f32_s32(x.a), vreinterpretq_f32_s32(x.b), vreinterpretq_f32_s32(x.c),
          vreinterpretq_f32_s32(x.d)};
}
IQK_INLINE Floats<8> folded_to_float(Ints x) { return {vcvtq_f32_s32(x.a + x.c), vcvtq_f32_s32(x.b + x.d)}; }

// A plain load of four bytes into a register.
IQK_INLINE int32x2_t load_four(const uint8_t* p) { return int32x2_t{read_at<int32_t>(p), 0}; }
// Ends an addition to a panel accumulator, so that additions stay in the order in which they are written:
// GCC's scheduler mixes lines and columns of a tile until they no longer fit the registers.
template <class T>
IQK_INLINE void keep_order(T& a, T& b, T& c, T& d) {
  asm volatile("" : "+w"(a), "+w"(b), "+w"(c), "+w"(d));
}

#ifdef __ARM_FEATURE_DOTPROD

template <int Max>
struct Acc {
  static_assert(Max <= 127, "unsigned codes that are no signed bytes");
  Ints sum;
  IQK_MEMBER void start() { sum.a = sum.b = sum.c = sum.d = vdupq_n_s32(0); }
  template <int N>
  IQK_MEMBER void add(Bytes codes, Bytes activations) {
    sum.a = vdotq_s32(sum.a, as_signed(codes.a), as_signed(activations.a));
    sum.b = vdotq_s32(sum.b, as_signed(codes.b), as_signed(activations.b));
    sum.c = vdotq_s32(sum.c, as_signed(codes.c), as_signed(activations.c));
    sum.d = vdotq_s32(sum.d, as_signed(codes.d), as_signed(activations.d));
  }
  IQK_MEMBER Ints finish() const { return sum; }
};

template <int Max>
struct PanelAcc {
  static_assert(Max <= 127, "unsigned codes that are no signed bytes");
  using Line = Bytes;
  Ints sum;
  IQK_INLINE Line prepare(const uint8_t* line) { return load(line); }
  IQK_MEMBER void start(const uint8_t* first) {
    int32_t x = read_at<int32_t>(first);
    // Each from the general register: a copy of another vector would take a vector pipe.
    const auto broadcast = [&]() IQK_LAMBDA {
      asm volatile("" : "+r"(x));
      return vdupq_n_s32(x);
    };
    sum = {broadcast(), broadcast(), broadcast(), broadcast()};
  }
  IQK_INLINE const uint8_t* four(const uint8_t* activations) { return activations; }
  template <int N>
  IQK_MEMBER void add(const Line& line, const uint8_t* activations) {
    // The product broadcasts the four bytes itself; a broadcasting load would take a vector pipe.
    const int8x8_t x = vreinterpret_s8_s32(load_four(activations));
    sum.a = vdotq_lane_s32(sum.a, as_signed(line.a), x, 0);
    sum.b = vdotq_lane_s32(sum.b, as_signed(line.b), x, 0);
    sum.c = vdotq_lane_s32(sum.c, as_signed(line.c), x, 0);
    sum.d = vdotq_lane_s32(sum.d, as_signed(line.d), x, 0);
    keep_order(sum.a, sum.b, sum.c, sum.d);
  }
  IQK_MEMBER Ints finish() const { return sum; }
};

#else

// So many sums of two products fit 16 bits; two products with -128 are at most 32512.
constexpr int sums_in_words(int max) { return max == 0 ? 1 : 32767 / (254 * max); }

// One register of an accumulator: products in 16 bits, pairs of them added when they are full.
template <int Max>
struct LaneAcc {
  static_assert(Max <= 127, "unsigned codes that are no signed bytes");
  static constexpr int kFit = sums_in_words(Max);
  int16x8_t lo, hi;
  int32x4_t sum;
  IQK_MEMBER void start() {
    lo = hi = vdupq_n_s16(0);
    sum = vdupq_n_s32(0);
  }
  template <int N>
  IQK_MEMBER void add(int8x16_t codes, int8x16_t activations) {
    if constexpr (N % kFit == 0) {
      if constexpr (N > 0) sum = finish();
      lo = vmull_s8(vget_low_s8(codes), vget_low_s8(activations));
      hi = vmull_high_s8(codes, activations);
    } else {
      lo = vmlal_s8(lo, vget_low_s8(codes), vget_low_s8(activations));
      hi = vmlal_high_s8(hi, codes, activations);
    }
  }
  IQK_MEMBER int32x4_t finish() const { return vpadalq_s16(sum, vpaddq_s16(lo, hi)); }
};

template <int Max>
struct Acc {
  LaneAcc<Max> a, b, c, d;
  IQK_MEMBER void start() {
    a.start();
    b.start();
    c.start();
    d.start();
  }
  template <int N>
  IQK_MEMBER void add(Bytes codes, Bytes activations) {
    a.template add<N>(as_signed(codes.a), as_signed(activations.a));
    b.template add<N>(as_signed(codes.b), as_signed(activations.b));
    c.template add<N>(as_signed(codes.c), as_signed(activations.c));
    d.template add<N>(as_signed(codes.d), as_signed(activations.d));
  }
  IQK_MEMBER Ints finish() const { return {a.finish(), b.finish(), c.finish(), d.finish()}; }
};

// Bytes 0 and 1 of the dwords apart from bytes 2 and 3, so that the multiplication adds the two products of a
// 16-bit sum. The registers do not hold sums of both widths: where 16 bits fill up soon, each is widened.
template <int Max>
struct PanelAcc {
  static_assert(Max <= 127, "unsigned codes that are no signed bytes");
  struct Line {
    int8x16_t low_ab, low_cd, high_ab, high_cd;
  };
  struct Words {
    int16x8_t a, b, c, d;
  };
  static constexpr int kFit = sums_in_words(Max) < 8 ? 1 : sums_in_words(Max);
  Words words;
  Ints sum;
  IQK_INLINE Line prepare(const uint8_t* line) {
    const Bytes x = load(line);
    const uint16x8_t a = as_words(x.a), b = as_words(x.b), c = as_words(x.c), d = as_words(x.d);
    return {vreinterpretq_s8_u16(vuzp1q_u16(a, b)), vreinterpretq_s8_u16(vuzp1q_u16(c, d)),
            vreinterpretq_s8_u16(vuzp2q_u16(a, b)), vreinterpretq_s8_u16(vuzp2q_u16(c, d))};
  }
  IQK_MEMBER void start(const uint8_t* first) {
    words.a = words.b = words.c = words.d = vdupq_n_s16(0);
    sum.a = sum.b = sum.c = sum.d = vdupq_n_s32(read_at<int32_t>(first));
  }
  IQK_MEMBER Ints widened() const {
    return {vpadalq_s16(sum.a, words.a), vpadalq_s16(sum.b, words.b), vpadalq_s16(sum.c, words.c),
            vpadalq_s16(sum.d, words.d)};
  }
  IQK_INLINE Words times(int8x16_t ab, int8x16_t cd, int8x16_t x) {
    return {vmull_s8(vget_low_s8(ab), vget_low_s8(x)), vmull_high_s8(ab, x),
            vmull_s8(vget_low_s8(cd), vget_low_s8(x)), vmull_high_s8(cd, x)};
  }
  IQK_INLINE Words plus_times(Words w, int8x16_t ab, int8x16_t cd, int8x16_t x) {
    return {vmlal_s8(w.a, vget_low_s8(ab), vget_low_s8(x)), vmlal_high_s8(w.b, ab, x),
            vmlal_s8(w.c, vget_low_s8(cd), vget_low_s8(x)), vmlal_high_s8(w.d, cd, x)};
  }
  IQK_INLINE const uint8_t* four(const uint8_t* activations) { return activations; }
  template <int N>
  IQK_MEMBER void add(const Line& line, const uint8_t* activations) {
    const int16x4_t x = vreinterpret_s16_s32(load_four(activations));
    const int8x16_t low = vreinterpretq_s8_s16(vdupq_lane_s16(x, 0));
    const int8x16_t high = vreinterpretq_s8_s16(vdupq_lane_s16(x, 1));
    if constexpr (N > 0 && kFit > 1 && N % kFit == 0) sum = widened();
    if constexpr (N % kFit == 0)
      words = times(line.low_ab, line.low_cd, low);
    else
      words = plus_times(words, line.low_ab, line.low_cd, low);
    words = plus_times(words, line.high_ab, line.high_cd, high);
    if constexpr (kFit == 1) {
      sum = widened();
      keep_order(sum.a, sum.b, sum.c, sum.d);
    } else {
      keep_order(words.a, words.b, words.c, words.d);
    }
  }
  IQK_MEMBER Ints finish() const {
    if constexpr (kFit == 1)
      return sum;
    else
      return widened();
  }
};

#endif

// ---- Panel transposition ---------------------------------------------------------------------------------

IQK_INLINE void transpose16(const uint8_t* rows, ptrdiff_t stride, uint8_t* to, const uint8_t* at,
                            ptrdiff_t line_stride) {
  for (int column = 0; column < 16; column += 4)
    for (int row = 0; row < 16; row += 4) {
      const Bytes x = transpose_lanes32(load_lanes(rows + row * stride + 4 * column, stride));
      uint8_t* p = to + 4 * row;
      vst1q_u8(p + at[column] * line_stride, x.a);
      vst1q_u8(p + at[column + 1] * line_stride, x.b);
      vst1q_u8(p + at[column + 2] * line_stride, x.c);
      vst1q_u8(p + at[column + 3] * line_stride, x.d);
    }
}

// ---- Codebooks -------------------------------------------------------------------------------------------

template <int From, class Index>
IQK_INLINE uint8x16_t grid8_lane(const uint64_t* grid, Index at) {
  return as_bytes(
      vcombine_u64(vld1_u64(grid + at(Constant<From>{})), vld1_u64(grid + at(Constant<From + 1>{}))));
}
template <class Index>
IQK_INLINE Bytes grid8(const uint64_t* grid, Index at) {
  return {grid8_lane<0>(grid, at), grid8_lane<2>(grid, at), grid8_lane<4>(grid, at), grid8_lane<6>(grid, at)};
}
template <int From, class Index>
IQK_INLINE uint8x16_t grid4_lane(const uint32_t* grid, Index at) {
  return as_bytes(uint32x4_t{grid[at(Constant<From>{})], grid[at(Constant<From + 1>{})],
                             grid[at(Constant<From + 2>{})], grid[at(Constant<From + 3>{})]});
}
template <class Index>
IQK_INLINE Bytes grid4(const uint32_t* grid, Index at) {
  return {grid4_lane<0>(grid, at), grid4_lane<4>(grid, at), grid4_lane<8>(grid, at),
          grid4_lane<12>(grid, at)};
}
// Dwords 0-3, 4-7.
struct Signs {
  uint8x16_t lo, hi;
};
IQK_INLINE Signs load_signs(const uint8_t* p) { return {vld1q_u8(p), vld1q_u8(p + 16)}; }
// Bits 0-6 with bit 7 = their parity. Bit 7 must be 0.
IQK_INLINE uint8x16_t with_parity(uint8x16_t field) { return vsliq_n_u8(field, vcntq_u8(field), 7); }
// The fields move apart to bytes: each step shifts all but the lowest one, two, three of them by one bit.
IQK_INLINE uint8x16_t fields_to_bytes(uint32x4_t x) {
  x = vsliq_n_u32(x, vshrq_n_u32(x, 7), 8);
  x = vsliq_n_u32(x, vshrq_n_u32(x, 15), 16);
  x = vsliq_n_u32(x, vshrq_n_u32(x, 23), 24);
  return with_parity(as_bytes(x) & vdupq_n_u8(127));
}
template <int Stride>
IQK_INLINE Floats<8> top_nibbles(const uint8_t* p) {
  uint64_t x = 0;
  unroll<8>([&](auto b) IQK_LAMBDA { x |= static_cast<uint64_t>(p[Stride * b + 3] >> 4) << (8 * b); });
  return floats_u8<8>({vcombine_u8(vcreate_u8(x), vcreate_u8(0))});
}
template <int Stride>
IQK_INLINE Signs load_sign_fields(const uint8_t* p) {
  if constexpr (Stride == 4) {
    return {fields_to_bytes(as_dwords(vld1q_u8(p))), fields_to_bytes(as_dwords(vld1q_u8(p + 16)))};
  } else {
    const auto four = [](const uint8_t* q) IQK_LAMBDA {
      return uint32x4_t{read_at<uint32_t>(q), read_at<uint32_t>(q + Stride),
                        read_at<uint32_t>(q + 2 * Stride), read_at<uint32_t>(q + 3 * Stride)};
    };
    return {fields_to_bytes(four(p)), fields_to_bytes(four(p + 4 * Stride))};
  }
}
IQK_INLINE Signs load_sign_words(const uint8_t* p) {
  const Bytes x = load(p);
  return {with_parity(vshrq_n_u8(vuzp2q_u8(x.a, x.b), 1)), with_parity(vshrq_n_u8(vuzp2q_u8(x.c, x.d), 1))};
}
template <int V>
IQK_INLINE Bytes flip_signs(Bytes x, const Signs& signs, int twice) {
  const uint8x16_t even = vshlq_n_u8(vld1q_u8(kEightFold), 2) + vdupq_n_u8(V);  // bytes V, V + 4
  const uint8x16_t odd = even + vdupq_n_u8(8);
  const Bytes y = splat(twice) - x;
  return {vbslq_u8(bits_to_mask(signs.lo, even), y.a, x.a), vbslq_u8(bits_to_mask(signs.lo, odd), y.b, x.b),
          vbslq_u8(bits_to_mask(signs.hi, even), y.c, x.c), vbslq_u8(bits_to_mask(signs.hi, odd), y.d, x.d)};
}

// ---- What the core can do: independent chains of multiply-adds, enough to hide the latency ---------------

#define IQK_CHAINS(before, body)                                                                             \
  asm volatile(before ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" body "\n.endr\n" ::                   \
                   : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
                     "v14", "v15", "v16", "v17")
constexpr double kFloatPeakOperations = 16 * 8;
#ifdef __ARM_FEATURE_DOTPROD
static constexpr char kInt8Instruction[] = "sdot";
constexpr double kInt8PeakOperations = 16 * 32;
IQK_INLINE void int8_peak_step() { IQK_CHAINS("", "sdot v\\r\\().4s, v16.16b, v17.16b"); }
#else
static constexpr char kInt8Instruction[] = "smull + sadalp";
constexpr double kInt8PeakOperations = 16 * 16;
IQK_INLINE void int8_peak_step() {
  IQK_CHAINS("", "smull v17.8h, v16.8b, v16.8b\n sadalp v\\r\\().4s, v17.8h");
}
#endif
IQK_INLINE void float_peak_step() { IQK_CHAINS("movi v16.4s, #0\n", "fmla v\\r\\().4s, v16.4s, v16.4s"); }

}  // namespace IQK_NS

#include "iqk/isa/grids.h"

// What the row encoders share: float sums over a block, codes into bytes, half-precision scales.
#pragma once

#include <cstdint>
#include <cstring>

#include "iqk/base/half.h"
#include "iqk/base/inline.h"
#include "iqk/base/unroll.h"
#include "iqk/quantize/lanes.h"

namespace iqk::encode {

// Encodes one row: k weights to the bytes of a row. `importance` has k values in [0, 1] and is all ones where
// none was given.
using RowEncoder = void (*)(const float* x, const float* importance, int64_t k, uint8_t* out);

template <class T>
IQK_INLINE void write(uint8_t* p, T x) {
  std::memcpy(p, &x, sizeof x);
}

constexpr float kMaxHalf = 65504;

// The half nearest to x, kept finite.
IQK_INLINE uint16_t finite_half(float x) {
  return fp32_to_fp16(x > kMaxHalf ? kMaxHalf : x < -kMaxHalf ? -kMaxHalf : x);
}

// 1 / d, or 0 where that is no number to multiply with.
IQK_INLINE float inverse_of(float d) {
  const float inverse = 1 / d;
  return inverse >= -0x1p127f && inverse <= 0x1p127f ? inverse : 0;
}

template <int N>
IQK_INLINE float largest(const float* x) {
  Lanes high = load(x), low = high;
  for (int i = kLanes; i < N; i += kLanes) {
    high = max(high, load(x + i));
    low = min(low, load(x + i));
  }
  const float a = maximum(high), b = -minimum(low);
  return b > a ? b : a;  // +0 for zeros
}

// The value of largest magnitude, with its sign; the first of several.
template <int N>
IQK_INLINE float extreme(const float* x) {
  const float magnitude = largest<N>(x);
  int i = 0;
  while (x[i] != magnitude && x[i] != -magnitude) ++i;
  return x[i];
}

template <int N>
IQK_INLINE float total(const float* x) {
  Lanes s = load(x);
  for (int i = kLanes; i < N; i += kLanes) s += load(x + i);
  return sum(s);
}

// The importances of a block, at least a thousandth of their mean: weights of none are not to be sacrificed
// for nothing. Where all are zero, all count the same.
template <int N>
IQK_INLINE void copy_importance(const float* importance, float* w, float same = 1) {
  const float weight = total<N>(importance);
  const Lanes least = splat(weight > 0 ? weight * (0x1p-10f / N) : same);
  for (int i = 0; i < N; i += kLanes) store(w + i, max(load(importance + i), least));
}

// 2^n for a positive x in [2^n, 2^(n + 1)), n clipped to -126..126.
IQK_INLINE float power_below(float x) {
  const uint32_t exponent = float_bits(x) >> 23;
  return bits_float((exponent < 1 ? 1 : exponent > 253 ? 253 : exponent) << 23);
}

// ---- Codes into bytes ------------------------------------------------------------------------------------

// 2 Bytes codes below 16: byte j has code j in its low nibble and code Bytes + j in its high one.
template <int Bytes = 16>
IQK_INLINE void put_split_nibbles(const uint8_t* __restrict codes, uint8_t* __restrict out) {
  uint8_t packed[Bytes];
  for (int j = 0; j < Bytes; ++j) packed[j] = static_cast<uint8_t>((codes[j] & 15) | codes[Bytes + j] << 4);
  std::memcpy(out, packed, Bytes);
}

// Bit `at` of `count` codes, in their order.
IQK_INLINE void put_bits_in_order(const uint8_t* codes, int at, uint8_t* out, int count) {
  for (int n = 0; n < count / 8; ++n) {
    uint64_t eight;
    std::memcpy(&eight, codes + 8 * n, sizeof eight);
    eight = eight >> at & 0x0101010101010101;
    out[n] = static_cast<uint8_t>(eight * 0x0102040810204080 >> 56);  // gathers bit 0 of byte j as bit j
  }
}

// ---- 256 codes -------------------------------------------------------------------------------------------

// The low nibbles of codes: near ones pair weights 16 apart, far ones 32 apart.
IQK_INLINE void put_near_nibbles(const uint8_t* codes, uint8_t* out) {
  for (int b = 0; b < 8; ++b) put_split_nibbles<16>(codes + 32 * b, out + 16 * b);
}
IQK_INLINE void put_far_nibbles(const uint8_t* codes, uint8_t* out) {
  for (int n = 0; n < 4; ++n) put_split_nibbles<32>(codes + 64 * n, out + 32 * n);
}
// Bits `at` and `at` + 1: byte j of a half has those of its codes j, 32 + j, 64 + j, 96 + j.
IQK_INLINE void put_bit_pairs(const uint8_t* __restrict codes, int at, uint8_t* __restrict out) {
  for (int h = 0; h < 2; ++h, codes += 128, out += 32)
    for (int j = 0; j < 32; ++j)
      out[j] = static_cast<uint8_t>((codes[j] >> at & 3) | (codes[32 + j] >> at & 3) << 2 |
                                    (codes[64 + j] >> at & 3) << 4 | (codes[96 + j] >> at & 3) << 6);
}
// Bit `at`: bit b of byte j is that of code 32 b + j.
IQK_INLINE void put_single_bits(const uint8_t* __restrict codes, int at, uint8_t* __restrict out) {
  for (int j = 0; j < 32; ++j) {
    int byte = 0;
    for (int b = 0; b < 8; ++b) byte |= (codes[32 * b + j] >> at & 1) << b;
    out[j] = static_cast<uint8_t>(byte);
  }
}

}  // namespace iqk::encode

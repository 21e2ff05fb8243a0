// Activations: float rows to int8 codes with a float32 scale per 32. Plain loops that compilers vectorize,
// compiled for each instruction set; the same bits everywhere.
#pragma once

#include "iqk/base/half.h"
#include "iqk/kernels/arguments.h"

namespace IQK_NS {

// Largest bit pattern without the sign: of finite numbers the largest magnitude.
IQK_INLINE uint32_t largest_magnitude(const float* x) {
  uint32_t largest = 0;
  for (int i = 0; i < 32; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, 4);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

// One block of 32; false if it has a NaN or a number too large, and then it becomes zero. Bytes may alias
// anything: without __restrict the loop would take one number after the other.
IQK_INLINE bool quantize_block(const float* __restrict x, int8_t* __restrict codes, float* scale) {
  const uint32_t largest = largest_magnitude(x);
  const float magnitude = bits_float(largest);
  // Below this, 127 / magnitude overflows: such a block is zero for every purpose.
  constexpr float kTiny = 4e-37f;
  // Written so that a NaN counts as too large.
  const bool small_enough = magnitude < kLargestActivation;
  if (!small_enough || magnitude < kTiny) {
    std::memset(codes, 0, 32);
    *scale = 0;
    return small_enough;
  }
  const float factor = 127.0f / magnitude;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, ties to even
  for (int i = 0; i < 32; ++i) {
    const float rounded = x[i] * factor + kRound;
    int32_t bits;
    std::memcpy(&bits, &rounded, 4);
    codes[i] = static_cast<int8_t>(bits);
  }
  *scale = magnitude / 127.0f;
  return true;
}

bool quantize_row(const QuantizeArgs& a) {
  bool finite = true;
  const int64_t blocks = a.k / 32, all = (a.k + 255) / 256 * 8;
  for (int64_t b = 0; b < blocks; ++b) finite &= quantize_block(a.x + 32 * b, a.codes + 32 * b, a.scales + b);
  for (int64_t b = blocks; b < all; ++b) {
    float rest[32] = {};
    for (int64_t i = 32 * b; i < a.k; ++i) rest[i - 32 * b] = a.x[i];
    finite &= quantize_block(rest, a.codes + 32 * b, a.scales + b);
  }
  return finite;
}

}  // namespace IQK_NS

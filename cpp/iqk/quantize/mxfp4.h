// MXFP4: blocks of 32 weights with a power of two as scale.
#pragma once

#include "iqk/quantize/block.h"

namespace iqk::encode {

// Codes of x / 2^(exponent - 128), to the nearest of 0, 1, 2, 3, 4, 6, 8, 12 and of two equally near to the
// smaller one; bit 3 is the sign. Returns the weighted error in units of the scale.
IQK_INLINE float mxfp4_codes(const float* x, const float* w, int exponent, uint8_t* codes) {
  static constexpr float kMiddles[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
  static constexpr float kSteps[7] = {1, 1, 1, 1, 2, 2, 4};
  // Two factors: one alone may lie outside the range of float.
  const int half = (128 - exponent) / 2;
  const Lanes first = splat(bits_float(static_cast<uint32_t>(127 + half) << 23));
  const Lanes second = splat(bits_float(static_cast<uint32_t>(127 + 128 - exponent - half) << 23));
  int32_t wide[32];
  Lanes error{};
  for (int i = 0; i < 32; i += kLanes) {
    const Lanes t = load(x + i) * first * second;
    const Integers negative = t < splat(0);
    const Lanes magnitude = max(t, -t);
    Integers code{};
    Lanes level{};
    for (int n = 0; n < 7; ++n) {
      const Integers above = magnitude > splat(kMiddles[n]);
      code -= above;
      level -= to_floats(above) * splat(kSteps[n]);
    }
    store(wide + i, code | (negative & (code != 0) & 8));
    const Lanes difference = magnitude - level;
    error += load(w + i) * difference * difference;
  }
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
  return sum(error);
}

// By the rule 2^(exponent - 125) <= largest magnitude < 2^(exponent - 124), which clips to 3/4 of that; where
// `Search`, or with one more.
template <bool Search>
void encode_mxfp4(const float* x, const float* importance, int64_t k, uint8_t* out) {
  for (int64_t i = 0; i < k; i += 32, out += 17) {
    const float magnitude = largest<32>(x + i);
    const int biased = static_cast<int>(float_bits(magnitude) >> 23);  // 127 + log2, 0 for subnormals
    int exponent = biased < 2 ? 0 : biased - 2;
    float w[32];
    uint8_t codes[32];
    copy_importance<32>(importance + i, w);
    const float error = mxfp4_codes(x + i, w, exponent, codes);
    if (Search && biased >= 2 && exponent < 252) {
      uint8_t other[32];
      if (4 * mxfp4_codes(x + i, w, exponent + 1, other) < error) {
        ++exponent;
        std::memcpy(codes, other, sizeof codes);
      }
    }
    out[0] = static_cast<uint8_t>(exponent);
    put_split_nibbles(codes, out + 1);
  }
}

}  // namespace iqk::encode

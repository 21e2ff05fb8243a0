// Q4_1 and Q5_1: blocks of 32 weights with a half-precision scale and minimum.
#pragma once

#include "iqk/quantize/affine_search.h"

namespace iqk::encode {

template <int Levels>
IQK_INLINE void put_affine(uint16_t d, uint16_t m, const uint8_t* codes, uint8_t* out) {
  write(out, d);
  write(out + 2, m);
  if (Levels == 32) put_bits_in_order(codes, 4, out + 4, 32);
  put_split_nibbles(codes, out + (Levels == 32 ? 8 : 4));
}

template <int Levels>
constexpr int kAffineBytes = Levels == 32 ? 24 : 20;

// The rule that all programs share: the codes span the range of the block, computed before scale and minimum
// are rounded.
template <int Levels>
void encode_affine_by_rule(const float* x, const float*, int64_t k, uint8_t* out) {
  constexpr float kTop = Levels - 1;
  for (int64_t b = 0; b < k / 32; ++b, x += 32, out += kAffineBytes<Levels>) {
    float low, d;
    affine_range<32>(x, kTop, low, d);
    const float inverse = inverse_of(d);
    const Lanes top = bound(kTop), bottom = bound(0);
    int32_t wide[32];
    for (int i = 0; i < 32; i += kLanes)
      store(wide + i,
            truncate(max(min((load(x + i) - splat(low)) * splat(inverse) + splat(0.5f), top), bottom)));
    uint8_t codes[32];
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
    put_affine<Levels>(fp32_to_fp16(d), fp32_to_fp16(low), codes, out);
  }
}

template <int Levels>
void encode_affine(const float* x, const float* importance, int64_t k, uint8_t* out) {
  for (int64_t i = 0; i < k; i += 32, out += kAffineBytes<Levels>) {
    uint8_t codes[32];
    uint16_t d, m;
    encode_affine_block<32>(Levels - 1, x + i, importance + i, d, m, codes);
    put_affine<Levels>(d, m, codes, out);
  }
}

}  // namespace iqk::encode

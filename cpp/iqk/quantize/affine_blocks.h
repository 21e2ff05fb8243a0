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

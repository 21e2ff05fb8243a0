// Q8_0 and Q8_KV: 8-bit codes, one scale per 32 weights or per row.
#pragma once

#include "iqk/quantize/block.h"

namespace iqk::encode {

// Ties away from zero, unlike Q8_KV: the rule by which files are written.
inline void encode_q8_0(const float* x, const float*, int64_t k, uint8_t* out) {
  for (int64_t b = 0; b < k / 32; ++b, x += 32, out += 34) {
    float d = largest<32>(x) / 127;
    if (d > kMaxHalf) d = kMaxHalf;
    const float inverse = inverse_of(d);
    const Lanes low = bound(-127), high = bound(127);
    int32_t wide[32];
    for (int i = 0; i < 32; i += kLanes) {
      const Lanes t = min(max(load(x + i) * splat(inverse), low), high);
      const Integers whole = truncate(t);
      const Lanes rest = t - to_floats(whole);
      store(wide + i, whole - (rest >= splat(0.5f)) + (rest <= splat(-0.5f)));  // true is -1
    }
    int8_t codes[32];
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<int8_t>(wide[i]);
    write(out, fp32_to_fp16(d));
    std::memcpy(out + 2, codes, 32);
  }
}

// The row's header has its scale and the sum of its codes.
inline void encode_q8_kv(const float* x, const float*, int64_t k, uint8_t* out) {
  float magnitude = 0;
  for (int64_t i = 0; i < k; i += 32) {
    const float block = largest<32>(x + i);
    magnitude = block > magnitude ? block : magnitude;
  }
  const float inverse = inverse_of(magnitude / 127);
  int32_t codes_sum = 0;
  for (int64_t i = 0; i < k; i += 32) {
    int32_t wide[32];
    for (int j = 0; j < 32; j += kLanes)
      store(wide + j, truncate(round_even(load(x + i + j) * splat(inverse))));
    int8_t codes[32];
    for (int j = 0; j < 32; ++j) {
      codes[j] = static_cast<int8_t>(wide[j]);
      codes_sum += wide[j];
    }
    std::memcpy(out + 8 + i, codes, 32);
  }
  write(out, inverse == 0 ? 0.0f : magnitude / 127);
  write(out + 4, codes_sum);
}

}  // namespace iqk::encode

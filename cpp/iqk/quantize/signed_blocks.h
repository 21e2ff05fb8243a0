// Q4_0, Q5_0, Q6_0 and IQ4_NL: blocks of 32 weights with one half-precision scale of either sign.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/quantize/scale_search.h"

namespace iqk::encode {

IQK_INLINE void put_q4_0(uint16_t d, const uint8_t* codes, uint8_t* out) {
  write(out, d);
  put_split_nibbles(codes, out + 2);
}
IQK_INLINE void put_q5_0(uint16_t d, const uint8_t* codes, uint8_t* out) {
  write(out, d);
  put_bits_in_order(codes, 4, out + 2, 32);
  put_split_nibbles(codes, out + 6);
}
IQK_INLINE void put_q6_0(uint16_t d, const uint8_t* codes, uint8_t* out) {
  write(out, d);
  for (int j = 0; j < 8; ++j)
    out[2 + j] = static_cast<uint8_t>(codes[j] >> 4 | codes[16 + j] >> 4 << 2 | codes[8 + j] >> 4 << 4 |
                                      codes[24 + j] >> 4 << 6);
  put_split_nibbles(codes, out + 10);
}

using PutBlock = void (*)(uint16_t d, const uint8_t* codes, uint8_t* out);

// The rule that all programs share: the extreme weight gets the lowest level, codes follow from the scale
// before it is rounded.
template <int Bytes, int Lowest, PutBlock Put>
void encode_by_rule(const float* x, const float*, int64_t k, uint8_t* out) {
  for (int64_t b = 0; b < k / 32; ++b, x += 32, out += Bytes) {
    float d = extreme<32>(x) / Lowest;
    d = d > kMaxHalf ? kMaxHalf : d < -kMaxHalf ? -kMaxHalf : d;
    const float inverse = inverse_of(d);
    const Lanes top = bound(-2 * Lowest - 1), bottom = bound(0);
    int32_t wide[32];
    for (int i = 0; i < 32; i += kLanes)
      store(wide + i, truncate(max(min(load(x + i) * splat(inverse) + splat(0.5f - Lowest), top), bottom)));
    uint8_t codes[32];
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
    Put(fp32_to_fp16(d), codes, out);
  }
}

template <int Bytes, PutBlock Put, class Levels>
IQK_INLINE void encode_by_search(const Levels& levels, Trials trials, const float* x, const float* importance,
                                 int64_t k, uint8_t* out) {
  for (int64_t i = 0; i < k; i += 32, out += Bytes) {
    uint8_t codes[32];
    const uint16_t d = encode_block<32>(levels, x + i, importance + i, trials, codes);
    Put(d, codes, out);
  }
}

inline void encode_q4_0(const float* x, const float* importance, int64_t k, uint8_t* out) {
  encode_by_search<18, put_q4_0>(LinearLevels(-8, 7), {-0.6f, 0.3f, 11}, x, importance, k, out);
}
inline void encode_q5_0(const float* x, const float* importance, int64_t k, uint8_t* out) {
  encode_by_search<22, put_q5_0>(LinearLevels(-16, 15), {-1, 0.25f, 11}, x, importance, k, out);
}
inline void encode_q6_0(const float* x, const float* importance, int64_t k, uint8_t* out) {
  encode_by_search<26, put_q6_0>(LinearLevels(-32, 31), {-1, 0.2f, 12}, x, importance, k, out);
}
inline void encode_iq4_nl(const float* x, const float* importance, int64_t k, uint8_t* out) {
  static const TableLevels levels(kIq4k[0], 16);
  encode_by_search<18, put_q4_0>(levels, {-14, 3, 12}, x, importance, k, out);
}

}  // namespace iqk::encode

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

// The bit patterns in which formats keep their codes, as the plain decoders read them. Those that fill
// `codes` are counted loops over contiguous bytes, which compilers vectorize.
#pragma once

#include "iqk/formats/format.h"

namespace IQK_NS {

// Field n of consecutive fields of Bits = 1, 2, 4 bits, lowest bits first.
template <int Bits>
IQK_INLINE int field(const uint8_t* p, int n) {
  return p[n * Bits / 8] >> n * Bits % 8 & ((1 << Bits) - 1);
}

// 2 Bytes codes in so many bytes: byte j holds codes j (low nibble) and Bytes + j.
template <int Bytes = 16>
IQK_INLINE void split_nibbles(const uint8_t* __restrict p, int8_t* __restrict codes) {
  for (int j = 0; j < Bytes; ++j) {
    codes[j] = static_cast<int8_t>(p[j] & 15);
    codes[Bytes + j] = static_cast<int8_t>(p[j] >> 4);
  }
}
// 4 Bytes codes in so many bytes: byte j holds codes j, Bytes + j, .. 3 Bytes + j, lowest bits first.
template <int Bytes>
IQK_INLINE void split_pairs(const uint8_t* __restrict p, int8_t* __restrict codes) {
  for (int l = 0; l < 4; ++l)
    for (int j = 0; j < Bytes; ++j) codes[Bytes * l + j] = static_cast<int8_t>(p[j] >> 2 * l & 3);
}

// The planes of 256 codes: near nibbles stay within 32 weights, far nibbles within 64, bit pairs within 128.
IQK_INLINE void near_nibbles(const uint8_t* p, int8_t* codes) {
  for (int b = 0; b < 8; ++b) split_nibbles(p + 16 * b, codes + 32 * b);
}
IQK_INLINE void far_nibbles(const uint8_t* p, int8_t* codes) {
  for (int n = 0; n < 4; ++n) split_nibbles<32>(p + 32 * n, codes + 64 * n);
}
IQK_INLINE void bit_pairs(const uint8_t* p, int8_t* codes) {
  for (int h = 0; h < 2; ++h) split_pairs<32>(p + 32 * h, codes + 128 * h);
}

// Bit pairs as bits `at` and `at` + 1 of codes whose other bits are there already.
IQK_INLINE void add_bit_pairs(const uint8_t* __restrict p, int at, int8_t* __restrict codes) {
  for (int b = 0; b < 8; ++b)
    for (int j = 0; j < 32; ++j)
      codes[32 * b + j] =
          static_cast<int8_t>(codes[32 * b + j] | (p[32 * (b / 4) + j] >> 2 * (b % 4) & 3) << at);
}

// Bit `at` of 256 codes in 32 bytes: bit b of byte j belongs to code 32 b + j.
IQK_INLINE void add_single_bits(const uint8_t* __restrict p, int at, int8_t* __restrict codes) {
  for (int b = 0; b < 8; ++b)
    for (int j = 0; j < 32; ++j)
      codes[32 * b + j] = static_cast<int8_t>(codes[32 * b + j] | (p[j] >> b & 1) << at);
}

// Adds the bytes of `x` to eight codes whose bits there are zero.
IQK_INLINE void add_to_eight(uint64_t x, int8_t* codes) {
  uint64_t eight;
  std::memcpy(&eight, codes, sizeof eight);
  eight |= x;
  std::memcpy(codes, &eight, sizeof eight);
}
// Bit `at` of `count` codes, in their order.
IQK_INLINE void add_bits_in_order(const uint8_t* p, int at, int8_t* codes, int count) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  for (int n = 0; n < count / 8; ++n) {
    const uint64_t bit = p[n] * kOnes & 0x8040201008040201;  // bit j in byte j; + 127 carries it to bit 7
    add_to_eight(((bit + 127 * kOnes) >> 7 & kOnes) << at, codes + 8 * n);
  }
}

// Codes to values: an offset, or a table.
IQK_INLINE void subtract(int offset, int8_t* codes, int count) {
  for (int i = 0; i < count; ++i) codes[i] = static_cast<int8_t>(codes[i] - offset);
}
IQK_INLINE void look_up(const int8_t* table, int8_t* codes, int count) {
  for (int i = 0; i < count; ++i) codes[i] = table[codes[i]];
}

// The first 16 bytes of Q4_K and Q5_K: fp16 factors of scales and minima, then 8 scales and 8 minima
// (subtracted) of 6 bits in 12 bytes.
IQK_INLINE void six_bit_scales(const uint8_t* p, Unit& u) {
  const float d = half(p), dmin = half(p + 2);
  const uint8_t* s = p + 4;
  for (int b = 0; b < 8; ++b) {
    const int scale = b < 4 ? s[b] & 63 : (s[4 + b] & 15) | s[b - 4] >> 6 << 4;
    const int minimum = b < 4 ? s[4 + b] & 63 : s[4 + b] >> 4 | s[b] >> 6 << 4;
    u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(scale);
    u.minimum[2 * b] = u.minimum[2 * b + 1] = -(dmin * static_cast<float>(minimum));
  }
}

// A ternary digit, 0..2, of a byte that is a fraction of 256; `power` is 3^n for digit n after the point.
IQK_INLINE int ternary_digit(int byte, int power) { return (byte * power & 255) * 3 >> 8; }

}  // namespace IQK_NS

// IQ1_BN, IQ2_BN, TQ1_0, TQ2_0: weights -c, 0, c; and Q1_0_G128: -c, c.
#pragma once

#include <algorithm>
#include <cstdint>

#include "iqk/quantize/block.h"

namespace iqk::encode {

// Weights of about the same magnitude: 32 bins per power of two, 16 powers of two below the largest
// magnitude.
struct TernaryBins {
  static constexpr int kBins = 512;
  double product[kBins], square[kBins];  // sums of importance * magnitude, of importance
};

// The c of the smallest weighted error. The largest weights become +-c, and their weighted mean is then the
// best c: tried are all numbers of largest weights as far as bins tell them apart, and the best is refined
// until +-c is just what lies nearer to it than to 0. For weights that are ternary the result is exactly
// their c.
inline float ternary_scale(const float* x, const float* importance, int64_t count) {
  float c = 0, largest = 0, weight = 0;
  bool ternary = true;
  for (int64_t i = 0; i < count; ++i) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    weight += importance[i];
    largest = magnitude > largest ? magnitude : largest;
    if (magnitude == 0 || magnitude == c) continue;
    ternary = ternary && c == 0;
    c = magnitude;
  }
  if (ternary) return c;

  const float extra = weight > 0 ? 0.0f : 1.0f;
  TernaryBins bins{};
  const auto bin = [top = float_bits(largest) >> 18](float magnitude) {
    return std::min<uint32_t>(top - (float_bits(magnitude) >> 18), TernaryBins::kBins - 1);
  };
  for (int64_t i = 0; i < count; ++i) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    const double w = static_cast<double>(importance[i] + extra);
    bins.product[bin(magnitude)] += w * static_cast<double>(magnitude);
    bins.square[bin(magnitude)] += w;
  }
  double product = 0, square = 0, best_gain = 0;
  for (int n = 0; n < TernaryBins::kBins; ++n) {
    product += bins.product[n];
    square += bins.square[n];
    if (product * product > best_gain * square) {
      best_gain = product * product / square;
      c = static_cast<float>(product / square);
    }
  }
  for (int round = 0; round < 4; ++round) {
    product = square = 0;
    for (int64_t i = 0; i < count; ++i) {
      const float magnitude = x[i] < 0 ? -x[i] : x[i];
      const double w = magnitude > c / 2 ? static_cast<double>(importance[i] + extra) : 0;
      product += w * static_cast<double>(magnitude);
      square += w;
    }
    if (!(product > 0) || static_cast<float>(product / square) == c) break;
    c = static_cast<float>(product / square);
  }
  return c;
}

// Codes 0, 1, 2 for -c, 0, c.
inline void ternary_codes(const float* x, float c, int count, uint8_t* codes) {
  const float middle = c / 2;
  for (int i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>(1 + (x[i] > middle) - (x[i] < -middle));
}

// 4 Bytes codes in so many bytes: byte j has codes j, Bytes + j, .. 3 Bytes + j, lowest bits first.
template <int Bytes>
IQK_INLINE void put_split_pairs(const uint8_t* __restrict codes, uint8_t* __restrict out) {
  uint8_t packed[Bytes];
  for (int j = 0; j < Bytes; ++j)
    packed[j] = static_cast<uint8_t>(codes[j] | codes[Bytes + j] << 2 | codes[2 * Bytes + j] << 4 |
                                     codes[3 * Bytes + j] << 6);
  std::memcpy(out, packed, Bytes);
}

// The byte that has up to five ternary digits, `stride` codes apart, as a fraction of 256: digit n is worth
// powers[n] / 243.
IQK_INLINE uint8_t ternary_byte(const uint8_t* codes, int stride, int digits, const int* powers) {
  int value = 0;
  for (int n = 0; n < digits; ++n) value += codes[stride * n] * powers[n];
  return static_cast<uint8_t>((256 * value + 242) / 243);
}
constexpr int kAscendingPowers[5] = {1, 3, 9, 27, 81}, kDescendingPowers[5] = {81, 27, 9, 3, 1};

inline void encode_iq2_bn(const float* x, const float* importance, int64_t k, uint8_t* out) {
  const float c = ternary_scale(x, importance, k);
  write(out, c);
  for (int64_t b = 0; b < k / 64; ++b) {
    uint8_t codes[64];
    ternary_codes(x + 64 * b, c, 64, codes);
    put_split_pairs<16>(codes, out + 4 + 16 * b);
  }
}

inline void encode_iq1_bn(const float* x, const float* importance, int64_t k, uint8_t* out) {
  const float c = ternary_scale(x, importance, k);
  write(out, finite_half(c));
  out += 2;
  for (int64_t b = 0; b < k / 64; ++b, out += 13) {
    uint8_t codes[64];
    ternary_codes(x + 64 * b, c, 64, codes);
    for (int g = 0; g < 4; ++g)
      for (int p = 0; p < 3; ++p)
        out[3 * g + p] = ternary_byte(codes + 16 * g + 5 * p, 1, 5, kAscendingPowers);
    out[12] = ternary_byte(codes + 15, 16, 4, kAscendingPowers);
  }
}

inline void encode_tq2_0(const float* x, const float* importance, int64_t k, uint8_t* out) {
  for (int64_t i = 0; i < k; i += 256, out += 66) {
    const float c = ternary_scale(x + i, importance + i, 256);
    uint8_t codes[256];
    ternary_codes(x + i, c, 256, codes);
    put_split_pairs<32>(codes, out);
    put_split_pairs<32>(codes + 128, out + 32);
    write(out + 64, finite_half(c));
  }
}

inline void encode_tq1_0(const float* x, const float* importance, int64_t k, uint8_t* out) {
  for (int64_t i = 0; i < k; i += 256, out += 54) {
    const float c = ternary_scale(x + i, importance + i, 256);
    uint8_t codes[256];
    ternary_codes(x + i, c, 256, codes);
    for (int j = 0; j < 32; ++j) out[j] = ternary_byte(codes + j, 32, 5, kDescendingPowers);
    for (int j = 0; j < 16; ++j) out[32 + j] = ternary_byte(codes + 160 + j, 16, 5, kDescendingPowers);
    for (int j = 0; j < 4; ++j) out[48 + j] = ternary_byte(codes + 240 + j, 4, 4, kDescendingPowers);
    write(out + 52, finite_half(c));
  }
}

// The mean magnitude, the best scale for any signs; summed in the order of the weights, in float.
inline void encode_q1_0_g128(const float* x, const float* importance, int64_t k, uint8_t* out) {
  for (int64_t b = 0; b < k / 128; ++b, x += 128, importance += 128, out += 18) {
    float w[128];
    copy_importance<128>(importance, w);
    float magnitudes = 0, weights = 0;
    uint8_t positive[128];
    for (int i = 0; i < 128; ++i) {
      // 2^-8 keeps the sum finite; where no importances are given it changes no bit.
      magnitudes += w[i] * (x[i] < 0 ? -x[i] : x[i]) * 0x1p-8f;
      weights += w[i] * 0x1p-8f;
      positive[i] = x[i] >= 0;
    }
    write(out, finite_half(magnitudes / weights));
    put_bits_in_order(positive, 0, out + 2, 128);
  }
}

}  // namespace iqk::encode

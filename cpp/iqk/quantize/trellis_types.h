// IQ1_KT, IQ2_KT, IQ3_KT, IQ4_KT: codes that start a generator of 8 or 4 weights, an integer scale per 32, a
// float scale per row.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/quantize/vector_search.h"

namespace iqk::encode {

// The values of the codes first .. first + count - 1, D of each; their magnitudes where no signs are wanted.
template <int D>
std::vector<float> trellis_values(uint32_t first, uint32_t count, bool signs = true) {
  std::vector<float> values;
  values.reserve(count * D);
  for (uint32_t code = first; code < first + count; ++code)
    for (int r = 0; r < D; ++r) {
      const uint32_t bits = kTrellisPowers[r] * (code + 4096) & 0x3f3f3f3f;
      const int v = static_cast<int>(bits * 0x01010101 >> 24) - 126;  // the sum of the four bytes
      values.push_back(static_cast<float>(v < 0 && !signs ? -v : v));
    }
  return values;
}

// Around which scales to look: weights and codebook equally large, but the largest weight at most `reach`.
IQK_INLINE float trellis_scale(const float* x, const float* w, float typical, float reach) {
  return max(scale_by_size<32>(x, w, typical), largest<32>(x) / reach);
}

// The levels of IQ4_NL as scales: those above zero, and the others without their sign.
inline Magnitudes level_magnitudes(bool negative) {
  Magnitudes m{8, {}, {}};
  for (int n = 0; n < 8; ++n) {
    const int code = negative ? 7 - n : 8 + n, level = kIq4k[0][code];
    m.value[n] = static_cast<float>(negative ? -level : level);
    m.code[n] = static_cast<uint8_t>(code);
  }
  return m;
}

// Codes of 8 weights and one codebook. Table 1: s is negative, and the entries count for -s.
template <uint32_t Codes>
struct SignedTrellis {
  static constexpr int kHeader = 4, kGroup = 32, kVector = 8, kTables = 2;
  static constexpr float kLow = 0.88f, kHigh = 1.22f;
  static constexpr float kShare = Codes > 8192 ? 0.07f : 0.2f;

  const Magnitudes& magnitudes(int table) const { return scales[table]; }
  float guess(const float* x, const float* w) const { return trellis_scale(x, w, book.typical(), 130); }
  void find_hulls(const float* x, const float* w, float low, float high, Hull* hulls, int stride) const {
    float wx[8];
    for (int j = 0; j < 8; ++j) wx[j] = w[j] * x[j];
    book.template search<false>(wx, w, low, high, kShare, hulls[0]);
    for (float& v : wx) v = -v;
    book.template search<false>(wx, w, low, high, kShare, hulls[stride]);
  }

  Magnitudes scales[2] = {level_magnitudes(false), level_magnitudes(true)};
  Codebook<8> book{trellis_values<8>(0, Codes)};
};

struct IQ1_KT : SignedTrellis<8192> {
  static constexpr int kBytes = 56;

  void put(const float*, const Choice* choices, const uint32_t* codes, uint8_t* out) const {
    for (int s = 0; s < 8; ++s) out[s] = scales[choices[s].table].code[choices[s].scale];
    for (int n = 0; n < 32; ++n) {
      out[n / 4] = static_cast<uint8_t>(out[n / 4] | codes[n] >> 12 << (4 + n % 4));
      out[8 + n] = static_cast<uint8_t>(codes[n]);
      out[40 + n % 16] = static_cast<uint8_t>(out[40 + n % 16] | (codes[n] >> 8 & 15) << n / 16 * 4);
    }
  }
};

// The 4-bit scales of 8 groups and 32 codes of 16 bits.
inline void put_wide_codes(const int* scales, const uint32_t* codes, uint8_t* out) {
  for (int s = 0; s < 4; ++s) out[s] = static_cast<uint8_t>(scales[s] | scales[4 + s] << 4);
  for (int n = 0; n < 32; ++n) write(out + 4 + 2 * n, static_cast<uint16_t>(codes[n]));
}

struct IQ2_KT : SignedTrellis<65536> {
  static constexpr int kBytes = 68;

  void put(const float*, const Choice* choices, const uint32_t* codes, uint8_t* out) const {
    int s[8];
    for (int b = 0; b < 8; ++b) s[b] = scales[choices[b].table].code[choices[b].scale];
    put_wide_codes(s, codes, out);
  }
};

struct IQ3_KT {
  static constexpr int kBytes = 100, kHeader = 4, kGroup = 32, kVector = 8, kTables = 1;
  static constexpr float kLow = 0.88f, kHigh = 1.22f;
  static constexpr float kShare = 0.25f;
  static constexpr Magnitudes kMagnitudes = even_magnitudes(16, 0, 1, 0, 1);

  static const Magnitudes& magnitudes(int) { return kMagnitudes; }
  float guess(const float* x, const float* w) const { return trellis_scale(x, w, book.typical(), 110); }
  void find_hulls(const float* x, const float* w, float low, float high, Hull* hull, int) const {
    float wx[8];
    weigh_magnitudes<8>(x, w, wx);
    book.search<false>(wx, w, low, high, kShare, *hull);
  }

  void put(const float* x, const Choice* choices, const uint32_t* codes, uint8_t* out) const {
    int s[8];
    for (int b = 0; b < 8; ++b) s[b] = choices[b].scale;
    put_wide_codes(s, codes, out);
    for (int i = 0; i < 256; ++i)
      out[68 + i % 32] = static_cast<uint8_t>(out[68 + i % 32] | float_bits(x[i]) >> 31 << i / 32);
  }

  Codebook<8> book{trellis_values<8>(0, 65536, false)};
};

// Tables: bit 0 as above, bit 1 chooses the codebook.
struct IQ4_KT {
  static constexpr int kBytes = 128, kHeader = 4, kGroup = 32, kVector = 4, kTables = 4;
  static constexpr float kLow = 0.88f, kHigh = 1.22f;
  static constexpr float kShare = 0.0105f;
  static constexpr Magnitudes kMagnitudes[2] = {even_magnitudes(64, 0, 1, 64, 1),
                                                even_magnitudes(64, 1, 1, 63, -1)};

  static const Magnitudes& magnitudes(int table) { return kMagnitudes[table & 1]; }
  float guess(const float* x, const float* w) const { return trellis_scale(x, w, books[0].typical(), 106); }
  void find_hulls(const float* x, const float* w, float low, float high, Hull* hulls, int stride) const {
    float wx[4];
    for (int j = 0; j < 4; ++j) wx[j] = w[j] * x[j];
    for (int sign = 0; sign < 2; ++sign) {
      for (int book = 0; book < 2; ++book)
        books[book].search<false>(wx, w, low, high, kShare, hulls[(2 * book + sign) * stride]);
      for (float& v : wx) v = -v;
    }
  }

  void put(const float*, const Choice* choices, const uint32_t* codes, uint8_t* out) const {
    for (int s = 0; s < 8; ++s) {
      uint32_t head = static_cast<uint32_t>(choices[s].table >> 1 |
                                            magnitudes(choices[s].table).code[choices[s].scale] << 1);
      for (int g = 0; g < 8; ++g) head |= codes[8 * s + g] >> 12 << (8 + 3 * g);
      write(out + 4 * s, head);
    }
    for (int n = 0; n < 64; ++n) {
      out[32 + n] = static_cast<uint8_t>(codes[n]);
      out[96 + n % 32] = static_cast<uint8_t>(out[96 + n % 32] | (codes[n] >> 8 & 15) << n / 32 * 4);
    }
  }

  Codebook<4> books[2] = {Codebook<4>{trellis_values<4>(0, 32768)},
                          Codebook<4>{trellis_values<4>(32768, 32768)}};
};

}  // namespace iqk::encode

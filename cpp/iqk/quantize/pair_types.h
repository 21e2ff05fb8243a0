// IQ2_KL: entries of two weights, an integer scale per 32, a half-precision scale per row.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/quantize/vector_search.h"

namespace iqk::encode {

struct IQ2_KL {
  static constexpr int kBytes = 86, kHeader = 2, kGroup = 32, kVector = 2, kTables = 2;
  static constexpr float kLow = 0.85f, kHigh = 1.45f;
  // Table 0: s is not negative. Table 1: it is, and the entries count for -s.
  static constexpr Magnitudes kMagnitudes[2] = {even_magnitudes(32, 0, 1, 32, 1),
                                                even_magnitudes(32, 1, 1, 31, -1)};

  static const Magnitudes& magnitudes(int table) { return kMagnitudes[table]; }
  float guess(const float* x, const float* w) const { return scale_by_size<kGroup>(x, w, book.typical()); }
  void find_hulls(const float* x, const float* w, float low, float high, Hull* hulls, int stride) const {
    float wx[2];
    for (int j = 0; j < 2; ++j) wx[j] = w[j] * x[j];
    book.search<false>(wx, w, low, high, kWhole, hulls[0]);
    for (float& v : wx) v = -v;
    book.search<false>(wx, w, low, high, kWhole, hulls[stride]);
  }

  void put(const float*, const Choice* choices, const uint32_t* codes, uint8_t* out) const {
    int high = 0;
    for (int s = 0; s < 8; ++s) {
      const int scale = magnitudes(choices[s].table).code[choices[s].scale];
      high |= scale >> 4 << 2 * s;
      out[2 + s % 4] = static_cast<uint8_t>(out[2 + s % 4] | (scale & 15) << s / 4 * 4);
      for (int p = 0; p < 16; ++p) {
        const uint32_t code = codes[16 * s + p];
        uint8_t &low_bits = out[6 + 16 * (s / 2) + p], &top_bits = out[70 + p];
        low_bits = static_cast<uint8_t>(low_bits | (code & 15) << s % 2 * 4);
        top_bits = static_cast<uint8_t>(top_bits | code >> 4 << s);
      }
    }
    write(out, static_cast<uint16_t>(high));
  }

  static std::vector<float> values() {
    std::vector<float> values;
    for (const auto& pair : kIq2klPairs)
      for (const int8_t v : pair) values.push_back(v);
    return values;
  }
  Codebook<2> book{values()};
};

}  // namespace iqk::encode

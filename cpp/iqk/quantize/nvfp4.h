// NVFP4: blocks of 64 weights with an 8-bit float scale per 16. Its range is narrow: weights of 2^-10 are the
// smallest that are not zero, and those beyond 2688 saturate.
#pragma once

#include "iqk/quantize/scale_search.h"

namespace iqk::encode {

// The scales by their bytes 0 .. 126, ascending, and the levels, in halves.
struct Nvfp4 {
  static constexpr int8_t kLevels[15] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12};
  // By the index of the level. The highest bit is the sign.
  static constexpr uint8_t kCodes[15] = {15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7};

  Nvfp4() : levels(kLevels, 15) {
    for (int s = 0; s < 127; ++s) {
      const int exponent = s >> 3, mantissa = s & 7;
      const int fraction = exponent == 0 ? mantissa : 8 + mantissa;
      half_scale[s] = static_cast<float>(fraction) *
                      bits_float(static_cast<uint32_t>(127 - 10 + (exponent == 0 ? 0 : exponent - 1)) << 23);
    }
  }

  // The scale for 16 weights: of those that make the largest one of the upper levels, or nearly so, the best.
  uint8_t choose(const float* x, const float* w) const {
    const float wanted = largest<16>(x) * (1.0f / 12);
    int nearest = 0;
    while (nearest < 126 && half_scale[nearest + 1] <= wanted) ++nearest;
    uint8_t best = 0;
    float best_gain = 0;
    for (int s = max_of(nearest - 3, 1); s <= nearest + 7 && s < 127; ++s) {
      const float gain = fit<16>(levels, x, w, 1 / half_scale[s]).gain(half_scale[s]);
      if (gain <= best_gain) continue;
      best_gain = gain;
      best = static_cast<uint8_t>(s);
    }
    return best;
  }

  static int max_of(int a, int b) { return a > b ? a : b; }

  TableLevels levels;
  float half_scale[127];
};

inline void encode_nvfp4(const float* x, const float* importance, int64_t k, uint8_t* out) {
  static const Nvfp4 format;
  for (int64_t i = 0; i < k; i += 64, out += 36)
    for (int b = 0; b < 4; ++b) {
      // What saturates is cut before sums could overflow.
      alignas(16) float values[16], w[16];
      const Lanes bottom = bound(-4096), top = bound(4096);
      for (int j = 0; j < 16; j += kLanes) store(values + j, min(max(load(x + i + 16 * b + j), bottom), top));
      copy_importance<16>(importance + i + 16 * b, w);
      const uint8_t s = format.choose(values, w);
      uint8_t codes[16];
      nearest_codes<16>(format.levels, values, s == 0 ? 0 : 1 / format.half_scale[s], codes);
      for (uint8_t& code : codes) code = Nvfp4::kCodes[code];
      out[b] = s;
      put_split_nibbles<8>(codes, out + 4 + 8 * b);
    }
}

}  // namespace iqk::encode

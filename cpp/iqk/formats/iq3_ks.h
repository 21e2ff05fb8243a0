// IQ3_KS: 256 weights, fp16 scale per row; per 32 a 5-bit scale and a shift bit; 3-bit codes of levels.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/iqk_vectors.h"

namespace IQK_NS {

struct IQ3_KS : IQ3_KS_facts, PairOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(in.header);
    bit_pairs(p + 6, u.q);
    add_single_bits(p + 70, 2, u.q);
    for (int b = 0; b < 8; ++b) {
      const int s = ((p[2 + b % 4] >> 4 * (b / 4) & 15) | field<1>(p, b) << 4) - 16;
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(s);
      look_up(kIq3nl[field<1>(p + 1, b)], u.q + 32 * b, 32);
    }
  }

  static constexpr int kMax = 115;
  static constexpr float kOffset = kIq3LevelOffset, kShift = 4;
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return half(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_three_bits(load(in.block + 6), load_third_bits(in.block + 70), kIq3Levels, put);
  }
  IQK_INLINE Floats<8> scales(In in) {
    const Small x = small_load4(in.block + 2), nibbles = zip_lo32(x, shr16<4>(x)) & small_splat(15);
    return add_where(floats_i8<8>(nibbles - small_splat(16)), in.block[0], fsplat<8>(16));
  }
  IQK_INLINE uint32_t shifts(In in) { return in.block[1]; }
};

}  // namespace IQK_NS

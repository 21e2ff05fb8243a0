// IQ2_KS: 256 weights, fp16 scale per row; per 32 a shift bit and a 5-bit scale; 2-bit codes of levels.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/iqk_vectors.h"

namespace IQK_NS {

struct IQ2_KS : IQ2_KS_facts, PairOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(in.header);
    bit_pairs(p + 6, u.q);
    for (int b = 0; b < 8; ++b) {
      const int s = (field<4>(p + 2, b) | field<1>(p + 1, b) << 4) - 16;
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(s);
      look_up(kIq2nl[field<1>(p, b)], u.q + 32 * b, 32);
    }
  }

  static constexpr int kMax = 54;
  static constexpr float kOffset = kIq2LevelOffset, kShift = 5;
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return half(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    look_up_pairs(load(in.block + 6), kIq2Levels, put);
  }
  IQK_INLINE Floats<8> scales(In in) {
    return add_where(nibble_floats<8>(kNibbleLess<16>, in.block + 2), in.block[1], fsplat<8>(16));
  }
  IQK_INLINE uint32_t shifts(In in) { return in.block[0]; }
};

}  // namespace IQK_NS

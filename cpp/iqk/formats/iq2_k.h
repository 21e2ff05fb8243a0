// IQ2_K: 256 weights, fp16 scale; per 16 a shift bit and a 4-bit scale; 2-bit codes of levels.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/iqk_vectors.h"

namespace IQK_NS {

struct IQ2_K : IQ2_K_facts, PairOrder {
  static constexpr int kStreams = kLookupStreams;
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p);
    bit_pairs(p + 12, u.q);
    for (int t = 0; t < 16; ++t) {
      u.scale[t] = d * static_cast<float>(field<4>(p + 4, t) - 8);
      look_up(kIq2nl[field<1>(p + 2, t)], u.q + 16 * t, 16);
    }
  }

  static constexpr int kMax = 54, kScales = 16;
  static constexpr float kOffset = kIq2LevelOffset, kShift = 5;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    look_up_pairs(load(in.block + 12), kIq2Levels, put);
  }
  IQK_INLINE Floats<16> scales(In in) {
    return nibble_floats<16>(kNibbleLess<8>, in.block + 4) * splat_half<16>(in.block);
  }
  IQK_INLINE uint32_t shifts(In in) { return read<uint16_t>(in.block + 2); }
};

}  // namespace IQK_NS

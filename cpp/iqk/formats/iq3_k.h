// IQ3_K: 256 weights, fp16 scale; per 16 a shift bit and an odd 4-bit scale with sign; 3-bit codes of levels.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/iqk_vectors.h"

namespace IQK_NS {

struct IQ3_K : IQ3_K_facts, PairOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p);
    bit_pairs(p + 14, u.q);
    add_single_bits(p + 78, 2, u.q);
    for (int t = 0; t < 16; ++t) {
      const int s = 2 * field<4>(p + 6, t) + 1;
      u.scale[t] = d * static_cast<float>(field<1>(p + 4, t) ? -s : s);
      look_up(kIq3nl[field<1>(p + 2, t)], u.q + 16 * t, 16);
    }
  }

  static constexpr int kMax = 115, kScales = 16;
  static constexpr float kOffset = kIq3LevelOffset, kShift = 4;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_three_bits(load(in.block + 14), load_third_bits(in.block + 78), kIq3Levels, put);
  }
  IQK_INLINE Floats<16> scales(In in) {
    static constexpr NibbleTable kOdd = nibble_table([](int i) { return 2 * i + 1; });
    const Floats<16> s = nibble_floats<16>(kOdd, in.block + 6);
    return fma_where(s, fsplat<16>(-2), s, read<uint16_t>(in.block + 4)) * splat_half<16>(in.block);
  }
  IQK_INLINE uint32_t shifts(In in) { return read<uint16_t>(in.block + 2); }
};

}  // namespace IQK_NS

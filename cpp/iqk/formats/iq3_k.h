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
    const Bytes x = load(in.block + 14), plane = load_third_bits(in.block + 78),
                levels = load_broadcast(kIq3Levels);
    unroll<4>([&](auto v) IQK_LAMBDA {
      constexpr int V = decltype(v)::value;
      put(v, lookup(levels, bit_pair<V>(x) | third_bit<V>(plane)));
    });
  }
  IQK_INLINE Floats<16> scales(In in) {
    const Small s = nibbles_in_turn(small_load8(in.block + 6)), odd = (s + s) | small_splat(1);
    const Small sign = small_bits(read<uint16_t>(in.block + 4));  // 0 or -1
    return floats_i8<16>((odd ^ sign) - sign) * splat_half<16>(in.block);
  }
  IQK_INLINE uint32_t shifts(In in) { return read<uint16_t>(in.block + 2); }
};

}  // namespace IQK_NS

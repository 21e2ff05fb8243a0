// IQ4_K: 256 weights, fp16 scale; per 16 a shift bit and a 6-bit scale; 4-bit codes of levels.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct IQ4_K : IQ4_K_facts, NearOrder {
  static constexpr int kStreams = kLookupStreams;
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p);
    near_nibbles(p + 16, u.q);
    for (int t = 0; t < 16; ++t) {
      const int s = (field<4>(p + 8, t) | field<2>(p + 4, t) << 4) - 32;
      u.scale[t] = d * static_cast<float>(s);
      look_up(kIq4k[field<1>(p + 2, t)], u.q + 16 * t, 16);
    }
  }

  static constexpr int kScales = 16, kAccumulators = 2;
  static constexpr float kShift = 4;
  static constexpr int accumulator(int v) { return v % 2; }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_nibbles(merge_nibbles(in.block + 16), signed_codes(load_broadcast(kIq4k[0])), put);
  }
  IQK_INLINE Floats<16> scales(In in) { return six_bit_scales16(in.block) * splat_half<16>(in.block); }
  IQK_INLINE uint32_t shifts(In in) { return read<uint16_t>(in.block + 2); }
};

}  // namespace IQK_NS

// IQ2_S: 256 weights, fp16 scale, 10-bit grid indices in two parts, sign bytes, 4-bit scales of 16.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/grid_vectors.h"

namespace IQK_NS {

struct IQ2_S : IQ2_S_facts, GroupOrder16 {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p) / 8;
    for (int t = 0; t < 16; ++t) u.scale[t] = d * static_cast<float>(2 * field<4>(p + 74, t) + 1);
    for (int g = 0; g < 32; ++g) {
      const int index = p[2 + g] | field<2>(p + 66, g) << 8;
      put_signed(u.q + 8 * g, kIq2sGrid[index], kIq2Bias, p[34 + g]);
    }
  }

  static constexpr int kMax = kIq2Bias + 43, kIndexWords = 32;
  static constexpr float kOffset = kIq2Bias;
  static constexpr bool kIndexPairs = true;
  // 8 bits and two more, from the pairs of bits of a byte per four groups.
  IQK_INLINE Bytes words(In in) {
    const Bytes high =
        mul16(lookup(load_broadcast(in.block + 66), load(kByteOfGroup)), load(kTimes64_16_4_1));
    return zip_lo8(load_lanes(in.block + 2, 8), splat(0)) | (shl16<2>(high) & splat16(0x300));
  }
  IQK_INLINE void indices(In in, In next, uint16_t* to) {
    first_grid8_parts(kIq2s, in.block + 2, in.block + 66, next.block + 2, next.block + 66, to,
                      [&](int n) IQK_LAMBDA { return words(n == 0 ? in : next); });
  }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    grid8_words(kIq2s, in.index, load_signs(in.block + 34), put);
  }
  IQK_INLINE Floats<16> scales(In in) { return odd_nibbles<16, 3>(in.block + 74) * splat_half<16>(in.block); }
};

}  // namespace IQK_NS

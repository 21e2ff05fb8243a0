// Q4_1: 32 weights, fp16 scale and fp16 minimum (added), codes 0..15 in split nibbles.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q4_1 : Q4_1_facts, SplitBlocks<20, 4> {
  static constexpr bool kMinima = true;
  static void unpack(In in, Unit& u) {
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      u.scale[2 * b] = u.scale[2 * b + 1] = half(p);
      u.minimum[2 * b] = u.minimum[2 * b + 1] = half(p + 2);
      split_nibbles(p + 4, u.q + 32 * b);
    }
  }

  static constexpr int kMax = 15;
  static constexpr bool kVectorMinima = true, kScalesAndMinima = kWholeFloats;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_nibbles(nibbles(in), put);
  }
  IQK_INLINE Floats<16> scales_and_minima(In in) { return strided_half_pairs<20>(in.block); }
  IQK_INLINE Floats<8> minima(In in) { return strided_halves<20>(in.block + 2); }
};

}  // namespace IQK_NS

// Q5_1: 32 weights, fp16 scale and fp16 minimum (added), codes 0..31: 32 bits of bit 4 in natural order, then
// split nibbles.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q5_1 : Q5_1_facts, SplitBlocks<24, 8> {
  static constexpr bool kMinima = true;
  static void unpack(In in, Unit& u) {
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      u.scale[2 * b] = u.scale[2 * b + 1] = half(p);
      u.minimum[2 * b] = u.minimum[2 * b + 1] = half(p + 2);
      split_nibbles(p + 8, u.q + 32 * b);
      add_bits_in_order(p + 4, 4, u.q + 32 * b, 32);
    }
  }

  static constexpr int kMax = 31;
  static constexpr bool kVectorMinima = true, kScalesAndMinima = kWholeFloats;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_fifth_bits<kBytes>(in.block + 4, nibbles(in), put);
  }
  IQK_INLINE Floats<16> scales_and_minima(In in) { return strided_half_pairs<24>(in.block); }
  IQK_INLINE Floats<8> minima(In in) { return strided_halves<24>(in.block + 2); }
};

}  // namespace IQK_NS

// Q5_0: 32 weights, fp16 scale, codes 0..31 minus 16: 32 bits of bit 4 in natural order, then split nibbles.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q5_0 : Q5_0_facts, SplitBlocks<22, 6> {
  static void unpack(In in, Unit& u) {
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      u.scale[2 * b] = u.scale[2 * b + 1] = half(p);
      split_nibbles(p + 6, u.q + 32 * b);
      add_bits_in_order(p + 2, 4, u.q + 32 * b, 32);
    }
    subtract(16, u.q, 256);
  }

  static constexpr int kMax = 31;
  static constexpr bool kLaneScales = kWholeFloats;
  static constexpr float kOffset = 16;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_fifth_bits<kBytes>(in.block + 2, nibbles(in), put);
  }
};

}  // namespace IQK_NS

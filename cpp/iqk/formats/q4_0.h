// Q4_0: 32 weights, fp16 scale, codes 0..15 minus 8 in split nibbles.
#pragma once

#include "iqk/formats/format.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q4_0 : Q4_0_facts, SplitBlocks<18, 2> {
  static void unpack(In in, Unit& u) {
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      u.scale[2 * b] = u.scale[2 * b + 1] = half(p);
      for (int j = 0; j < 16; ++j) {
        u.q[32 * b + j] = static_cast<int8_t>((p[2 + j] & 15) - 8);
        u.q[32 * b + 16 + j] = static_cast<int8_t>((p[2 + j] >> 4) - 8);
      }
    }
  }

  static constexpr int kMax = 15;
  static constexpr bool kLaneScales = kWholeFloats;
  static constexpr float kOffset = 8;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_nibbles(nibbles(in), put);
  }
};

}  // namespace IQK_NS

// IQ4_NL: 32 weights, fp16 scale, indices of 16 values in split nibbles.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct IQ4_NL : IQ4_NL_facts, SplitBlocks<18, 2> {
  static void unpack(In in, Unit& u) {
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      u.scale[2 * b] = u.scale[2 * b + 1] = half(p);
      split_nibbles(p + 2, u.q + 32 * b);
    }
    look_up(kIq4k[0], u.q, 256);
  }

  static constexpr bool kLaneScales = kWholeFloats;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_nibbles(nibbles(in), signed_codes(load_broadcast(kIq4k[0])), put);
  }
};

}  // namespace IQK_NS

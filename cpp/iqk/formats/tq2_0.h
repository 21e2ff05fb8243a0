// TQ2_0: 256 weights, fp16 scale, codes 0..2 minus 1 in bit pairs.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct TQ2_0 : TQ2_0_facts, PairOrder {
  static void unpack(In in, Unit& u) {
    const float d = half(in.block + 64);
    for (float& scale : u.scale) scale = d;
    bit_pairs(in.block, u.q);
    subtract(1, u.q, 256);
  }

  static constexpr int kMax = 3;
  static constexpr float kOffset = 1;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const Bytes x = load(in.block + 0);
    put_bit_pairs(x, put);
  }
  IQK_INLINE Floats<8> scales(In in) { return splat_last_half<8>(in.block + 64); }
};

}  // namespace IQK_NS

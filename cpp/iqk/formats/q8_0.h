// Q8_0: 32 weights, fp16 scale, int8 codes.
#pragma once

#include "iqk/formats/format.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q8_0 : Q8_0_facts, VectorDefaults {
  static void unpack(In in, Unit& u) {
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      u.scale[2 * b] = u.scale[2 * b + 1] = half(p);
      std::memcpy(u.q + 32 * b, p + 2, 32);
    }
  }

  static constexpr bool kLaneScales = kWholeFloats;
  static constexpr int order(int v, int x) { return 32 * (x / 16 + x % 16 / 8 * 4) + 8 * v + x % 8; }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const uint8_t *lower = in.block + 2, *upper = lower + 4 * kBytes;
    const TwoVectors first = merge(load_lanes(lower, kBytes), load_lanes(upper, kBytes));
    const TwoVectors second = merge(load_lanes(lower + 16, kBytes), load_lanes(upper + 16, kBytes));
    put(Constant<0>{}, signed_codes(first.lo));
    put(Constant<1>{}, signed_codes(first.hi));
    put(Constant<2>{}, signed_codes(second.lo));
    put(Constant<3>{}, signed_codes(second.hi));
  }
  IQK_INLINE Floats<8> scales(In in) { return strided_halves<kBytes>(in.block); }
  IQK_INLINE Floats<16> lane_scales(In in) { return strided_half_lanes<BlockLanes, kBytes>(in.block); }
};

}  // namespace IQK_NS

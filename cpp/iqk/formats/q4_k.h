// Q4_K: 256 weights, codes 0..15 in far nibbles; 6-bit scale and minimum (subtracted) per 32, fp16 factors.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q4_K : Q4_K_facts, FarOrder {
  static constexpr bool kMinima = true;
  static void unpack(In in, Unit& u) {
    six_bit_scales(in.block, u);
    far_nibbles(in.block + 16, u.q);
  }

  static constexpr int kMax = 15;
  static constexpr bool kVectorMinima = true, kScalesAndMinima = kWholeFloats;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_nibbles(merge_nibbles(in.block + 16), put);
  }
  IQK_INLINE Floats<16> scales_and_minima(In in) { return six_bit_scales_less_minima(in.block); }
  IQK_INLINE Floats<8> scales(In in) {
    return floats_u8<8>(six_bit_scales_and_minima(in.block + 4)) * splat_half<8>(in.block);
  }
  IQK_INLINE Floats<8> minima(In in) {
    return floats_u8<8>(upper_half(six_bit_scales_and_minima(in.block + 4))) *
           (splat_half<8>(in.block + 2) * fsplat<8>(-1));
  }
};

}  // namespace IQK_NS

// Q5_K: 256 weights, codes 0..31 in far nibbles and single bits; scales and minima as Q4_K.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q5_K : Q5_K_facts, FarOrder {
  static constexpr bool kMinima = true;
  static void unpack(In in, Unit& u) {
    six_bit_scales(in.block, u);
    far_nibbles(in.block + 48, u.q);
    add_single_bits(in.block + 16, 4, u.q);
  }

  static constexpr int kMax = 31;
  static constexpr bool kVectorMinima = true, kScalesAndMinima = kWholeFloats;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const TwoVectors m = merge_nibbles(in.block + 48), bits = merge_single_bits(in.block + 16);
    put(Constant<0>{}, five_bits_low(m.lo, bits.lo));
    put(Constant<1>{}, five_bits_high(m.lo, bits.lo));
    put(Constant<2>{}, five_bits_low(m.hi, bits.hi));
    put(Constant<3>{}, five_bits_high(m.hi, bits.hi));
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

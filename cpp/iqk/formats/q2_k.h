// Q2_K: 256 weights, codes 0..3 in bit pairs; 4-bit scale and minimum (subtracted) per 16, fp16 factors.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q2_K : Q2_K_facts, PairOrder {
  static constexpr bool kMinima = true;
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p + 80), dmin = half(p + 82);
    for (int t = 0; t < 16; ++t) {
      u.scale[t] = d * static_cast<float>(p[t] & 15);
      u.minimum[t] = -(dmin * static_cast<float>(p[t] >> 4));
    }
    bit_pairs(p + 16, u.q);
  }

  static constexpr int kMax = 3, kScales = 16;
  static constexpr bool kVectorMinima = true;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_bit_pairs(load(in.block + 16), put);
  }
  IQK_INLINE Floats<16> scales(In in) {
    if constexpr (kWholeFloats)
      return floats_i32(numbers(in) & splat32(15)) * splat_last_half<16>(in.block + 80);
    return floats_u8<16>(small_load(in.block) & small_splat(15)) * splat_last_half<16>(in.block + 80);
  }
  IQK_INLINE Floats<16> minima(In in) {
    const Floats<16> minus = splat_last_half<16>(in.block + 82) * fsplat<16>(-1);
    if constexpr (kWholeFloats) return floats_i32(shr32<4, 4, 4, 4>(numbers(in))) * minus;
    return floats_u8<16>(shr16<4>(small_load(in.block)) & small_splat(15)) * minus;
  }

 private:
  // A dword for each group: scale, and minimum above it.
  IQK_INLINE Bytes numbers(In in) { return lookup(load_broadcast(in.block), load(kByteOfDword)); }
};

}  // namespace IQK_NS

// IQ5_K: 256 weights, fp16 scale; per 16 a shift bit and a 6-bit scale; 5-bit codes of levels.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct IQ5_K : IQ5_K_facts, FarOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p);
    far_nibbles(p + 16, u.q);
    add_single_bits(p + 144, 4, u.q);
    for (int t = 0; t < 16; ++t) {
      const int s = (field<4>(p + 8, t) | field<2>(p + 4, t) << 4) - 32;
      u.scale[t] = d * static_cast<float>(s);
      look_up(kIq5nl[field<1>(p + 2, t)], u.q + 16 * t, 16);
    }
  }

  static constexpr int kScales = 16;
  static constexpr float kShift = 2;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const TwoVectors m = merge_nibbles(in.block + 16), bits = merge_single_bits(in.block + 144);
    const Table32 levels = load_table32(kIq5nl[0]);
    put(Constant<0>{}, signed_codes(lookup(levels, five_bits_low(m.lo, bits.lo))));
    put(Constant<1>{}, signed_codes(lookup(levels, five_bits_high(m.lo, bits.lo))));
    put(Constant<2>{}, signed_codes(lookup(levels, five_bits_low(m.hi, bits.hi))));
    put(Constant<3>{}, signed_codes(lookup(levels, five_bits_high(m.hi, bits.hi))));
  }
  IQK_INLINE Floats<16> scales(In in) { return six_bit_scales16(in.block) * splat_half<16>(in.block); }
  IQK_INLINE uint32_t shifts(In in) { return read<uint16_t>(in.block + 2); }
};

}  // namespace IQK_NS

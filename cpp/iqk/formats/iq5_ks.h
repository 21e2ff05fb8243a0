// IQ5_KS: 256 weights, float scale per row; per 32 a shift bit and a 7-bit scale; 5-bit codes of levels.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct IQ5_KS : IQ5_KS_facts, FarOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = read<float>(in.header);
    far_nibbles(p + 8, u.q);
    add_single_bits(p + 136, 4, u.q);
    for (int b = 0; b < 8; ++b) {
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>((p[b] & 254) - 127);
      look_up(kIq5nl[p[b] & 1], u.q + 32 * b, 32);
    }
  }

  static constexpr float kShift = 2;
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return read<float>(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const TwoVectors m = merge_nibbles(in.block + 8), bits = merge_single_bits(in.block + 136);
    const Table32 levels = load_table32(kIq5nl[0]);
    put(Constant<0>{}, signed_codes(lookup(levels, five_bits_low(m.lo, bits.lo))));
    put(Constant<1>{}, signed_codes(lookup(levels, five_bits_high(m.lo, bits.lo))));
    put(Constant<2>{}, signed_codes(lookup(levels, five_bits_low(m.hi, bits.hi))));
    put(Constant<3>{}, signed_codes(lookup(levels, five_bits_high(m.hi, bits.hi))));
  }
  // Bits 1-7 of eight bytes: odd scales, twice the field minus 127. Bit 0: the shift.
  IQK_INLINE Floats<8> scales(In in) {
    return floats_i8<8>((small_load8(in.block) & small_splat(254)) - small_splat(127));
  }
  IQK_INLINE uint32_t shifts(In in) { return bit_of_bytes(read<uint64_t>(in.block), 0); }
};

}  // namespace IQK_NS

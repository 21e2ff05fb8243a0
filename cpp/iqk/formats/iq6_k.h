// IQ6_K: 256 weights, fp16 scale; per 16 a shift bit and an int8 scale; 6-bit codes of levels.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct IQ6_K : IQ6_K_facts, FarOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p);
    unpack_codes(p, u.q);
    for (int t = 0; t < 16; ++t) {
      u.scale[t] = d * read<int8_t>(p + 4 + t);
      look_up(kIq6nl[field<1>(p + 2, t)], u.q + 16 * t, 16);
    }
  }
  // Conversion to float uses the levels before rounding; products the integers.
  static void decode(In in, float* y) {
    const uint8_t* p = in.block;
    const float d = half(p);
    int8_t code[256];
    unpack_codes(p, code);
    for (int t = 0; t < 16; ++t) {
      const float step = d * read<int8_t>(p + 4 + t), *levels = kIq6Cubic[field<1>(p + 2, t)];
      for (int i = 16 * t; i < 16 * t + 16; i += 8)
        fstore(y + i, fsplat<8>(step) * look_up_floats(levels, small_load8(code + i)));
    }
  }
  static void unpack_codes(const uint8_t* p, int8_t* codes) {
    far_nibbles(p + 20, codes);
    add_bit_pairs(p + 148, 4, codes);
  }

  static constexpr int kScales = 16;
  static constexpr float kShift = 1;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const TwoVectors m = merge_nibbles(in.block + 20), high = merge_bit_pairs(in.block + 148);
    const Table64 levels = load_table64(kIq6nl[0]);
    const auto code = [&](Bytes nibbles, Bytes pairs) IQK_LAMBDA {
      return signed_codes(lookup(levels, (nibbles & splat(15)) | (pairs & splat(0x30))));
    };
    put(Constant<0>{}, code(m.lo, shl16<4>(high.lo)));
    put(Constant<1>{}, code(shr16<4>(m.lo), shl16<2>(high.lo)));
    put(Constant<2>{}, code(m.hi, shl16<4>(high.hi)));
    put(Constant<3>{}, code(shr16<4>(m.hi), shl16<2>(high.hi)));
  }
  IQK_INLINE Floats<16> scales(In in) {
    return floats_i8<16>(small_load(in.block + 4)) * splat_half<16>(in.block);
  }
  IQK_INLINE uint32_t shifts(In in) { return read<uint16_t>(in.block + 2); }
};

}  // namespace IQK_NS

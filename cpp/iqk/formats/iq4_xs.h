// IQ4_XS: 256 weights, indices of 16 values in near nibbles; 6-bit scale minus 32 per 32, fp16 factor.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct IQ4_XS : IQ4_XS_facts, NearOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p);
    for (int b = 0; b < 8; ++b) {
      const int s = (field<4>(p + 4, b) | field<2>(p + 2, b) << 4) - 32;
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(s);
    }
    near_nibbles(p + 8, u.q);
    look_up(kIq4k[0], u.q, 256);
  }

  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    put_nibbles(merge_nibbles(in.block + 8), signed_codes(load_broadcast(kIq4k[0])), put);
  }
  IQK_INLINE Floats<8> scales(In in) {
    static constexpr SixBits kAt =
        six_bits([](int i) { return SixBitPlace{4 + i / 2, i % 2 * 4, 2 + i / 4, i % 4 * 2}; });
    if constexpr (kWholeFloats) return lower(six_bit_floats(in.block, kAt)) * splat_half<8>(in.block);
    const Small high = shr32<0, 2, 4, 6>(small_splat32(read<uint16_t>(in.block + 2))) & small_splat(3);
    const Small low = nibbles_in_turn(small_load4(in.block + 4));
    const Small s = low | shl16<4>(shuffle<0, 4, 8, 12, 1, 5, 9, 13, -1, -1, -1, -1, -1, -1, -1, -1>(high));
    return floats_i8<8>(s - small_splat(32)) * splat_half<8>(in.block);
  }
};

}  // namespace IQK_NS

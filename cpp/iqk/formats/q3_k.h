// Q3_K: 256 weights, codes 0..7 minus 4 in bit pairs and bits; 6-bit scale minus 32 per 16, fp16 factor.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q3_K : Q3_K_facts, PairOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p + 108);
    for (int t = 0; t < 16; ++t) {
      const int low = p[96 + t % 8] >> 4 * (t / 8) & 15, high = p[104 + t % 4] >> 2 * (t / 4) & 3;
      u.scale[t] = d * static_cast<float>((low | high << 4) - 32);
    }
    bit_pairs(p + 32, u.q);
    add_single_bits(p, 2, u.q);
    subtract(4, u.q, 256);
  }

  static constexpr int kMax = 7, kScales = 16;
  static constexpr float kOffset = 4;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    static constexpr uint8_t kCodes[2][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7},
                                              {0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7}};
    put_three_bits(load(in.block + 32), load_third_bits(in.block), kCodes, put);
  }
  IQK_INLINE Floats<16> scales(In in) {
    const Small low = small_load8(in.block + 96), nibbles = zip_lo64(low, shr16<4>(low)) & small_splat(15);
    const Small high = shr32<0, 2, 4, 6>(small_splat32(read<uint32_t>(in.block + 104))) & small_splat(3);
    return floats_i8<16>((nibbles | shl16<4>(high)) - small_splat(32)) * splat_last_half<16>(in.block + 108);
  }
};

}  // namespace IQK_NS

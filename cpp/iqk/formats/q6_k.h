// Q6_K: 256 weights, codes 0..63 minus 32 in nibbles (of each 128, the last 64 high) and bit pairs; int8
// scale per 16, fp16 factor.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q6_K : Q6_K_facts, FarOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p + 208);
    for (int t = 0; t < 16; ++t) u.scale[t] = d * static_cast<float>(read<int8_t>(p + 192 + t));
    for (int h = 0; h < 2; ++h) split_nibbles<64>(p + 64 * h, u.q + 128 * h);
    add_bit_pairs(p + 128, 4, u.q);
    subtract(32, u.q, 256);
  }

  // Like far nibbles, but 64 weights apart within each 128; the bit pairs follow suit.
  static constexpr int kMax = 63, kScales = 16;
  static constexpr float kOffset = 32;
  static constexpr int order(int v, int x) {
    return 128 * (x / 32) + 64 * (v % 2) + 32 * (x % 16 / 8) + 16 * (x / 16 % 2) + 8 * (v / 2) + x % 8;
  }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const Bytes pairs = load(in.block + 128);
    const TwoVectors m = merge_nibbles(in.block), high = merge(pairs, shr16<2>(pairs));
    put(Constant<0>{}, (m.lo & splat(15)) | shl16<4>(high.lo & splat(3)));
    put(Constant<1>{}, (shr16<4>(m.lo) & splat(15)) | (high.lo & splat(0x30)));
    put(Constant<2>{}, (m.hi & splat(15)) | shl16<4>(high.hi & splat(3)));
    put(Constant<3>{}, (shr16<4>(m.hi) & splat(15)) | (high.hi & splat(0x30)));
  }
  IQK_INLINE Floats<16> scales(In in) {
    return floats_i8<16>(small_load(in.block + 192)) * splat_last_half<16>(in.block + 208);
  }
};

}  // namespace IQK_NS

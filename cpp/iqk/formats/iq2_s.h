// IQ2_S: 256 weights, fp16 scale, 10-bit grid indices in two parts, sign bytes, 4-bit scales of 16.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/grid_vectors.h"

namespace IQK_NS {

struct IQ2_S : IQ2_S_facts, GroupOrder16 {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p) / 8;
    for (int t = 0; t < 16; ++t) u.scale[t] = d * static_cast<float>(2 * field<4>(p + 74, t) + 1);
    for (int g = 0; g < 32; ++g) {
      const int index = p[2 + g] | field<2>(p + 66, g) << 8;
      put_signed(u.q + 8 * g, kIq2sGrid[index], kIq2Bias, p[34 + g]);
    }
  }

  static constexpr int kMax = kIq2Bias + 43, kIndexWords = 32;
  static constexpr float kOffset = kIq2Bias;
  // 8 bits and two more, from the pairs of bits of a byte per four groups.
  IQK_INLINE void indices(In in, uint16_t* to) {
    const Bytes high =
        mul16(lookup(load_broadcast(in.block + 66), load(kByteOfGroup)), load(kTimes64_16_4_1));
    store(to, zip_lo8(load_lanes(in.block + 2, 8), splat(0)) | (shl16<2>(high) & splat16(0x300)));
  }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const Signs signs = load_signs(in.block + 34);
    // 1024 entries are too many for registers.
    unroll<4>([&](auto v) IQK_LAMBDA {
      const Bytes x = grid8(kIq2sGrid, [&](auto c) IQK_LAMBDA { return in.index[4 * c + v]; });
      put(v, flip_signs<decltype(v)::value>(x, signs, 2 * kIq2Bias));
    });
  }
  IQK_INLINE Floats<16> scales(In in) {
    const Small s = nibbles_in_turn(small_load8(in.block + 74));
    return floats_u8<16>((s + s) | small_splat(1)) * (splat_half<16>(in.block) * fsplat<16>(0.125f));
  }
};

}  // namespace IQK_NS

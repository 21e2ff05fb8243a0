// IQ1_S: 256 weights, fp16 scale, low index bytes; per 32 a word of high index bits, 3-bit scale and shift.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/grid_vectors.h"

namespace IQK_NS {

struct IQ1_S : IQ1_S_facts, GroupOrder {
  static void unpack(In in, Unit& u) {
    const float d = half(in.block) / 8;
    for (int b = 0; b < 8; ++b) {
      const int word = read<uint16_t>(in.block + 34 + 2 * b);
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(2 * (word >> 12 & 7) + 1);
      for (int l = 0; l < 4; ++l) {
        const int index = in.block[2 + 4 * b + l] | (word >> 3 * l & 7) << 8;
        put_shifted(u.q + 32 * b + 8 * l, index, word >> 15);
      }
    }
  }

  // value = digit - 1 + 1/8, or 1/4 less where the word's top bit is set.
  static constexpr int kMax = 2, kIndexWords = 32;
  static constexpr float kOffset = kIq1sBias - 0.125f, kShift = -0.25f;
  IQK_INLINE void indices(In in, uint16_t* to) {
    const Bytes words = lookup(load_broadcast(in.block + 34), load(kWordOfGroup));
    const Bytes high = shr16<1>(mul16(words, load(kTimes512_64_8_1)) & splat16(0xe00));
    store(to, zip_lo8(load_lanes(in.block + 2, 8), splat(0)) | high);
  }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    unroll<4>([&](auto v) IQK_LAMBDA {
      put(v, grid8(kIq1sGrid, [&](auto c) IQK_LAMBDA { return in.index[4 * c + v]; }));
    });
  }
  IQK_INLINE Small tops(In in) {
    return shuffle<1, 3, 5, 7, 9, 11, 13, 15, -1, -1, -1, -1, -1, -1, -1, -1>(small_load(in.block + 34));
  }
  IQK_INLINE Floats<8> scales(In in) {
    const Small s = (shr16<3>(tops(in)) & small_splat(14)) | small_splat(1);
    return floats_u8<8>(s) * splat_half<8>(in.block);
  }
  IQK_INLINE uint32_t shifts(In in) {
    uint8_t x[16];
    small_store(x, tops(in));
    return bit_of_bytes(read<uint64_t>(x), 7);
  }
};

}  // namespace IQK_NS

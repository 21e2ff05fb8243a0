// IQ3_S: 256 weights, fp16 scale, 9-bit grid indices of 4 in two parts, signs, 4-bit scales of 32.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/grid_vectors.h"

namespace IQK_NS {

struct IQ3_S : IQ3_S_facts, GroupOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(p);
    for (int t = 0; t < 16; ++t) u.scale[t] = d * static_cast<float>(2 * field<4>(p + 106, t / 2) + 1);
    for (int n = 0; n < 64; ++n) {
      const int index = p[2 + n] | field<1>(p + 66, n) << 8;
      put_signed(u.q + 4 * n, kIq3sGrid[index], kIq3sBias, field<4>(p + 74, n));
    }
  }

  static constexpr int kMax = kIq3sBias + 15, kIndexWords = grid_index_words(64);
  static constexpr float kOffset = kIq3sBias;
  // 8 bits and one more; the halves of each lane come apart, as grid4_words takes them.
  IQK_INLINE void indices(In in, uint16_t* to) {
    const Bytes low = load(in.block + 2), high = expand_bits(read<uint64_t>(in.block + 66), 1);
    store(to, zip_lo8(low, high));
    store(to + 32, zip_hi8(low, high));
  }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    grid4_words(kIq3s, in.index, in.block + 2, in.block + 66, load_signs(in.block + 74), put);
  }
  IQK_INLINE Floats<8> scales(In in) {
    return odd_nibbles<8, 0>(in.block + 106) * splat_leading_half<8>(in.block);
  }
};

}  // namespace IQK_NS

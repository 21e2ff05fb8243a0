// I2_S: ternary weights with one float32 scale per tensor, the header of every row; codes 0..2 minus 1, four
// to a byte, 32 apart, highest bits first.
#pragma once

#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct I2_S : I2_S_facts, PairOrder {
  static constexpr int kLargest = 2;
  static void unpack(In in, Unit& u) {
    const float c = read<float>(in.header);
    for (float& scale : u.scale) scale = c;
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b / 4 * kBytes;
      for (int j = 0; j < 32; ++j) u.q[32 * b + j] = static_cast<int8_t>((p[j] >> 2 * (3 - b % 4) & 3) - 1);
    }
  }

  static constexpr int kMax = 3;
  static constexpr float kOffset = 1;
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return read<float>(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const Bytes x = load(in.block);
    unroll<4>([&](auto v) IQK_LAMBDA { put(v, bit_pair<3 - decltype(v)::value>(x)); });
  }
  IQK_INLINE Floats<8> scales(In) { return fsplat<8>(1); }
};

}  // namespace IQK_NS

// IQ2_BN: ternary weights with one float32 scale per row; codes 0..2 minus 1, four to a byte, 16 apart.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct IQ2_BN : IQ2_BN_facts, PairOrder {
  static void unpack(In in, Unit& u) {
    const float d = read<float>(in.header);
    for (float& scale : u.scale) scale = d;
    for (int b = 0; b < 4; ++b) split_pairs<16>(in.block + b * kBytes, u.q + 64 * b);
    subtract(1, u.q, 256);
  }

  static constexpr int kMax = 2, kAccumulators = 2;
  static constexpr float kOffset = 1;
  static constexpr int accumulator(int v) { return v / 2; }
  static constexpr int order(int v, int x) { return 64 * (x / 16) + 16 * v + x % 16; }
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return read<float>(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const Bytes x = load(in.block + 0);
    put_bit_pairs(x, put);
  }
  IQK_INLINE Floats<8> scales(In) { return fsplat<8>(1); }
};

}  // namespace IQK_NS

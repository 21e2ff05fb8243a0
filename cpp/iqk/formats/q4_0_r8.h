// Q4_0_R8: eight rows of Q4_0; four code bytes of a row at a time.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/q4_0.h"

namespace IQK_NS {

struct Q4_0_R8 : Interleaved<Q4_0_R8, Q4_0, Q4_0_R8_facts>, LineOrder {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int l = 0; l < 4; ++l) m.quad({2 + 4 * l, 0}, {16 + 32 * l + 4 * row, 0}, 8);
  }

  static constexpr int kMax = Q4_0::kMax;
  static constexpr float kOffset = Q4_0::kOffset;
  static constexpr int quad(int n, int half) { return 4 * (n % 2) + 2 * (n / 2) + half; }
  template <class Put>
  IQK_INLINE void lines(In in, int b, Put put) {
    each_nibble_line(in.block + b * kBytes * kRows + 16, put);
  }
  IQK_INLINE Floats<8> line_scales(In in, int b) { return strided_halves<2>(in.block + b * kBytes * kRows); }
};

}  // namespace IQK_NS

// Q8_0_R8: eight rows of Q8_0; 32 bytes are four columns of the eight rows.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/q8_0.h"

namespace IQK_NS {

struct Q8_0_R8 : Interleaved<Q8_0_R8, Q8_0, Q8_0_R8_facts>, LineOrder {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int quad = 0; quad < 8; ++quad) m.quad({2 + 4 * quad, 0}, {16 + 32 * quad + 4 * row, 0}, 8);
  }

  template <class Put>
  IQK_INLINE void lines(In in, int b, Put put) {
    const uint8_t* p = in.block + b * kBytes * kRows + 16;
    unroll<4>([&](auto n) IQK_LAMBDA { put(n, signed_codes(load(p + 64 * n))); });
  }
  IQK_INLINE Floats<8> line_scales(In in, int b) { return strided_halves<2>(in.block + b * kBytes * kRows); }
};

}  // namespace IQK_NS

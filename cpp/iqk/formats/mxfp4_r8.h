// MXFP4_R8: eight rows of MXFP4; four code bytes of a row at a time.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/mxfp4.h"

namespace IQK_NS {

struct MXFP4_R8 : Interleaved<MXFP4_R8, MXFP4, MXFP4_R8_facts>, LineOrder {
  template <class Mover>
  static void map(Mover m, int row) {
    m.number(0, 0, row, 0, 8);
    for (int l = 0; l < 4; ++l) m.quad({1 + 4 * l, 0}, {8 + 32 * l + 4 * row, 0}, 8);
  }

  static constexpr int kMax = MXFP4::kMax;
  static constexpr float kOffset = MXFP4::kOffset;
  static constexpr int quad(int n, int half) { return 4 * (n % 2) + 2 * (n / 2) + half; }
  template <class Put>
  IQK_INLINE void lines(In in, int b, Put put) {
    const Bytes table = load_broadcast(kMxfp4) + splat(static_cast<int>(kOffset));
    each_nibble_line(in.block + b * kBytes * kRows + 8,
                     [&](auto n, Bytes x) IQK_LAMBDA { put(n, lookup(table, x)); });
  }
  IQK_INLINE Floats<8> line_scales(In in, int b) { return strided_powers<1>(in.block + b * kBytes * kRows); }
};

}  // namespace IQK_NS

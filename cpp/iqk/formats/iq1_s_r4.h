// IQ1_S_R4: blocks of 32 weights of four rows, coded as in IQ1_S, with one fp16 scale per row.
#pragma once

#include "iqk/formats/grid.h"

namespace IQK_NS {

struct IQ1_S_R4 : IQ1_S_R4_facts {
  static void unpack(In in, Unit& u) {
    const float d = half(in.header + 2 * in.row) / 8;
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + kBytes * kRows * b;
      const int word = read<uint16_t>(p + 16 + 2 * in.row);
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(2 * (word >> 12 & 7) + 1);
      for (int l = 0; l < 4; ++l) {
        const int index = p[4 * l + in.row] | (word >> 3 * l & 7) << 8;
        put_shifted(u.q + 32 * b + 8 * l, index, word >> 15);
      }
    }
  }
};

}  // namespace IQK_NS

// IQ1_M_R4: blocks of 32 weights of four rows, coded as in IQ1_M, with plain 4-bit scales; fp16 per row.
#pragma once

#include "iqk/formats/grid.h"

namespace IQK_NS {

struct IQ1_M_R4 : IQ1_M_R4_facts {
  static void unpack(In in, Unit& u) {
    const float d = half(in.header + 2 * in.row) / 8;
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + kBytes * kRows * b + in.row;
      u.scale[2 * b] = d * static_cast<float>(p[24] & 15);
      u.scale[2 * b + 1] = d * static_cast<float>(p[24] >> 4);
      for (int l = 0; l < 4; ++l) {
        const int high = p[16 + 4 * (l / 2)] >> 4 * (l % 2);
        put_shifted(u.q + 32 * b + 8 * l, p[4 * l] | (high & 7) << 8, high & 8);
      }
    }
  }
};

}  // namespace IQK_NS

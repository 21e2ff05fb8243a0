// IQ2_XS_R4: four rows of IQ2_XS; signs re-coded.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq2_xs.h"

namespace IQK_NS {

struct IQ2_XS_R4 : Interleaved<IQ2_XS_R4, IQ2_XS, IQ2_XS_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int b = 0; b < 8; ++b) {
      for (int l = 0; l < 4; ++l) {
        const int from = 2 + 2 * (4 * b + l), to = 8 + 2 * (16 * b + 4 * row + l);
        m.bytes(from, to, 1);
        m.bits(from + 1, 0, to + 1, 0, 1);
        m.signs(from + 1, 1, to + 1);
      }
      m.bytes(66 + b, 264 + 4 * b + row, 1);
    }
  }
};

}  // namespace IQK_NS

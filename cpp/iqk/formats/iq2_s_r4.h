// IQ2_S_R4: four rows of IQ2_S.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq2_s.h"

namespace IQK_NS {

struct IQ2_S_R4 : Interleaved<IQ2_S_R4, IQ2_S, IQ2_S_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int b = 0; b < 8; ++b) {
      m.bytes(2 + 4 * b, 8 + 16 * b + 4 * row, 4);
      m.bytes(66 + b, 136 + 4 * b + row, 1);
      m.bytes(34 + 4 * b, 168 + 16 * b + 4 * row, 4);
      m.bytes(74 + b, 296 + 4 * b + row, 1);
    }
  }
};

}  // namespace IQK_NS

// Q4_0_R8: eight rows of Q4_0; four code bytes of a row at a time.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/q4_0.h"

namespace IQK_NS {

struct Q4_0_R8 : Interleaved<Q4_0_R8, Q4_0, Q4_0_R8_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int l = 0; l < 4; ++l) m.bytes(2 + 4 * l, 16 + 32 * l + 4 * row, 4);
  }
};

}  // namespace IQK_NS

// MXFP4_R8: eight rows of MXFP4; four code bytes of a row at a time.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/mxfp4.h"

namespace IQK_NS {

struct MXFP4_R8 : Interleaved<MXFP4_R8, MXFP4, MXFP4_R8_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, row, 1);
    for (int l = 0; l < 4; ++l) m.bytes(1 + 4 * l, 8 + 32 * l + 4 * row, 4);
  }
};

}  // namespace IQK_NS

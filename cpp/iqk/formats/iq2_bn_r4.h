// IQ2_BN_R4: four rows of IQ2_BN; 64 bytes are 64 columns of the four rows.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq2_bn.h"

namespace IQK_NS {

struct IQ2_BN_R4 : Interleaved<IQ2_BN_R4, IQ2_BN, IQ2_BN_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    for (int l = 0; l < 4; ++l)
      for (int p = 0; p < 4; ++p) m.quad({4 * p, 2 * l}, {16 * l + 4 * row, 2 * p}, 2);
  }
};

}  // namespace IQK_NS

// IQ4_NL_R4: four rows of IQ4_NL.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq4_nl.h"

namespace IQK_NS {

struct IQ4_NL_R4 : Interleaved<IQ4_NL_R4, IQ4_NL, IQ4_NL_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    move_codes(m, 1, NearNibbles{2}, NibbleTile{8, row});
  }
};

}  // namespace IQK_NS

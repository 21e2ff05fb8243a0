// IQ4_KS_R4: four rows of IQ4_KS.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq4_ks.h"

namespace IQK_NS {

struct IQ4_KS_R4 : Interleaved<IQ4_KS_R4, IQ4_KS, IQ4_KS_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_numbers(m, 8, Fields<8>{0}, List<8>{0, 32, row, 4});
    move_codes(m, 8, NearNibbles{8}, NibbleTile{32, row});
  }
};

}  // namespace IQK_NS

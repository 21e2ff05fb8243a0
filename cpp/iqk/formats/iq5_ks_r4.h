// IQ5_KS_R4: four rows of IQ5_KS.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq5_ks.h"

namespace IQK_NS {

struct IQ5_KS_R4 : Interleaved<IQ5_KS_R4, IQ5_KS, IQ5_KS_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_numbers(m, 8, Fields<8>{0}, List<8>{0, 32, row, 4});
    move_codes(m, 8, FarNibbles{8}, NibbleTile{32, row});
    move_codes(m, 8, SingleBits{136}, BitTile{544, row, kOrderC});
  }
};

}  // namespace IQK_NS

// Q5_K_R4: four rows of Q5_K.
#pragma once

#include "iqk/formats/q4_k_r4.h"
#include "iqk/formats/q5_k.h"

namespace IQK_NS {

struct Q5_K_R4 : Interleaved<Q5_K_R4, Q5_K, Q5_K_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    Q4_K_R4::map_scales(m, row);
    move_codes(m, 8, SingleBits{16}, BitTile{64, row, kOrderB});
    move_codes(m, 8, FarNibbles{48}, NibbleTile{192, row});
  }
};

}  // namespace IQK_NS

// Q5_0_R4: four rows of Q5_0.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/q5_0.h"

namespace IQK_NS {

struct Q5_0_R4 : Interleaved<Q5_0_R4, Q5_0, Q5_0_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int u = 0; u < 8; ++u) m.spread({2 + u / 2, 4 * (u % 2)}, {8 + 4 * row, kOrderD[u]});
    move_codes(m, 1, NearNibbles{6}, NibbleTile{24, row});
  }
};

}  // namespace IQK_NS

// Q2_K_R4: four rows of Q2_K.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/q2_k.h"

namespace IQK_NS {

struct Q2_K_R4 : Interleaved<Q2_K_R4, Q2_K, Q2_K_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(80, 2 * row, 2);
    m.bytes(82, 8 + 2 * row, 2);
    for (int t = 0; t < 16; ++t) m.bytes(t, 16 + 4 * t + row, 1);
    move_codes(m, 8, BitPairs{16}, PairTile{80, row});
  }
};

}  // namespace IQK_NS

// Q4_K_R4: four rows of Q4_K.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/q4_k.h"

namespace IQK_NS {

struct Q4_K_R4 : Interleaved<Q4_K_R4, Q4_K, Q4_K_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    map_scales(m, row);
    move_codes(m, 8, FarNibbles{16}, NibbleTile{64, row});
  }

  // The factors and the 6-bit scales and minima of sub-blocks b and b + 4: the low nibbles of both, a byte
  // for each sub-block, and the bit pairs above them in one byte.
  template <class Mover>
  IQK_INLINE void map_scales(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    m.bytes(2, 8 + 2 * row, 2);
    for (int b = 0; b < 4; ++b) {
      const int high = 16 + 4 * b + row, low = high + 16;
      m.bits(4 + b, 0, low, 0, 4);
      m.bits(8 + b, 0, low, 4, 4);
      m.bytes(12 + b, low + 16, 1);
      m.bits(4 + b, 4, high, 0, 2);
      m.bits(8 + b, 4, high, 2, 2);
      m.bits(4 + b, 6, high, 4, 2);
      m.bits(8 + b, 6, high, 6, 2);
    }
  }
};

}  // namespace IQK_NS

// IQ3_S_R4: four rows of IQ3_S; signs in a bit tile.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq3_s.h"

namespace IQK_NS {

struct IQ3_S_R4 : Interleaved<IQ3_S_R4, IQ3_S, IQ3_S_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int b = 0; b < 8; ++b) {
      for (int u = 0; u < 8; ++u) {
        m.bytes(2 + 8 * b + u, 8 + 32 * b + 8 * (u % 4) + 4 * (u / 4) + row, 1);
        for (int c = 0; c < 4; ++c)
          m.bits(74 + 4 * b + u / 2, 4 * (u % 2) + c, 296 + 16 * b + 4 * row + c, u, 1);
      }
      m.bytes(66 + b, 264 + 4 * b + row, 1);
    }
    move_numbers(m, 8, Fields<4>{106}, List<4>{424, 16, row, 4});
  }
};

}  // namespace IQK_NS

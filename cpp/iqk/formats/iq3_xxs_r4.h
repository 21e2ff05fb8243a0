// IQ3_XXS_R4: four rows of IQ3_XXS; signs re-coded, with a bit of the scale below each seven.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq3_xxs.h"

namespace IQK_NS {

struct IQ3_XXS_R4 : Interleaved<IQ3_XXS_R4, IQ3_XXS, IQ3_XXS_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int b = 0; b < 8; ++b) {
      const int word = 66 + 4 * b, to = 8 + 16 * b + 4 * row;
      for (int l = 0; l < 4; ++l) {
        m.bits(word + 3, 4 + l, to + l, 0, 1);
        m.signs(word + 7 * l / 8, 7 * l % 8, to + l);
      }
      m.bytes(2 + 8 * b, 136 + 32 * b + 8 * row, 8);
    }
  }
};

}  // namespace IQK_NS

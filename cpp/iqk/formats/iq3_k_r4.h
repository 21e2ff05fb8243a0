// IQ3_K_R4: four rows of IQ3_K.
#pragma once

#include "iqk/formats/iq3_k.h"
#include "iqk/formats/iqk_r4.h"

namespace IQK_NS {

struct IQ3_K_R4 : Interleaved<IQ3_K_R4, IQ3_K, IQ3_K_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_scale_and_shifts(m, row);
    move_numbers(m, 16, Fields<1>{4}, List<1>{16, 8, row, 4});
    move_numbers(m, 16, Fields<4>{6}, List<4>{24, 32, row, 4});
    move_codes(m, 8, BitPairs{14}, PairTile{56, row});
    move_codes(m, 8, SingleBits{78}, BitTile{312, row, kOrderA});
  }
};

}  // namespace IQK_NS

// IQ4_K_R4: four rows of IQ4_K.
#pragma once

#include "iqk/formats/iq4_k.h"
#include "iqk/formats/iqk_r4.h"

namespace IQK_NS {

struct IQ4_K_R4 : Interleaved<IQ4_K_R4, IQ4_K, IQ4_K_R4_facts> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_scale_and_shifts(m, row);
    move_numbers(m, 16, Fields<2>{4}, List<2>{16, 16, row, 4});
    move_numbers(m, 16, Fields<4>{8}, List<4>{32, 32, row, 4});
    move_codes(m, 8, NearNibbles{16}, NibbleTile{64, row});
  }
};

}  // namespace IQK_NS

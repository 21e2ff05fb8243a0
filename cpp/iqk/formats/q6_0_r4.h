// Q6_0_R4: four rows of Q6_0.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/q6_0.h"

namespace IQK_NS {

struct Q6_0_R4 : Interleaved<Q6_0_R4, Q6_0, Q6_0_R4_facts> {
  struct HighPairs {
    static constexpr int kBits = 2;
    IQK_MEMBER Place operator()(int, int u) const { return {2 + 4 * (u % 2), 4 * (u / 2 % 2) + 2 * (u / 4)}; }
  };
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    move_codes(m, 1, HighPairs{}, PairTile{8, row});
    move_codes(m, 1, NearNibbles{10}, NibbleTile{40, row});
  }
};

}  // namespace IQK_NS

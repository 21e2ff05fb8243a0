// IQ4_XS_R8: eight rows of IQ4_XS.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq4_xs.h"

namespace IQK_NS {

struct IQ4_XS_R8 : Interleaved<IQ4_XS_R8, IQ4_XS, IQ4_XS_R8_facts> {
  // 32 bytes are two quads of eight rows.
  struct Tile {
    static constexpr int kBits = 4;
    int at, row;
    IQK_MEMBER Place operator()(int b, int u) const {
      return {at + 128 * b + 32 * (u / 2) + 4 * row, 4 * (u % 2)};
    }
  };
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    move_numbers(m, 8, Fields<2>{2}, List<2>{16, 16, row, 8});
    move_numbers(m, 8, Fields<4>{4}, List<4>{32, 32, row, 8});
    move_codes(m, 8, NearNibbles{8}, Tile{64, row});
  }
};

}  // namespace IQK_NS

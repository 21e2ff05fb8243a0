// I2_S: ternary weights with one float32 scale per tensor, the header of every row; codes 0..2 minus 1, four
// to a byte, 32 apart, highest bits first.
#pragma once

#include "iqk/formats/format.h"

namespace IQK_NS {

struct I2_S : I2_S_facts {
  static constexpr int kLargest = 2;
  static void unpack(In in, Unit& u) {
    const float c = read<float>(in.header);
    for (float& scale : u.scale) scale = c;
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b / 4 * kBytes;
      for (int j = 0; j < 32; ++j) u.q[32 * b + j] = static_cast<int8_t>((p[j] >> 2 * (3 - b % 4) & 3) - 1);
    }
  }
};

}  // namespace IQK_NS

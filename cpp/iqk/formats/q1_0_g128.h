// Q1_0_G128: 128 weights, fp16 scale, bits in natural order: set is plus, clear is minus.
#pragma once

#include "iqk/formats/planes.h"

namespace IQK_NS {

struct Q1_0_G128 : Q1_0_G128_facts {
  static void unpack(In in, Unit& u) {
    std::memset(u.q, 0, sizeof u.q);
    for (int b = 0; b < 2; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      const float d = half(p);
      for (int t = 0; t < 8; ++t) u.scale[8 * b + t] = d;
      add_bits_in_order(p + 2, 1, u.q + 128 * b, 128);
    }
    subtract(1, u.q, 256);
  }
};

}  // namespace IQK_NS

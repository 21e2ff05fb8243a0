// IQ1_BN: ternary weights with one fp16 scale per row. 64 weights in 13 bytes: each 16 are three bytes of
// five digits, and a digit of the last byte.
#pragma once

#include "iqk/formats/planes.h"

namespace IQK_NS {

struct IQ1_BN : IQ1_BN_facts {
  static constexpr int kLargest = 1;
  static void unpack(In in, Unit& u) {
    static constexpr int kPower[5] = {81, 27, 9, 3, 1};
    const float d = half(in.header);
    for (float& scale : u.scale) scale = d;
    for (int t = 0; t < 16; ++t) {
      const uint8_t* p = in.block + t / 4 * kBytes;
      int8_t* q = u.q + 16 * t;
      for (int n = 0; n < 3; ++n)
        for (int r = 0; r < 5; ++r)
          q[5 * n + r] = static_cast<int8_t>(ternary_digit(p[t % 4 * 3 + n], kPower[r]));
      q[15] = static_cast<int8_t>(ternary_digit(p[12], kPower[t % 4]));
    }
    subtract(1, u.q, 256);
  }
};

}  // namespace IQK_NS

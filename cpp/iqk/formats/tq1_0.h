// TQ1_0: 256 weights, fp16 scale, ternary digits minus 1, five to a byte: the digits n of 32 bytes, then of
// 16, then four digits of 4.
#pragma once

#include "iqk/formats/planes.h"

namespace IQK_NS {

struct TQ1_0 : TQ1_0_facts {
  static constexpr int kLargest = 1;
  static void unpack(In in, Unit& u) {
    const float d = half(in.block + 52);
    for (float& scale : u.scale) scale = d;
    digits(in.block, 32, 5, u.q);
    digits(in.block + 32, 16, 5, u.q + 160);
    digits(in.block + 48, 4, 4, u.q + 240);
    subtract(1, u.q, 256);
  }

 private:
  IQK_INLINE void digits(const uint8_t* __restrict p, int bytes, int count, int8_t* __restrict codes) {
    for (int n = 0, power = 1; n < count; ++n, power *= 3)
      for (int j = 0; j < bytes; ++j) codes[bytes * n + j] = static_cast<int8_t>(ternary_digit(p[j], power));
  }
};

}  // namespace IQK_NS

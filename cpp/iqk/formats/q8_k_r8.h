// Q8_K_R8: eight rows of 256 int8 codes with an fp16 scale; 32 bytes are four columns of the eight rows.
#pragma once

#include "iqk/formats/vectors.h"

namespace IQK_NS {

// The scales of all rows, then four columns of all rows at a time; the bits `Flip` of a code are inverted.
template <class SelfFacts, int Flip>
struct Q8_K_rows : SelfFacts, LineOrder {
  using SelfFacts::kRows;
  static void unpack(In in, Unit& u) {
    const float d = half(in.block + 2 * in.row);
    for (float& scale : u.scale) scale = d;
    const uint8_t* p = in.block + 2 * kRows + 4 * in.row;
    for (int quad = 0; quad < 64; ++quad)
      for (int c = 0; c < 4; ++c) u.q[4 * quad + c] = static_cast<int8_t>(p[4 * kRows * quad + c] ^ Flip);
  }

  static constexpr int quad(int n, int half) { return kRows == 8 ? 2 * n + half : n; }
  template <class Put>
  IQK_INLINE void lines(In in, int b, Put put) {
    const uint8_t* p = in.block + 2 * kRows + 32 * kRows * b;
    unroll<kRows / 2>([&](auto n) IQK_LAMBDA { put(n, signed_codes(load(p + 64 * n) ^ splat(Flip))); });
  }
  IQK_INLINE Floats<kRows> line_scales(In in, int) {
    if constexpr (kRows == 8)
      return strided_halves<2>(in.block);
    else
      return load_f16(in.block);
  }
};

struct Q8_K_R8 : Q8_K_rows<Q8_K_R8_facts, 0> {};

}  // namespace IQK_NS

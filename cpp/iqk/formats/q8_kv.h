// Q8_KV: int8 codes with one float32 scale per row; the row's header has it and the sum of the codes.
#pragma once

#include "iqk/formats/format.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q8_KV : Q8_KV_facts, VectorDefaults {
  static void unpack(In in, Unit& u) {
    const float d = read<float>(in.header);
    for (float& scale : u.scale) scale = d;
    std::memcpy(u.q, in.block, 256);
  }

  static constexpr int kAccumulators = 4;
  static constexpr int accumulator(int v) { return v; }
  static constexpr int order(int v, int x) { return 64 * v + x; }
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return read<float>(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    unroll<4>([&](auto v) IQK_LAMBDA { put(v, signed_codes(load(in.block + 64 * v))); });
  }
  IQK_INLINE Floats<8> scales(In) { return fsplat<8>(1); }
};

}  // namespace IQK_NS

// Q8_KV_R8: eight rows of Q8_KV without their sums; 32 bytes are four columns of the eight rows.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/q8_kv.h"

namespace IQK_NS {

struct Q8_KV_R8 : Interleaved<Q8_KV_R8, Q8_KV, Q8_KV_R8_facts>, LineOrder {
  template <class Mover>
  static void map(Mover m, int row) {
    for (int quad = 0; quad < 8; ++quad) m.quad({4 * quad, 0}, {32 * quad + 4 * row, 0}, 8);
  }

  // The interleaved row has no sum of its codes: computes it again.
  static void restore_header(uint8_t* row, int64_t k) {
    int32_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += static_cast<int8_t>(row[8 + i]);
    std::memcpy(row + 4, &sum, sizeof sum);
  }

  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return read<float>(in.header + 4 * in.row); }
  template <class Put>
  IQK_INLINE void lines(In in, int b, Put put) {
    unroll<4>([&](auto n) IQK_LAMBDA { put(n, signed_codes(load(in.block + 256 * b + 64 * n))); });
  }
  IQK_INLINE Floats<8> line_scales(In, int) { return fsplat<8>(1); }
};

}  // namespace IQK_NS

// F32, F16, BF16 and BF16_R16: plain numbers, any row length.
#pragma once

#include "iqk/formats/format.h"

namespace IQK_NS {

// `decode` gives 256 numbers of a row; `vector` sixteen of them, where rows are stored one by one.
struct F32 : F32_facts {
  static void decode(In in, float* y) { std::memcpy(y, in.block, 256 * sizeof(float)); }
  IQK_INLINE Floats<16> vector(const uint8_t* p) { return load_f32(p); }
};
struct F16 : F16_facts {
  static void decode(In in, float* y) {
    for (int i = 0; i < 256; i += 16) fstore(y + i, vector(in.block + 2 * i));
  }
  IQK_INLINE Floats<16> vector(const uint8_t* p) { return load_f16(p); }
};
struct BF16 : BF16_facts {
  static void decode(In in, float* y) {
    for (int i = 0; i < 256; ++i) y[i] = bf16_to_fp32(read<uint16_t>(in.block + 2 * i));
  }
  IQK_INLINE Floats<16> vector(const uint8_t* p) { return load_bf16(p); }
};
// Sixteen rows: 64 bytes are two columns of all of them.
struct BF16_R16 : BF16_R16_facts {
  static void decode(In in, float* y) {
    for (int i = 0; i < 256; ++i)
      y[i] = bf16_to_fp32(read<uint16_t>(in.block + 64 * (i / 2) + 4 * in.row + i % 2 * 2));
  }
  static constexpr int kMapWeights = 2;
  template <class Mover>
  static void map(Mover m, int row) {
    m.quad({0, 0}, {4 * row, 0}, 8);
  }
};

}  // namespace IQK_NS

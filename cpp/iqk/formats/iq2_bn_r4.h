// IQ2_BN_R4: four rows of IQ2_BN; 64 bytes are 64 columns of the four rows.
#pragma once

#include "iqk/formats/iq2_bn.h"
#include "iqk/formats/tiles.h"

namespace IQK_NS {

// A lane has 16 columns of each block, a dword of each; every byte has four quads.
struct IQ2_BN_R4_order : VectorDefaults {
  static constexpr int order(int v, int x) { return 64 * (x % 16 / 4) + 16 * (x / 16) + 4 * v + x % 4; }
};

struct IQ2_BN_R4 : Interleaved<IQ2_BN_R4, IQ2_BN, IQ2_BN_R4_facts>, TileTrait<IQ2_BN, IQ2_BN_R4_order> {
  template <class Mover>
  static void map(Mover m, int row) {
    for (int l = 0; l < 4; ++l)
      for (int p = 0; p < 4; ++p) m.quad({4 * p, 2 * l}, {16 * l + 4 * row, 2 * p}, 2);
  }

  IQK_INLINE TileGroup<TransposedRows> open(In in) {
    const uint8_t* p = in.block;
    return {TransposedRows(load(p), load(p + 64), load(p + 128), load(p + 192)), splat(0), p};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<Bytes>& row, Put put) {
    put_bit_pairs(row.codes, put);
  }
  IQK_INLINE Floats<8> scales(const RowPlace&) { return fsplat<8>(1); }
};

}  // namespace IQK_NS

// Q4_0_4_8: four rows of Q4_0 as signed nibbles; runs of eight code bytes of a row.
#pragma once

#include "iqk/formats/q4_0_4_4.h"

namespace IQK_NS {

struct Q4_0_4_8 : SignedNibbleRuns<Q4_0_4_8, Q4_0_4_8_facts, 8, EightByteOrder> {
  using Tile = EightByteTile<kStride, 4>;
  IQK_INLINE TileGroup<Tile> open(In in) { return {Tile(in.block + 8), splat(0), in.block}; }
};

}  // namespace IQK_NS

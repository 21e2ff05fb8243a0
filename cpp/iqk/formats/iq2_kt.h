// IQ2_KT: 256 weights, float scale per row; 16-bit codes of 8 weights, 4-bit scales of 32 from a table.
#pragma once

#include "iqk/formats/trellis.h"
#include "iqk/formats/trellis_vectors.h"

namespace IQK_NS {

struct IQ2_KT : IQ2_KT_facts, TrellisCodes<IQ2_KT, TrellisOrder> {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = read<float>(in.header);
    for (int b = 0; b < 8; ++b)
      u.scale[2 * b] = u.scale[2 * b + 1] = d * kIq4k[0][p[b % 4] >> 4 * (b / 4) & 15];
    for (int n = 0; n < 32; ++n) put_values<8>(u.q + 8 * n, kTrellisStart + read<uint16_t>(p + 4 + 2 * n));
  }

  template <class Put>
  IQK_INLINE void parts(In in, Put put) {
    trellis8_parts(load(in.block + 4), put);
  }
  IQK_INLINE Floats<16> lane_scales(In in) { return look_up_floats(kIq4k[0], nibble_lanes(in.block)); }
  IQK_INLINE Floats<8> scales(In in) { return trellis_scales(nibbles_apart(in.block)); }
};

}  // namespace IQK_NS

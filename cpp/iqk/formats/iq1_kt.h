// IQ1_KT: 256 weights, float scale per row; 13-bit codes of 8 weights, 4-bit scales of 32 from a table.
#pragma once

#include "iqk/formats/trellis.h"
#include "iqk/formats/trellis_vectors.h"

namespace IQK_NS {

struct IQ1_KT : IQ1_KT_facts, TrellisCodes<IQ1_KT, TrellisOrder> {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = read<float>(in.header);
    for (int t = 0; t < 16; ++t) u.scale[t] = d * kIq4k[0][p[t / 2] & 15];
    for (int n = 0; n < 32; ++n) {
      const int high = (p[40 + n % 16] >> 4 * (n / 16) & 15) | (p[n / 4] >> (4 + n % 4) & 1) << 4;
      put_values<8>(u.q + 8 * n, kTrellisStart + (p[8 + n] | high << 8));
    }
  }

  template <class Put>
  IQK_INLINE void parts(In in, Put put) {
    const uint64_t heads = read<uint64_t>(in.block) >> 4 & 0x0f0f0f0f0f0f0f0f;
    const Bytes nibbles =
        shr16_halves<0, 4>(lookup(load_broadcast(in.block + 40), load(kHalfOfLane))) & splat(15);
    const Bytes high = nibbles | expand_bits((heads | heads >> 4) & 0x00ff00ff00ff00ff, 16);
    trellis8_parts(zip_lo8(load_lanes(in.block + 8, 8), high), put);
  }
  IQK_INLINE Floats<16> lane_scales(In in) {
    return look_up_floats(kIq4k[0], shr32(load_dword_halves(in.block, in.block + 4), load(kNibbleShifts<0>)));
  }
  IQK_INLINE Floats<8> scales(In in) { return trellis_scales(small_load8(in.block) & small_splat(15)); }
};

}  // namespace IQK_NS

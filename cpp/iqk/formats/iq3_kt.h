// IQ3_KT: 256 weights, float scale per row; 16-bit codes of 8 magnitudes, sign bits, 4-bit scales of 32.
#pragma once

#include "iqk/formats/trellis.h"
#include "iqk/formats/trellis_vectors.h"

namespace IQK_NS {

struct IQ3_KT : IQ3_KT_facts, TrellisOrder {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = read<float>(in.header);
    for (int n = 0; n < 32; ++n) put_values<8>(u.q + 8 * n, kTrellisStart + read<uint16_t>(p + 4 + 2 * n));
    for (int b = 0; b < 8; ++b) {
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(p[b % 4] >> 4 * (b / 4) & 15);
      for (int j = 0; j < 32; ++j) {
        const int v = u.q[32 * b + j], magnitude = v < 0 ? -v : v;
        u.q[32 * b + j] = static_cast<int8_t>(p[68 + j] >> b & 1 ? -magnitude : magnitude);
      }
    }
  }

  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return read<float>(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    trellis8_parts(load(in.block + 4), [&](auto v, Bytes a, Bytes b, Bytes c, Bytes d) IQK_LAMBDA {
      constexpr int V = decltype(v)::value;
      const Bytes plane = load_broadcast(in.block + 68 + 16 * (V / 2)), bit = load(kBitOfGroup);
      const Bytes magnitudes = abs8(byte_sums(a, b, c, d) - splat(126));
      put(v, signed_codes(negate_where(magnitudes, lookup(plane, load(kSignBytes[V % 2])), bit)));
    });
  }
  static constexpr bool kLaneScales = kWholeFloats;
  IQK_INLINE Floats<16> lane_scales(In in) { return floats_i32(nibble_lanes(in.block) & splat32(15)); }
  IQK_INLINE Floats<8> scales(In in) { return floats_u8<8>(nibbles_apart(in.block)); }
};

}  // namespace IQK_NS

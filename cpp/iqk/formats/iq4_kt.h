// IQ4_KT: 256 weights, float scale per row; 15-bit codes of 4 weights; per 32 a word of their high
// bits, a 7-bit scale and a bit that selects the upper half of the start states.
#pragma once

#include "iqk/formats/trellis.h"
#include "iqk/formats/trellis_vectors.h"

namespace IQK_NS {

struct IQ4_KT : IQ4_KT_facts, VectorDefaults {
  static constexpr int kStreams = 1;
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = read<float>(in.header);
    for (int b = 0; b < 8; ++b) {
      const uint32_t head = read<uint32_t>(p + 4 * b), start = kTrellisStart + (head & 1) * 32768;
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(static_cast<int>(head >> 1 & 127) - 64);
      for (int n = 8 * b; n < 8 * b + 8; ++n) {
        const uint32_t middle = p[96 + n % 32] >> 4 * (n / 32) & 15, high = head >> (8 + 3 * (n % 8)) & 7;
        put_values<4>(u.q + 4 * n, start + (p[32 + n] | middle << 8 | high << 12));
      }
    }
  }

  static constexpr int order(int v, int x) { return 32 * (x / 8) + 8 * v + x % 8; }
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return read<float>(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const Bytes low = load(in.block + 32);
    const Bytes middle = shr16_halves<0, 4>(load_halves(in.block + 96, in.block + 96)) & splat(15);
    const Bytes first = zip_lo8(low, middle), second = zip_hi8(low, middle);  // words of even, odd groups
    const Bytes four[2] = {zip_lo32(first, second), zip_hi32(first, second)};
    const Bytes lanes = load_lanes(in.block, 8), heads = zip_lo32(lanes, lanes);
    const Bytes base = add32(shl16<15>(heads & splat32(1)), kTrellisStart);
    unroll<4>([&](auto v) IQK_LAMBDA {
      constexpr int V = decltype(v)::value;
      const Bytes words = lookup(four[V / 2], load(kWordsToDwords[V % 2]));
      const Bytes high = shl16<12>(shr32_odd<8 + 6 * V, 11 + 6 * V>(heads) & splat32(7));
      put(v, trellis_codes(trellis_sums<0>(add32(words | high, base))));
    });
  }
  IQK_INLINE Floats<8> scales(In in) {
    const Small low =
        shuffle<0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1>(small_load(in.block));
    const Small high =
        shuffle<0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1>(small_load(in.block + 16));
    return floats_i8<8>((shr16<1>(zip_lo32(low, high)) & small_splat(127)) - small_splat(64));
  }
};

}  // namespace IQK_NS

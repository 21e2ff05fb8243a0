// IQ2_KL: 256 weights, fp16 scale per row; 6-bit scales of 32 weights; 5-bit codes of pairs of weights.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/iqk_vectors.h"

namespace IQK_NS {

struct IQ2_KL : IQ2_KL_facts, VectorDefaults {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    const float d = half(in.header);
    for (int b = 0; b < 8; ++b) {
      const int s = ((p[2 + b % 4] >> 4 * (b / 4) & 15) | field<2>(p, b) << 4) - 32;
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(s);
      for (int j = 0; j < 16; ++j) {
        const int code = (p[6 + 16 * (b / 2) + j] >> 4 * (b % 2) & 15) | (p[70 + j] >> b & 1) << 4;
        u.q[32 * b + 2 * j] = kIq2klPairs[code][0];
        u.q[32 * b + 2 * j + 1] = kIq2klPairs[code][1];
      }
    }
  }

  static constexpr int kMax = 111, kAccumulators = 2;
  static constexpr float kOffset = kIq2klOffset;
  static constexpr int accumulator(int v) { return v / 2; }
  static constexpr int order(int v, int x) { return 64 * (x / 16) + 32 * (v / 2) + 16 * (v % 2) + x % 16; }
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return half(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const Bytes x = load(in.block + 6), fifth = load_broadcast(in.block + 70);
    const Table32 even = load_table32(kIq2klEven), odd = load_table32(kIq2klOdd);
    const auto two = [&](auto v, Bytes nibbles, const uint8_t* bit_of_lane) IQK_LAMBDA {
      const Bytes bit = load(bit_of_lane);
      const Bytes code = (nibbles & splat(15)) | (equal(fifth & bit, bit) & splat(16));
      const Bytes e = lookup(even, code), o = lookup(odd, code);
      put(v, zip_lo8(e, o));
      put(Constant<decltype(v)::value + 1>{}, zip_hi8(e, o));
    };
    two(Constant<0>{}, x, kBitOfLane[0]);
    two(Constant<2>{}, shr16<4>(x), kBitOfLane[1]);
  }
  IQK_INLINE Floats<8> scales(In in) {
    const Small x = small_load4(in.block + 2), low = zip_lo32(x, shr16<4>(x)) & small_splat(15);
    const Small high = shr32<0, 2, 4, 6>(small_splat32(read<uint16_t>(in.block))) & small_splat(3);
    const Small s = low | shl16<4>(shuffle<0, 4, 8, 12, 1, 5, 9, 13, -1, -1, -1, -1, -1, -1, -1, -1>(high));
    return floats_i8<8>(s - small_splat(32));
  }
};

}  // namespace IQK_NS

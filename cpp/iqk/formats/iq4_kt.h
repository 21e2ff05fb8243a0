// IQ4_KT: 256 weights, float scale per row; 15-bit codes of 4 weights; per 32 a word of their high
// bits, a 7-bit scale and a bit that selects the upper half of the start states.
#pragma once

#include "iqk/formats/trellis.h"
#include "iqk/formats/trellis_vectors.h"

namespace IQK_NS {

struct IQ4_KT : IQ4_KT_facts, TrellisCodes<IQ4_KT, VectorDefaults> {
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

  // Lane L has the blocks 2 L and 2 L + 1 in turn: of vectors 0 and 1 the first four codes, those of even and
  // of odd number, of 2 and 3 the others.
  static constexpr int order(int v, int x) {
    const int i = x / 4, block = i / 4 * 2 + i % 2, code = v / 2 * 4 + i % 4 / 2 * 2 + v % 2;
    return 32 * block + 4 * code + x % 4;
  }
  IQK_INLINE Bytes block_heads(In in) {
    const Bytes lanes = load_lanes(in.block, 8);
    return zip_lo64(lanes, lanes);
  }
  template <class Put>
  IQK_INLINE void parts(In in, Put put) {
    const Bytes low = load(in.block + 32);
    const Bytes middle = shr16_halves<0, 4>(load_halves(in.block + 96, in.block + 96)) & splat(15);
    const Bytes first = zip_lo8(low, middle), second = zip_hi8(low, middle);
    const Bytes half[2] = {zip_lo32(first, second), zip_hi32(first, second)};
    const Bytes heads = block_heads(in);
    const Bytes base = add32(shl16<15>(heads & splat32(1)), kTrellisStart);
    // The high bits of code c, from bit 8 + 3 c on, come to bit 12.
    const auto put_codes = [&](auto v, Bytes words, Bytes shifted) IQK_LAMBDA {
      trellis_parts<0>(v, add32(words | (shifted & splat32(0x7000)), base), put);
    };
    const Bytes higher = shl32<4>(heads);
    put_codes(Constant<0>{}, half[0] & splat32(0xffff), shr32<0, 0, 6, 6>(higher));
    put_codes(Constant<1>{}, shr32<16, 16, 16, 16>(half[0]), shr32<3, 3, 9, 9>(higher));
    put_codes(Constant<2>{}, half[1] & splat32(0xffff), shr32<8, 8, 14, 14>(heads));
    put_codes(Constant<3>{}, shr32<16, 16, 16, 16>(half[1]), shr32<11, 11, 17, 17>(heads));
  }
  IQK_INLINE Floats<16> lane_scales(In in) {
    return floats_i32(add32(shr32<1, 1, 1, 1>(block_heads(in)) & splat32(127), 0u - 64));
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

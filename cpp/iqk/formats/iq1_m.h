// IQ1_M: 256 weights, low index bytes, nibbles of high index bits and shift, four words of 3-bit scales of 16
// weights with the fp16 scale in their top nibbles.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/grid_vectors.h"

namespace IQK_NS {

struct IQ1_M : IQ1_M_facts, GroupOrder16 {
  static void unpack(In in, Unit& u) {
    const uint8_t* p = in.block;
    int word[4], d_bits = 0;
    for (int c = 0; c < 4; ++c) {
      word[c] = read<uint16_t>(p + 48 + 2 * c);
      d_bits |= word[c] >> 12 << 4 * c;
    }
    const float d = fp16_to_fp32(static_cast<uint16_t>(d_bits)) / 8;
    for (int t = 0; t < 16; ++t)
      u.scale[t] = d * static_cast<float>(2 * (word[t / 4] >> 3 * (t % 4) & 7) + 1);
    for (int g = 0; g < 32; ++g) {
      const int high = field<4>(p + 32, g);
      put_shifted(u.q + 8 * g, p[g] | (high & 7) << 8, high & 8);
    }
  }

  // In eighths: 8 * digit and 2 more where the group's shift is plus, minus 9.
  static constexpr int kMax = 18, kIndexWords = 32;
  static constexpr float kOffset = 9;
  IQK_INLINE void indices(In in, uint16_t* to) {
    const Bytes nibbles =
        lookup(load_broadcast(in.block + 32), load(kByteOfPair));  // in the high bytes of words
    const Bytes high = (nibbles & splat32(0x0700)) | (shr16<4>(nibbles) & splat32(0x07000000));
    store(to, zip_lo8(load_lanes(in.block, 8), splat(0)) | high);
  }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const Bytes nibbles = load_broadcast(in.block + 32);
    unroll<4>([&](auto v) IQK_LAMBDA {
      constexpr int V = decltype(v)::value;
      const Bytes digits = grid8(kIq1sGrid, [&](auto c) IQK_LAMBDA { return in.index[4 * c + v]; });
      const Bytes flags = lookup(nibbles, load(kByteOfChunk) + splat(V / 2));
      put(v, add_unless(shl16<3>(digits), flags, splat(V % 2 ? 0x80 : 0x08), splat(2)));
    });
  }
  IQK_INLINE Floats<16> scales(In in) {
    static constexpr BytePattern kWordOfLane =
        byte_pattern([](int lane, int y) { return y % 4 < 2 ? 8 + 2 * lane + y % 4 : 128; });
    const Bytes words = lookup(load_broadcast(in.block + 40), load(kWordOfLane));
    const Floats<16> s = floats_i32(shr32<0, 3, 6, 9>(words) & splat32(7));
    const uint64_t top = read<uint64_t>(in.block + 48) & 0xf000f000f000f000;
    const uint64_t d = top >> 12 | top >> 24 | top >> 36 | top >> 48;
    uint8_t d_bytes[8];
    std::memcpy(d_bytes, &d, 8);
    const Floats<16> eighth = splat_half<16>(d_bytes) * fsplat<16>(0.125f);
    return fma(s, eighth + eighth, eighth);
  }
};

}  // namespace IQK_NS

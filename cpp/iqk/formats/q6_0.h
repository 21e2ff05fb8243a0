// Q6_0: 32 weights, fp16 scale, codes 0..63 minus 32: eight bytes of bits 4-5, each of codes 8 apart in the
// order 0, 2, 1, 3, then split nibbles.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q6_0 : Q6_0_facts, SplitBlocks<26, 10> {
  static void unpack(In in, Unit& u) {
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      int8_t* q = u.q + 32 * b;
      u.scale[2 * b] = u.scale[2 * b + 1] = half(p);
      split_nibbles(p + 10, q);
      const uint64_t high = read<uint64_t>(p + 2), mask = 0x0303030303030303;
      add_to_eight((high & mask) << 4, q);
      add_to_eight((high >> 4 & mask) << 4, q + 8);
      add_to_eight((high >> 2 & mask) << 4, q + 16);
      add_to_eight((high >> 6 & mask) << 4, q + 24);
    }
    subtract(32, u.q, 256);
  }

  static constexpr int kMax = 63;
  static constexpr bool kLaneScales = kWholeFloats;
  static constexpr float kOffset = 32;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const TwoVectors m = nibbles(in);
    // Eight bytes of each block; bits 0-1, 4-5, 2-3, 6-7 are those of weights 0-7, 8-15, 16-23, 24-31.
    const auto high = [&](int b) IQK_LAMBDA { return read<uint64_t>(in.block + b * kBytes + 2); };
    const Bytes h = bytes_of(high(0), high(4), high(1), high(5), high(2), high(6), high(3), high(7));
    put(Constant<0>{}, (m.lo & splat(15)) | shl16<4>(h & splat(3)));
    put(Constant<1>{}, (shr16<4>(m.lo) & splat(15)) | shl16<2>(h & splat(12)));
    put(Constant<2>{}, (m.hi & splat(15)) | (h & splat(0x30)));
    put(Constant<3>{}, (shr16<4>(m.hi) & splat(15)) | (shr16<2>(h) & splat(0x30)));
  }
};

}  // namespace IQK_NS

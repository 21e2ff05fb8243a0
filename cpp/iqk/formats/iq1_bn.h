// IQ1_BN: ternary weights with one fp16 scale per row. 64 weights in 13 bytes: each 16 are three bytes of
// five digits, and a digit of the last byte.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

// The byte of each of 64 weights and the power of its digit there.
static constexpr BytePattern kIq1bnBytes =
    byte_pattern([](int lane, int y) { return y < 15 ? 3 * lane + y / 5 : 12; });
static constexpr BytePattern kIq1bnPowers = byte_pattern([](int lane, int y) {
  const int n = 4 - (y < 15 ? y % 5 : lane);
  return n == 0 ? 1 : n == 1 ? 3 : n == 2 ? 9 : n == 3 ? 27 : 81;
});

struct IQ1_BN : IQ1_BN_facts, NaturalOrder {
  static constexpr int kLargest = 1;
  static void unpack(In in, Unit& u) {
    static constexpr int kPower[5] = {81, 27, 9, 3, 1};
    const float d = half(in.header);
    for (float& scale : u.scale) scale = d;
    for (int t = 0; t < 16; ++t) {
      const uint8_t* p = in.block + t / 4 * kBytes;
      int8_t* q = u.q + 16 * t;
      for (int n = 0; n < 3; ++n)
        for (int r = 0; r < 5; ++r)
          q[5 * n + r] = static_cast<int8_t>(ternary_digit(p[t % 4 * 3 + n], kPower[r]));
      q[15] = static_cast<int8_t>(ternary_digit(p[12], kPower[t % 4]));
    }
    subtract(1, u.q, 256);
  }

  static constexpr int kMax = 2;
  static constexpr float kOffset = 1;
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return half(in.header); }
  // A vector is a block, of 13 bytes; the last one is loaded with three bytes of the one before.
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    unroll<4>([&](auto v) IQK_LAMBDA {
      constexpr int kAt = decltype(v)::value == 3 ? 3 * kBytes - 3 : decltype(v)::value * kBytes;
      const Bytes place = load(kIq1bnBytes) + splat(decltype(v)::value * kBytes - kAt);
      put(v, ternary_digits(lookup(load_broadcast(in.block + kAt), place), load(kIq1bnPowers)));
    });
  }
  IQK_INLINE Floats<8> scales(In) { return fsplat<8>(1); }
};

}  // namespace IQK_NS

// TQ1_0: 256 weights, fp16 scale, ternary digits minus 1, five to a byte: the digits n of 32 bytes, then of
// 16, then four digits of 4.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

// The power of each weight's digit.
static constexpr int tq1_power(int weight) {
  const int n = weight < 160 ? weight / 32 : weight < 240 ? (weight - 160) / 16 : (weight - 240) / 4;
  return n == 0 ? 1 : n == 1 ? 3 : n == 2 ? 9 : n == 3 ? 27 : 81;
}
template <int V>
static constexpr BytePattern kTq1Powers =
    byte_pattern([](int lane, int y) { return tq1_power(64 * V + 16 * lane + y); });

struct TQ1_0 : TQ1_0_facts, NaturalOrder {
  static constexpr int kLargest = 1;
  static void unpack(In in, Unit& u) {
    const float d = half(in.block + 52);
    for (float& scale : u.scale) scale = d;
    digits(in.block, 32, 5, u.q);
    digits(in.block + 32, 16, 5, u.q + 160);
    digits(in.block + 48, 4, 4, u.q + 240);
    subtract(1, u.q, 256);
  }

  static constexpr int kMax = 2;
  static constexpr float kOffset = 1;
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const auto at = [&](int i) IQK_LAMBDA { return read<uint64_t>(in.block + i); };
    const Bytes first = load_halves(in.block, in.block);
    const uint64_t last = read<uint32_t>(in.block + 48) * uint64_t{0x100000001};
    put(Constant<0>{}, ternary_digits(first, load(kTq1Powers<0>)));
    put(Constant<1>{}, ternary_digits(first, load(kTq1Powers<1>)));
    put(Constant<2>{}, ternary_digits(bytes_of(at(0), at(8), at(16), at(24), at(32), at(40), at(32), at(40)),
                                      load(kTq1Powers<2>)));
    put(Constant<3>{}, ternary_digits(bytes_of(at(32), at(40), at(32), at(40), at(32), at(40), last, last),
                                      load(kTq1Powers<3>)));
  }
  IQK_INLINE Floats<8> scales(In in) { return splat_last_half<8>(in.block + 52); }

 private:
  IQK_INLINE void digits(const uint8_t* __restrict p, int bytes, int count, int8_t* __restrict codes) {
    for (int n = 0, power = 1; n < count; ++n, power *= 3)
      for (int j = 0; j < bytes; ++j) codes[bytes * n + j] = static_cast<int8_t>(ternary_digit(p[j], power));
  }
};

}  // namespace IQK_NS

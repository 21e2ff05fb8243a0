// Q1_0_G128: 128 weights, fp16 scale, bits in natural order: set is plus, clear is minus.
#pragma once

#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct Q1_0_G128 : Q1_0_G128_facts, GroupOrder {
  static void unpack(In in, Unit& u) {
    std::memset(u.q, 0, sizeof u.q);
    for (int b = 0; b < 2; ++b) {
      const uint8_t* p = in.block + b * kBytes;
      const float d = half(p);
      for (int t = 0; t < 8; ++t) u.scale[8 * b + t] = d;
      add_bits_in_order(p + 2, 1, u.q + 128 * b, 128);
    }
    subtract(1, u.q, 256);
  }

  static constexpr int kMax = 2;
  static constexpr float kOffset = 1;
  // Byte v of each 32 bits is group v.
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const auto bytes_by_group = [](const uint8_t* p) IQK_LAMBDA {
      return shuffle<0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15>(small_load(p));
    };
    const Small lower = bytes_by_group(in.block + 2), upper = bytes_by_group(in.block + kBytes + 2);
    const Small first = zip_lo32(lower, upper), second = zip_lo32(upper_half(lower), upper_half(upper));
    put(Constant<0>{}, expand_bits(low64(first), 2));
    put(Constant<1>{}, expand_bits(low64(upper_half(first)), 2));
    put(Constant<2>{}, expand_bits(low64(second), 2));
    put(Constant<3>{}, expand_bits(low64(upper_half(second)), 2));
  }
  IQK_INLINE Floats<8> scales(In in) {
    const auto four = [](const uint8_t* p)
                          IQK_LAMBDA { return read<uint16_t>(p) * uint64_t{0x0001000100010001}; };
    uint8_t halves[16];
    small_store(halves, small_of(four(in.block), four(in.block + kBytes)));
    return strided_halves<2>(halves);
  }
};

}  // namespace IQK_NS

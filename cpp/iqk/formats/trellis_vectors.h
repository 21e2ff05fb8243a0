// The generator of the trellis formats on vectors: a dword is the state of one code, then four of its values.
#pragma once

#include "iqk/formats/grid_vectors.h"
#include "iqk/formats/trellis.h"

namespace IQK_NS {

static constexpr uint32_t trellis_power(int r) {
  uint32_t x = 1;
  for (int i = 0; i < r; ++i) x *= 0xCBAC1FEDu;
  return x;
}
// The parts of values From + 1 .. From + 4 of each state.
template <int From, class V, class Put>
IQK_INLINE void trellis_parts(V v, Bytes state, Put put) {
  const auto parts = [&](uint32_t power) IQK_LAMBDA { return mul32(state, power) & splat(0x3f); };
  put(v, parts(trellis_power(From + 1)), parts(trellis_power(From + 2)), parts(trellis_power(From + 3)),
      parts(trellis_power(From + 4)));
}

// Formats whose codes are the values.
template <class F, class Order>
struct TrellisCodes : Order {
  static constexpr int kPartMax = 63;
  static constexpr float kPartsBias = 126;
  static constexpr bool kRowScale = true, kLaneScales = kWholeFloats;
  IQK_INLINE float row_scale(In in) { return read<float>(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    F::parts(in, [&](auto v, Bytes a, Bytes b, Bytes c, Bytes d)
                     IQK_LAMBDA { put(v, byte_sums(a, b, c, d) + splat(kSignedBias - 126)); });
  }
};

// 32 codes of eight weights. Dword i of the first two vectors belongs to code 4 (i / 2) + i % 2, of the last
// two to the one after next: two dwords for each 32 weights, everywhere.
struct TrellisOrder : VectorDefaults {
  static constexpr int kStreams = 1;
  static constexpr int order(int v, int x) {
    const int i = x / 4, code = 4 * (i / 2) + 2 * (v / 2) + i % 2;
    return 8 * code + 4 * (v % 2) + x % 4;
  }
};
static constexpr BytePattern kCodeDwords = byte_pattern([](int, int y) {
  const int m = y / 4, code = 4 * (m / 2) + m % 2;
  return y % 4 < 2 ? 2 * code + y % 4 : 128;
});
// `codes`: 32 words in their order.
template <class Put>
IQK_INLINE void trellis8_parts(Bytes codes, Put put) {
  const Bytes first = load(kCodeDwords);
  const auto two = [&](auto v, Bytes from) IQK_LAMBDA {
    const Bytes state = add32(lookup(codes, from), kTrellisStart);
    trellis_parts<0>(v, state, put);
    trellis_parts<4>(Constant<decltype(v)::value + 1>{}, state, put);
  };
  two(Constant<0>{}, first);
  two(Constant<2>{}, first + splat(4));
}
static constexpr BytePattern kHalfOfLane =
    byte_pattern([](int lane, int y) { return y < 8 ? lane % 2 * 8 + y : 128; });
// Sign bits of IQ3_KT, for vectors with even and with odd number.
static constexpr BytePattern kSignBytes[2] = {
    byte_pattern([](int, int y) { return y / 4 % 2 * 8 + y % 4; }),
    byte_pattern([](int, int y) { return y / 4 % 2 * 8 + 4 + y % 4; })};
static constexpr BytePattern kBitOfGroup =
    byte_pattern([](int lane, int y) { return 1 << (2 * lane + y / 8); });

// Low nibbles of four bytes, then their high nibbles.
IQK_INLINE Small nibbles_apart(const uint8_t* p) {
  const Small x = small_load4(p);
  return zip_lo32(x, shr16<4>(x)) & small_splat(15);
}
// By lanes, two for each 32 weights: the same nibbles, those of blocks 4 .. 7 in the upper half, at the
// bottom of dwords.
template <int Upper>
static constexpr BytePattern kNibbleShifts =
    byte_pattern([](int lane, int y) { return y % 4 ? 0 : 8 * (2 * lane + y / 8) % 32 + lane / 2 * Upper; });
IQK_INLINE Bytes nibble_lanes(const uint8_t* p) {
  return shr32(splat32(read<uint32_t>(p)), load(kNibbleShifts<4>));
}
IQK_INLINE Floats<8> trellis_scales(Small index) { return floats_i8<8>(lookup(small_load(kIq4k[0]), index)); }

}  // namespace IQK_NS

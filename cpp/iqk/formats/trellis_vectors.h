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
// Values From + 1 .. From + 4 of each state, plus 126.
template <int From>
IQK_INLINE Bytes trellis_sums(Bytes state) {
  const auto parts = [&](uint32_t power) IQK_LAMBDA { return mul32(state, power) & splat(0x3f); };
  return byte_sums(parts(trellis_power(From + 1)), parts(trellis_power(From + 2)),
                   parts(trellis_power(From + 3)), parts(trellis_power(From + 4)));
}

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
// put(v, sums) for the four vectors; `codes`: 32 words in their order.
template <class Put>
IQK_INLINE void trellis8_sums(Bytes codes, Put put) {
  const Bytes first = load(kCodeDwords);
  const auto two = [&](auto v, Bytes from) IQK_LAMBDA {
    const Bytes state = add32(lookup(codes, from), kTrellisStart);
    put(v, trellis_sums<0>(state));
    put(Constant<decltype(v)::value + 1>{}, trellis_sums<4>(state));
  };
  two(Constant<0>{}, first);
  two(Constant<2>{}, first + splat(4));
}
// The sums as signed codes.
IQK_INLINE Bytes trellis_codes(Bytes sums) { return sums + splat(kSignedBias - 126); }

static constexpr BytePattern kHalfOfLane =
    byte_pattern([](int lane, int y) { return y < 8 ? lane % 2 * 8 + y : 128; });
static constexpr BytePattern kWordsToDwords[2] = {
    byte_pattern([](int, int y) { return y % 4 < 2 ? y / 4 * 2 + y % 4 : 128; }),
    byte_pattern([](int, int y) { return y % 4 < 2 ? 8 + y / 4 * 2 + y % 4 : 128; })};
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
IQK_INLINE Floats<8> trellis_scales(Small index) { return floats_i8<8>(lookup(small_load(kIq4k[0]), index)); }

}  // namespace IQK_NS

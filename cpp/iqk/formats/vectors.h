// Arrangements of codes in vectors, shared by the traits of many formats: what is loaded together, and in
// which order the weights then come. Two 16-byte pieces are always interleaved by their halves, so that all
// vectors of an accumulator have the same scale in the same dword. Lanes 0 and 1 belong to the unit's first
// half where scales are per 16: registers of 256 bits then need only eight of the sixteen.
#pragma once

#include "iqk/kernels/trait.h"

namespace IQK_NS {

struct BytePattern {
  alignas(64) uint8_t at[64];
  constexpr operator const uint8_t*() const { return at; }
};
// Byte y of lane L is f(L, y).
template <class F>
static constexpr BytePattern byte_pattern(F f) {
  BytePattern t{};
  for (int i = 0; i < 64; ++i) t.at[i] = static_cast<uint8_t>(f(i / 16, i % 16));
  return t;
}

IQK_INLINE Small upper_half(Small x) {
  return shuffle<8, 9, 10, 11, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1>(x);
}

struct TwoVectors {
  Bytes lo, hi;
};
IQK_INLINE TwoVectors merge(Bytes x, Bytes y) { return {zip_lo64(x, y), zip_hi64(x, y)}; }

// The four vectors of merged nibbles: low and high nibbles of lo, then of hi.
template <class Put>
IQK_INLINE void put_nibbles(TwoVectors m, Put put) {
  const Bytes mask = splat(15);
  put(Constant<0>{}, m.lo & mask);
  put(Constant<1>{}, shr16<4>(m.lo) & mask);
  put(Constant<2>{}, m.hi & mask);
  put(Constant<3>{}, shr16<4>(m.hi) & mask);
}
// The same through a table of 16 entries.
template <class Put>
IQK_INLINE void put_nibbles(TwoVectors m, Bytes table, Put put) {
  put(Constant<0>{}, lookup_low(table, m.lo));
  put(Constant<1>{}, lookup_high(table, m.lo));
  put(Constant<2>{}, lookup_low(table, m.hi));
  put(Constant<3>{}, lookup_high(table, m.hi));
}

// Which block of 32 each dword lane belongs to, where a vector has eight bytes of each.
struct BlockLanes {
  static constexpr int at[16] = {0, 0, 4, 4, 1, 1, 5, 5, 2, 2, 6, 6, 3, 3, 7, 7};
};

// Eight blocks of 32 weights, Stride bytes apart, with split nibbles at offset At: one accumulator.
template <int Stride, int At>
struct SplitBlocks : VectorDefaults {
  static constexpr int order(int v, int x) {
    const int block = x / 16 + x % 16 / 8 * 4;
    return 32 * block + 16 * (v % 2) + 8 * (v / 2) + x % 8;
  }
  IQK_INLINE TwoVectors nibbles(In in) {
    return merge(load_lanes(in.block + At, Stride), load_lanes(in.block + At + 4 * Stride, Stride));
  }
  IQK_INLINE Floats<8> scales(In in) { return strided_halves<Stride>(in.block); }
  IQK_INLINE Floats<16> lane_scales(In in) { return strided_half_lanes<BlockLanes, Stride>(in.block); }
};

// The fifth bits of such blocks, 32 bits each at p, p + Stride, ..: bits of weights 8 n .. 8 n + 7 of all
// blocks in at[n], in the order of the vectors.
struct FifthBits {
  uint64_t at[4];
};
template <int Stride>
IQK_INLINE FifthBits load_fifth_bits(const uint8_t* p) {
  const auto four = [](const uint8_t* q) IQK_LAMBDA {
    const auto at = [q](int b) IQK_LAMBDA { return static_cast<uint64_t>(read<uint32_t>(q + b * Stride)); };
    return shuffle<0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15>(
        small_of(at(0) | at(1) << 32, at(2) | at(3) << 32));
  };
  const Small lower = four(p), upper = four(p + 4 * Stride);
  const Small first = zip_lo8(lower, upper), second = zip_lo8(upper_half(lower), upper_half(upper));
  return {{low64(first), low64(upper_half(first)), low64(second), low64(upper_half(second))}};
}

// The codes of such blocks.
template <int Stride, class Put>
IQK_INLINE void put_fifth_bits(const uint8_t* p, TwoVectors m, Put put) {
  const auto low = [&](auto v) IQK_LAMBDA {
    const Bytes x = v < 2 ? m.lo : m.hi;
    return (v % 2 ? shr16<4>(x) : x) & splat(15);
  };
  if constexpr (kTransposesBits) {
    const Bytes high = transposed_block_bits<Stride>(p);
    put(Constant<0>{}, low(Constant<0>{}) | (high & splat(16)));
    put(Constant<1>{}, low(Constant<1>{}) | (shr16<2>(high) & splat(16)));
    put(Constant<2>{}, low(Constant<2>{}) | (shr16<1>(high) & splat(16)));
    put(Constant<3>{}, low(Constant<3>{}) | (shr16<3>(high) & splat(16)));
  } else {
    const FifthBits high = load_fifth_bits<Stride>(p);
    put(Constant<0>{}, low(Constant<0>{}) | expand_bits(high.at[0], 16));
    put(Constant<1>{}, low(Constant<1>{}) | expand_bits(high.at[2], 16));
    put(Constant<2>{}, low(Constant<2>{}) | expand_bits(high.at[1], 16));
    put(Constant<3>{}, low(Constant<3>{}) | expand_bits(high.at[3], 16));
  }
}

// Nibbles of 256 weights in 128 bytes.
IQK_INLINE TwoVectors merge_nibbles(const uint8_t* p) {
  return merge(load_halves(p, p + 64), load_halves(p + 32, p + 96));
}
// Near nibbles: a byte has weights j and j + 16 of the same 32.
struct NearOrder : VectorDefaults {
  static constexpr int order(int v, int x) {
    const int block = x / 32 * 4 + x / 16 % 2 + x % 16 / 8 * 2;
    return 32 * block + 16 * (v % 2) + 8 * (v / 2) + x % 8;
  }
};
// Far nibbles: a byte has weights j and j + 32 of the same 64. Low and high nibbles have different scales.
struct FarOrder : VectorDefaults {
  static constexpr int kAccumulators = 2;
  static constexpr int accumulator(int v) { return v % 2; }
  static constexpr int order(int v, int x) {
    const int n = x / 32 * 2 + x % 16 / 8;
    return 64 * n + 32 * (v % 2) + 16 * (x / 16 % 2) + 8 * (v / 2) + x % 8;
  }
};
// Bit planes beside far nibbles, merged like them. Bits of low and high nibbles lie next to each other.
// One bit per weight (bit b of byte j is weight 32 b + j): bit 0 belongs to the low nibble, bit 1 to the high
// one.
IQK_INLINE TwoVectors merge_single_bits(const uint8_t* p) {
  const Bytes x = load_halves(p, p);
  return merge(shr16_halves<0, 4>(x), shr16_halves<2, 6>(x));
}
// Two bits per weight: bits 0-1 and 2-3.
IQK_INLINE TwoVectors merge_bit_pairs(const uint8_t* p) {
  const Bytes x = load(p);
  return merge(x, shr16<4>(x));
}
// Far nibbles with a fifth bit.
IQK_INLINE Bytes five_bits_low(Bytes nibbles, Bytes bits) {
  return (nibbles & splat(15)) | shl16<4>(bits & splat(1));
}
IQK_INLINE Bytes five_bits_high(Bytes nibbles, Bytes bits) {
  return (shr16<4>(nibbles) & splat(15)) | shl16<3>(bits & splat(2));
}

// Bit pairs: a byte has weights j, j + 32, j + 64, j + 96 of the same 128. Every vector has its own scales.
struct PairOrder : VectorDefaults {
  static constexpr int kAccumulators = 4;
  static constexpr int accumulator(int v) { return v; }
  static constexpr int order(int v, int x) { return 128 * (x / 32) + 32 * v + x % 32; }
};
template <int V>
IQK_INLINE Bytes bit_pair(Bytes x) {
  return (V ? shr16<2 * V>(x) : x) & splat(3);
}
// The four vectors. Two codes of a nibble are looked up where shuffles cost less than shifts.
static constexpr uint8_t kPairCodes[2][16] = {{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3},
                                              {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}};
template <class Put>
IQK_INLINE void look_up_pairs(Bytes x, const uint8_t (&levels)[2][16], Put put) {
  const Bytes lower = load_broadcast(levels[0]), upper = load_broadcast(levels[1]);
  put(Constant<0>{}, lookup_low(lower, x));
  put(Constant<1>{}, lookup_low(upper, x));
  put(Constant<2>{}, lookup_high(lower, x));
  put(Constant<3>{}, lookup_high(upper, x));
}
template <class Put>
IQK_INLINE void put_bit_pairs(Bytes x, Put put) {
  if constexpr (kLooksUpPairs)
    look_up_pairs(x, kPairCodes, put);
  else
    unroll<4>([&](auto v) IQK_LAMBDA { put(v, bit_pair<decltype(v)::value>(x)); });
}
// With third bits, those of the vectors in bits 0 .. 3 of `plane`: levels by bits 0 and 1 with 2, or with 3.
template <class Put>
IQK_INLINE void put_three_bits(Bytes x, Bytes plane, const uint8_t (&levels)[2][16], Put put) {
  const Bytes first = shl16<2>(plane) & splat(12), last = plane & splat(12);
  unroll<4>([&](auto v) IQK_LAMBDA {
    constexpr int V = decltype(v)::value;
    put(v, lookup(load_broadcast(levels[V % 2]), bit_pair<V>(x) | (V < 2 ? first : last)));
  });
}
IQK_INLINE Bytes load_third_bits(const uint8_t* p) { return shr16_halves<0, 4>(load_halves(p, p)); }

// Groups of eight weights: group v of each 32.
struct GroupOrder : VectorDefaults {
  static constexpr int kStreams = 1;
  static constexpr int order(int v, int x) { return 32 * (x / 8) + 8 * v + x % 8; }
};
// The same with a scale per 16.
struct GroupOrder16 : GroupOrder {
  static constexpr int kScales = 16, kAccumulators = 2;
  static constexpr int accumulator(int v) { return v / 2; }
};

// Ternary digits of bytes that are fractions of 256, see ternary_digit in planes.h; `power`: 3^n in each
// byte.
IQK_INLINE Bytes ternary_digits(Bytes x, Bytes power) {
  const Bytes low = splat16(0xff), three = splat16(3);
  const Bytes even = mul16(mul16(x & low, power & low) & low, three);
  const Bytes odd = mul16(shr16<8>(mul16(x & splat16(0xff00), shr16<8>(power))), three);
  return shr16<8>(even) | (odd & splat16(0x300));
}
// 64 weights to a vector.
struct NaturalOrder : VectorDefaults {
  static constexpr int kAccumulators = 4, kStreams = 1;
  static constexpr int accumulator(int v) { return v; }
  static constexpr int order(int v, int x) { return 64 * v + x; }
};

// Codes of eight or sixteen rows side by side, see kernels/gemv_rows.h. Two quads of eight rows to a vector,
// in order.
struct LineOrder : NaturalOrder {
  static constexpr bool kLines = true;
  static constexpr int quad(int n, int half) { return 2 * n + half; }
};
// The nibbles of a sub-block in 128 bytes: two quads in the low ones, then two in the high ones, and so on.
template <class F>
IQK_INLINE void each_nibble_line(const uint8_t* p, F put) {
  const Bytes x = load(p), y = load(p + 64), mask = splat(15);
  put(Constant<0>{}, x & mask);
  put(Constant<1>{}, shr16<4>(x) & mask);
  put(Constant<2>{}, y & mask);
  put(Constant<3>{}, shr16<4>(y) & mask);
}

// ---- Scales ----------------------------------------------------------------------------------------------

// The bytes of a lane that all have, as dwords.
static constexpr BytePattern kByteOfDword =
    byte_pattern([](int lane, int y) { return y % 4 ? 128 : 4 * lane + y / 4; });
// Nibbles of 8 bytes in the order low, high, low, ..
IQK_INLINE Small nibbles_in_turn(Small x) { return zip_lo8(x, shr16<4>(x)) & small_splat(15); }
// The lowest bits of eight bytes as the low eight bits of the result; `at`: which bit.
IQK_INLINE uint32_t bit_of_bytes(uint64_t x, int at) {
  return static_cast<uint32_t>((x >> at & 0x0101010101010101) * 0x0102040810204080 >> 56);
}
// Entries of a table for N nibbles, the lower one of a byte first.
struct NibbleTable {
  alignas(16) int8_t at[16];
};
template <class F>
static constexpr NibbleTable nibble_table(F f) {
  NibbleTable t{};
  for (int i = 0; i < 16; ++i) t.at[i] = static_cast<int8_t>(f(i));
  return t;
}
template <int Less>
static constexpr NibbleTable kNibbleLess = nibble_table([](int i) { return i - Less; });
static constexpr BytePattern kNibbleOfDword =
    byte_pattern([](int lane, int y) { return y % 4 ? 0 : 16 * (lane % 2) + y; });
template <int N>
IQK_INLINE Floats<N> nibble_floats(const NibbleTable& table, const uint8_t* p) {
  if constexpr (!kWholeFloats)
    return floats_i8<N>(
        lookup(small_load(table.at), nibbles_in_turn(N == 8 ? small_load4(p) : small_load8(p))));
  else if constexpr (N == 8)
    return lower(look_up_floats(table.at, shr32(splat32(read<uint32_t>(p)), load(kNibbleOfDword))));
  else
    return look_up_floats(table.at, shr32(load_dword_halves(p, p + 4), load(kNibbleOfDword)));
}

// 16 numbers of six bits as dwords, out of 16 bytes: which byte, and from which bit on, has the low four bits
// and which the high two.
struct SixBitPlace {
  int low_byte, low_bit, high_byte, high_bit;
};
struct SixBits {
  BytePattern bytes, low, high;  // the two bytes as a word, and the shifts that bring the bits to 0 and to 4
};
template <class F>
static constexpr SixBits six_bits(F f) {
  SixBits t{};
  for (int i = 0; i < 16; ++i) {
    const SixBitPlace place = f(i);
    const int bytes[4] = {place.low_byte, place.high_byte, 128, 128};
    for (int y = 0; y < 4; ++y) t.bytes.at[4 * i + y] = static_cast<uint8_t>(bytes[y]);
    t.low.at[4 * i] = static_cast<uint8_t>(place.low_bit);
    t.high.at[4 * i] = static_cast<uint8_t>(8 + place.high_bit - 4);
  }
  return t;
}
IQK_INLINE Bytes six_bit_dwords(const uint8_t* p, const SixBits& at) {
  const Bytes x = lookup(load_broadcast(p), load(at.bytes));
  return (shr32(x, load(at.low)) & splat32(15)) | (shr32(x, load(at.high)) & splat32(0x30));
}
IQK_INLINE Floats<16> six_bit_floats(const uint8_t* p, const SixBits& at) {
  return floats_i32(add32(six_bit_dwords(p, at), 0u - 32));
}
// The scales of the IQK types in their blocks: two high bits each from byte 4 on, then low nibbles; minus 32.
static constexpr SixBits kIqkScales =
    six_bits([](int i) { return SixBitPlace{8 + i / 2, i % 2 * 4, 4 + i / 4, i % 4 * 2}; });
IQK_INLINE Floats<16> six_bit_scales16(const uint8_t* block) {
  if constexpr (kWholeFloats) return six_bit_floats(block, kIqkScales);
  const Small h = shr32<0, 2, 4, 6>(small_splat32(read<uint32_t>(block + 4))) & small_splat(3);
  const Small l = nibbles_in_turn(small_load8(block + 8));
  return floats_i8<16>((l | shl16<4>(shuffle<0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15>(h))) -
                       small_splat(32));
}
// The scales and minima of Q4_K and Q5_K, eight each, behind their factors: the first four of each in A and
// M, the others in C and the upper bits of A and M.
static constexpr SixBits kSixBitPairs = six_bits([](int i) {
  const int minimum = i / 8, byte = 4 + 4 * minimum + i % 4;
  return i % 8 < 4 ? SixBitPlace{byte, 0, byte, 4} : SixBitPlace{12 + i % 4, 4 * minimum, byte, 6};
});
IQK_INLINE Floats<16> six_bit_scales_less_minima(const uint8_t* block) {
  return floats_i32(six_bit_dwords(block, kSixBitPairs)) * splat_half_and_minus<2>(block);
}
// The scales (bytes 0-7) and minima (bytes 8-15) of the same.
IQK_INLINE Small six_bit_scales_and_minima(const uint8_t* p) {
  const Small x = small_load(p);  // A, M, C: four bytes each
  const Small c =
      shr32<0, 4, 0, 4>(shuffle<8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11>(x)) & small_splat(15);
  return zip_lo32(x & small_splat(63), c | (shr16<2>(x) & small_splat(0x30)));
}

}  // namespace IQK_NS

// The vocabulary in portable C++: the definition of every operation. An instruction set's header offers the
// same names with the same results; tests compare each of them with this one. Not a fast path: the scalar
// tier uses plain decoders.
//
// The virtual vector has 64 bytes: four lanes of 16 bytes, 16 dwords. Shuffles stay inside a lane unless they
// say so.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "iqk/base/half.h"
#include "iqk/base/inline.h"
#include "iqk/base/unroll.h"

namespace IQK_NS {

// ---- Constants -------------------------------------------------------------------------------------------

constexpr int kSignedBias =
    0;  // added to signed codes to make them operands of Acc: 128 where it takes unsigned
constexpr bool kIntegerStarts = false;
constexpr int kRowsAtOnce = 1;
constexpr int kFusedColumns = 4;
constexpr bool kMerges = false;  // moving codes and scales costs less than one more vector of sums
constexpr bool kMultipliesParts = false;
constexpr bool kWholeFloats = false;  // Floats<16> is one register
constexpr bool kLooksUpPairs = false;
constexpr int kLookupStreams = 1;
constexpr bool kPadColumn = false;
constexpr int kPanelVectors = 1;  // vectors of 16 rows in a panel tile
constexpr int kPanelColumns =
    4;  // columns of a full panel tile (at most; signed and float tiles have their own)
constexpr int kSignedColumns = 4;
constexpr int kFloatVectors = 1;
constexpr int kFloatColumns = 4;
// The largest codes for which PanelAcc, and Acc with four vectors at most, are compiled: a format takes the
// first that holds its own, signed codes take the last, 0. Fewer where the products do not depend on them.
constexpr int kPanelCodes[] = {127, 0};
constexpr int kRowCodes[] = {127, 0};

// ---- Bytes: 64 bytes -------------------------------------------------------------------------------------

struct Bytes {
  uint8_t at[64];
};

template <class F>
IQK_INLINE Bytes each_byte(F f) {
  Bytes r;
  for (int i = 0; i < 64; ++i) r.at[i] = static_cast<uint8_t>(f(i));
  return r;
}
// A loaded vector that several products take: to be kept in a register, not loaded again by each.
IQK_INLINE Bytes held(Bytes x) { return x; }
IQK_INLINE Bytes load(const void* p) {
  Bytes r;
  std::memcpy(r.at, p, 64);
  return r;
}
IQK_INLINE void store(void* p, Bytes x) { std::memcpy(p, x.at, 64); }
// Lanes 0 and 1 to p, 2 and 3 to q.
IQK_INLINE void store_halves(uint8_t* p, uint8_t* q, Bytes x) {
  std::memcpy(p, x.at, 32);
  std::memcpy(q, x.at + 32, 32);
}
// 16 bytes at p, p + stride, p + 2 stride, p + 3 stride.
IQK_INLINE Bytes load_lanes(const uint8_t* p, ptrdiff_t stride) {
  return each_byte([&](int i) { return p[i / 16 * stride + i % 16]; });
}
// 32 bytes at p, 32 bytes at q.
IQK_INLINE Bytes load_halves(const uint8_t* p, const uint8_t* q) {
  return each_byte([&](int i) { return i < 32 ? p[i] : q[i - 32]; });
}
// 16 bytes at p in lanes 0 and 1, 16 bytes at q in lanes 2 and 3.
IQK_INLINE Bytes load_lane_pairs(const uint8_t* p, const uint8_t* q) {
  return each_byte([&](int i) { return i < 32 ? p[i % 16] : q[i % 16]; });
}
// Four bytes at p in all dwords of lanes 0 and 1, four bytes at q in those of lanes 2 and 3.
IQK_INLINE Bytes load_dword_halves(const uint8_t* p, const uint8_t* q) {
  return each_byte([&](int i) { return i < 32 ? p[i % 4] : q[i % 4]; });
}
// The same 16 bytes in all lanes.
IQK_INLINE Bytes load_broadcast(const void* p) {
  return each_byte([&](int i) { return static_cast<const uint8_t*>(p)[i % 16]; });
}
IQK_INLINE Bytes splat(int x) {
  return each_byte([&](int) { return x; });
}
IQK_INLINE Bytes operator&(Bytes x, Bytes y) {
  return each_byte([&](int i) { return x.at[i] & y.at[i]; });
}
IQK_INLINE Bytes operator|(Bytes x, Bytes y) {
  return each_byte([&](int i) { return x.at[i] | y.at[i]; });
}
IQK_INLINE Bytes operator^(Bytes x, Bytes y) {
  return each_byte([&](int i) { return x.at[i] ^ y.at[i]; });
}
IQK_INLINE Bytes operator+(Bytes x, Bytes y) {
  return each_byte([&](int i) { return x.at[i] + y.at[i]; });
}
IQK_INLINE Bytes operator-(Bytes x, Bytes y) {
  return each_byte([&](int i) { return x.at[i] - y.at[i]; });
}
IQK_INLINE uint16_t word(const Bytes& x, int i) {
  return static_cast<uint16_t>(x.at[2 * i] | x.at[2 * i + 1] << 8);
}
IQK_INLINE uint32_t dword(const Bytes& x, int i) {
  return word(x, 2 * i) | static_cast<uint32_t>(word(x, 2 * i + 1)) << 16;
}
template <class F>
IQK_INLINE Bytes each_word(F f) {
  return each_byte([&](int i) { return static_cast<uint16_t>(f(i / 2)) >> (i % 2 * 8); });
}
template <class F>
IQK_INLINE Bytes each_dword(F f) {
  return each_byte([&](int i) { return static_cast<uint32_t>(f(i / 4)) >> (i % 4 * 8); });
}
// Shifts of 16-bit words; `shr16_halves`: by A in lanes 0 and 1, by B in lanes 2 and 3.
template <int N>
IQK_INLINE Bytes shr16(Bytes x) {
  return each_word([&](int i) { return word(x, i) >> N; });
}
template <int N>
IQK_INLINE Bytes shl16(Bytes x) {
  return each_word([&](int i) { return word(x, i) << N; });
}
template <int A, int B>
IQK_INLINE Bytes shr16_halves(Bytes x) {
  return each_word([&](int i) { return word(x, i) >> (i < 16 ? A : B); });
}
// Interleave inside each lane, from the lane's low or high half: bytes, dwords, qwords of x and y in turn.
template <int Size, int From>
IQK_INLINE Bytes zip(Bytes x, Bytes y) {
  return each_byte([&](int i) {
    const int unit = i % 16 / Size, from = i / 16 * 16 + From + unit / 2 * Size + i % Size;
    return unit % 2 ? y.at[from] : x.at[from];
  });
}
IQK_INLINE Bytes zip_lo8(Bytes x, Bytes y) { return zip<1, 0>(x, y); }
IQK_INLINE Bytes zip_hi8(Bytes x, Bytes y) { return zip<1, 8>(x, y); }
IQK_INLINE Bytes zip_lo32(Bytes x, Bytes y) { return zip<4, 0>(x, y); }
IQK_INLINE Bytes zip_hi32(Bytes x, Bytes y) { return zip<4, 8>(x, y); }
IQK_INLINE Bytes zip_lo64(Bytes x, Bytes y) { return zip<8, 0>(x, y); }
IQK_INLINE Bytes zip_hi64(Bytes x, Bytes y) { return zip<8, 8>(x, y); }
// Dwords 0, 2, .. of both by turns, and 1, 3, ..
IQK_INLINE Bytes zip_even32(Bytes x, Bytes y) {
  return each_byte([&](int i) { return (i / 4 % 2 ? y : x).at[i / 8 * 8 + i % 4]; });
}
IQK_INLINE Bytes zip_odd32(Bytes x, Bytes y) {
  return each_byte([&](int i) { return (i / 4 % 2 ? y : x).at[i / 8 * 8 + 4 + i % 4]; });
}
// Byte i of the result is byte index[i] of the same lane of `table`; an index with bit 7 set gives 0 (others:
// 0..15).
IQK_INLINE Bytes lookup(Bytes table, Bytes index) {
  return each_byte([&](int i) { return index.at[i] & 128 ? 0 : table.at[i / 16 * 16 + (index.at[i] & 15)]; });
}
// 16-entry table (the same in all lanes), by the low or the high nibble of each byte.
IQK_INLINE Bytes lookup_low(Bytes table, Bytes x) { return lookup(table, x & splat(15)); }
IQK_INLINE Bytes lookup_high(Bytes table, Bytes x) { return lookup(table, shr16<4>(x) & splat(15)); }
// Tables of 32 and 64 entries in memory, by the low 5 or 6 bits of each byte (the bits above must be 0).
struct Table32 {
  const uint8_t* at;
};
struct Table64 {
  const uint8_t* at;
};
IQK_INLINE Table32 load_table32(const void* p) { return {static_cast<const uint8_t*>(p)}; }
IQK_INLINE Table64 load_table64(const void* p) { return {static_cast<const uint8_t*>(p)}; }
IQK_INLINE Bytes lookup(Table32 t, Bytes x) {
  return each_byte([&](int i) { return t.at[x.at[i]]; });
}
IQK_INLINE Bytes lookup(Table64 t, Bytes x) {
  return each_byte([&](int i) { return t.at[x.at[i]]; });
}
// Signed codes as the operand that Acc takes: kSignedBias added.
IQK_INLINE Bytes signed_codes(Bytes x) { return x; }
// Byte j of the result is `value` where bit j of `bits` is set, else 0.
IQK_INLINE Bytes expand_bits(uint64_t bits, int value) {
  return each_byte([&](int i) { return bits >> i & 1 ? value : 0; });
}
IQK_INLINE Bytes bytes_of(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g,
                          uint64_t h) {
  const uint64_t x[8] = {a, b, c, d, e, f, g, h};
  return load(x);
}
// 0xff where equal, else 0.
IQK_INLINE Bytes equal(Bytes x, Bytes y) {
  return each_byte([&](int i) { return x.at[i] == y.at[i] ? 255 : 0; });
}
// Absolute value of signed bytes (-128 stays).
IQK_INLINE Bytes abs8(Bytes x) {
  return each_byte([&](int i) { return x.at[i] & 128 ? -x.at[i] : x.at[i]; });
}
// Minus the byte where any of its bits in `mask` is set in `bits`; one bit per byte of `mask`.
IQK_INLINE Bytes negate_where(Bytes x, Bytes bits, Bytes mask) {
  return each_byte([&](int i) { return bits.at[i] & mask.at[i] ? -x.at[i] : x.at[i]; });
}
// x + y where the byte of `bits` has none of the bits in `mask`, else x.
IQK_INLINE Bytes add_unless(Bytes x, Bytes bits, Bytes mask, Bytes y) {
  return each_byte([&](int i) { return bits.at[i] & mask.at[i] ? x.at[i] : x.at[i] + y.at[i]; });
}
IQK_INLINE Bytes splat16(int x) {
  return each_word([&](int) { return x; });
}
IQK_INLINE Bytes splat32(uint32_t x) {
  return each_dword([&](int) { return x; });
}
// Low 16 bits of the products of words.
IQK_INLINE Bytes mul16(Bytes x, Bytes y) {
  return each_word([&](int i) { return static_cast<uint32_t>(word(x, i)) * word(y, i); });
}
template <int N>
IQK_INLINE Bytes shl32(Bytes x) {
  return each_dword([&](int i) { return dword(x, i) << N; });
}
IQK_INLINE Bytes shr32(Bytes x, Bytes counts) {
  return each_dword([&](int i) { return dword(x, i) >> dword(counts, i); });
}
// The dwords of each lane shifted right.
template <int A, int B, int C, int D>
IQK_INLINE Bytes shr32(Bytes x) {
  constexpr int kBits[] = {A, B, C, D};
  return each_dword([&](int i) { return dword(x, i) >> kBits[i % 4]; });
}
// Bit 0 of 64 words.
IQK_INLINE uint64_t lowest_word_bits(const uint8_t* p) {
  uint64_t bits = 0;
  for (int i = 0; i < 64; ++i) bits |= static_cast<uint64_t>(p[2 * i] & 1) << i;
  return bits;
}
// Lanes of x and y in turn: 0 and 1, or 2 and 3.
IQK_INLINE Bytes zip_lo128(Bytes x, Bytes y) {
  return each_byte([&](int i) { return (i / 16 % 2 ? y : x).at[i / 32 * 16 + i % 16]; });
}
IQK_INLINE Bytes zip_hi128(Bytes x, Bytes y) {
  return each_byte([&](int i) { return (i / 16 % 2 ? y : x).at[32 + i / 32 * 16 + i % 16]; });
}
// Lanes 0, 2 (or 1, 3) of x, then of y.
IQK_INLINE Bytes even_lanes(Bytes x, Bytes y) {
  return each_byte([&](int i) { return (i < 32 ? x : y).at[i / 16 % 2 * 32 + i % 16]; });
}
IQK_INLINE Bytes odd_lanes(Bytes x, Bytes y) {
  return each_byte([&](int i) { return (i < 32 ? x : y).at[i / 16 % 2 * 32 + 16 + i % 16]; });
}
IQK_INLINE Bytes mul32(Bytes x, uint32_t factor) {
  return each_dword([&](int i) { return dword(x, i) * factor; });
}
IQK_INLINE Bytes add32(Bytes x, uint32_t term) {
  return each_dword([&](int i) { return dword(x, i) + term; });
}
IQK_INLINE Bytes add32(Bytes x, Bytes y) {
  return each_dword([&](int i) { return dword(x, i) + dword(y, i); });
}
// Byte n of each dword is the sum of the four bytes of that dword of the n-th argument (bytes of at most 63).
IQK_INLINE Bytes byte_sums(Bytes a, Bytes b, Bytes c, Bytes d) {
  const auto sum = [](const Bytes& x, int i) {
    return static_cast<uint32_t>(x.at[4 * i] + x.at[4 * i + 1] + x.at[4 * i + 2] + x.at[4 * i + 3]);
  };
  return each_dword([&](int i) { return sum(a, i) | sum(b, i) << 8 | sum(c, i) << 16 | sum(d, i) << 24; });
}
// Dword j of lane i becomes dword i of lane j.
IQK_INLINE Bytes transpose_lanes32(Bytes x) {
  return each_dword([&](int i) { return dword(x, i % 4 * 4 + i / 4); });
}

// ---- Small: 16 bytes, for scales -------------------------------------------------------------------------

struct Small {
  uint8_t at[16];
};
template <class F>
IQK_INLINE Small each_small(F f) {
  Small r;
  for (int i = 0; i < 16; ++i) r.at[i] = static_cast<uint8_t>(f(i));
  return r;
}
IQK_INLINE Small small_load(const void* p) {
  Small r;
  std::memcpy(r.at, p, 16);
  return r;
}
// 8 or 4 bytes, zeros above.
IQK_INLINE Small small_load8(const void* p) {
  Small r{};
  std::memcpy(r.at, p, 8);
  return r;
}
IQK_INLINE Small small_load4(const void* p) {
  Small r{};
  std::memcpy(r.at, p, 4);
  return r;
}
// Lane K of a vector.
template <int K>
IQK_INLINE Small lane(Bytes x) {
  return small_load(x.at + 16 * K);
}
IQK_INLINE void small_store(void* p, Small x) { std::memcpy(p, x.at, 16); }
IQK_INLINE Small small_splat(int x) {
  return each_small([&](int) { return x; });
}
IQK_INLINE Small small_splat32(uint32_t x) {
  return each_small([&](int i) { return x >> (i % 4 * 8); });
}
IQK_INLINE Small small_of(uint64_t low, uint64_t high) {
  return each_small([&](int i) { return (i < 8 ? low : high) >> (i % 8 * 8); });
}
IQK_INLINE uint64_t low64(Small x) {
  uint64_t r;
  std::memcpy(&r, x.at, 8);
  return r;
}
IQK_INLINE Small operator&(Small x, Small y) {
  return each_small([&](int i) { return x.at[i] & y.at[i]; });
}
IQK_INLINE Small operator|(Small x, Small y) {
  return each_small([&](int i) { return x.at[i] | y.at[i]; });
}
IQK_INLINE Small operator^(Small x, Small y) {
  return each_small([&](int i) { return x.at[i] ^ y.at[i]; });
}
IQK_INLINE Small operator+(Small x, Small y) {
  return each_small([&](int i) { return x.at[i] + y.at[i]; });
}
IQK_INLINE Small operator-(Small x, Small y) {
  return each_small([&](int i) { return x.at[i] - y.at[i]; });
}
template <int N>
IQK_INLINE Small shr16(Small x) {
  return each_small([&](int i) { return (x.at[i & ~1] | x.at[i | 1] << 8) >> N >> (i % 2 * 8); });
}
template <int N>
IQK_INLINE Small shl16(Small x) {
  return each_small([&](int i) { return (x.at[i & ~1] | x.at[i | 1] << 8) << N >> (i % 2 * 8); });
}
// Each dword by its own count.
template <int A, int B, int C, int D>
IQK_INLINE Small shr32(Small x) {
  constexpr int count[4] = {A, B, C, D};
  return each_small([&](int i) {
    uint32_t d;
    std::memcpy(&d, x.at + i / 4 * 4, 4);
    return d >> count[i / 4] >> (i % 4 * 8);
  });
}
IQK_INLINE Small zip_lo8(Small x, Small y) {
  return each_small([&](int i) { return i % 2 ? y.at[i / 2] : x.at[i / 2]; });
}
IQK_INLINE Small zip_lo32(Small x, Small y) {
  return each_small([&](int i) { return i / 4 % 2 ? y.at[i / 8 * 4 + i % 4] : x.at[i / 8 * 4 + i % 4]; });
}
IQK_INLINE Small zip_lo64(Small x, Small y) {
  return each_small([&](int i) { return i < 8 ? x.at[i] : y.at[i - 8]; });
}
// Byte i is byte I_i of x; -1 gives 0.
template <int... I>
IQK_INLINE Small shuffle(Small x) {
  static_assert(sizeof...(I) == 16, "16 byte numbers");
  constexpr int from[16] = {I...};
  return each_small([&](int i) { return from[i] < 0 ? 0 : x.at[from[i]]; });
}
IQK_INLINE Small lookup(Small table, Small index) {
  return each_small([&](int i) { return index.at[i] & 128 ? 0 : table.at[index.at[i] & 15]; });
}

// ---- Floats<N>: 8 or 16 float32 --------------------------------------------------------------------------

template <int N>
struct Floats {
  float at[N];
};
template <int N, class F>
IQK_INLINE Floats<N> each_float(F f) {
  Floats<N> r;
  for (int i = 0; i < N; ++i) r.at[i] = f(i);
  return r;
}
template <int N>
IQK_INLINE Floats<N> fsplat(float x) {
  return each_float<N>([&](int) { return x; });
}
template <int N>
IQK_INLINE Floats<N> fload(const float* p) {
  return each_float<N>([&](int i) { return p[i]; });
}
template <int N>
IQK_INLINE void fstore(float* p, Floats<N> x) {
  for (int i = 0; i < N; ++i) p[i] = x.at[i];
}
// *p in the first four elements, *q in the others; the first four to p, the others to q.
IQK_INLINE Floats<8> fsplat_two(const float* p, const float* q) {
  return each_float<8>([&](int i) { return i < 4 ? *p : *q; });
}
IQK_INLINE void fstore_two(float* p, float* q, Floats<8> x) {
  std::memcpy(p, x.at, 16);
  std::memcpy(q, x.at + 4, 16);
}
template <int N>
IQK_INLINE Floats<N> operator*(Floats<N> x, Floats<N> y) {
  return each_float<N>([&](int i) { return x.at[i] * y.at[i]; });
}
template <int N>
IQK_INLINE Floats<N> operator+(Floats<N> x, Floats<N> y) {
  return each_float<N>([&](int i) { return x.at[i] + y.at[i]; });
}
// x * y + z with one rounding.
template <int N>
IQK_INLINE Floats<N> fma(Floats<N> x, Floats<N> y, Floats<N> z) {
  return each_float<N>([&](int i) { return std::fma(x.at[i], y.at[i], z.at[i]); });
}
// x + y where bit i of `bits` is set, else x.
template <int N>
IQK_INLINE Floats<N> add_where(Floats<N> x, uint32_t bits, Floats<N> y) {
  return each_float<N>([&](int i) { return bits >> i & 1 ? x.at[i] + y.at[i] : x.at[i]; });
}
// x * y + z where the bit is set, else z.
template <int N>
IQK_INLINE Floats<N> fma_where(Floats<N> x, Floats<N> y, Floats<N> z, uint32_t bits) {
  const Floats<N> sum = fma(x, y, z);
  return each_float<N>([&](int i) { return bits >> i & 1 ? sum.at[i] : z.at[i]; });
}
template <int N>
IQK_INLINE float sum(Floats<N> x) {
  float s[16];
  for (int i = 0; i < N; ++i) s[i] = x.at[i];
  for (int n = N / 2; n; n /= 2)
    for (int i = 0; i < n; ++i) s[i] += s[i + n];
  return s[0];
}
// The sum of each.
template <int C>
IQK_INLINE void store_sums(const Floats<16> (&x)[C], float* to) {
  for (int c = 0; c < C; ++c) to[c] = sum(x[c]);
}
// y is added to the first N.
template <int N>
IQK_INLINE Floats<16> add_lowest(Floats<16> x, Floats<N> y) {
  return each_float<16>([&](int i) { return i < N ? x.at[i] + y.at[i] : x.at[i]; });
}
// Dword lane i takes element Map::at[i].
template <class Map, int N>
IQK_INLINE Floats<16> spread(Floats<N> x) {
  return each_float<16>([&](int i) { return x.at[Map::at[i]]; });
}
// Signed or unsigned bytes to floats: the low N bytes.
template <int N>
IQK_INLINE Floats<N> floats_i8(Small x) {
  return each_float<N>([&](int i) { return static_cast<float>(static_cast<int8_t>(x.at[i])); });
}
// Entries of a table of 64 floats, by the first eight bytes.
IQK_INLINE Floats<8> look_up_floats(const float* table, Small codes) {
  return each_float<8>([&](int i) { return table[codes.at[i]]; });
}
template <int N>
IQK_INLINE Floats<N> floats_u8(Small x) {
  return each_float<N>([&](int i) { return static_cast<float>(x.at[i]); });
}
// The fp16 at p in all elements. Six bytes behind it may be read, or, of the last one, in front of it.
template <int N>
IQK_INLINE Floats<N> splat_half(const uint8_t* p) {
  uint16_t h;
  std::memcpy(&h, p, 2);
  return fsplat<N>(fp16_to_fp32(h));
}
template <int N>
IQK_INLINE Floats<N> splat_last_half(const uint8_t* p) {
  return splat_half<N>(p);
}
// The fp16 at p in the lower half, less the one at p + Apart in the upper one. 16 bytes may be read.
template <int Apart>
IQK_INLINE Floats<16> splat_half_and_minus(const uint8_t* p) {
  uint16_t h, minus;
  std::memcpy(&h, p, 2);
  std::memcpy(&minus, p + Apart, 2);
  return each_float<16>([&](int i) { return i < 8 ? fp16_to_fp32(h) : -fp16_to_fp32(minus); });
}
// Eight fp16 at p, p + Stride, ..
template <int Stride>
IQK_INLINE Floats<8> strided_halves(const uint8_t* p) {
  return each_float<8>([&](int i) {
    uint16_t h;
    std::memcpy(&h, p + i * Stride, 2);
    return fp16_to_fp32(h);
  });
}
// The same by lanes, as `spread` has them.
template <class Map, int Stride>
IQK_INLINE Floats<16> strided_half_lanes(const uint8_t* p) {
  return spread<Map>(strided_halves<Stride>(p));
}
// All eight, then the eight behind each.
template <int Stride>
IQK_INLINE Floats<16> strided_half_pairs(const uint8_t* p) {
  const Floats<8> first = strided_halves<Stride>(p), second = strided_halves<Stride>(p + 2);
  return each_float<16>([&](int i) { return i < 8 ? first.at[i] : second.at[i - 8]; });
}
IQK_INLINE Floats<8> lower(Floats<16> x) {
  return each_float<8>([&](int i) { return x.at[i]; });
}
IQK_INLINE Floats<8> upper(Floats<16> x) {
  return each_float<8>([&](int i) { return x.at[8 + i]; });
}
// Two to the (byte - 128), for the bytes at p, p + Stride, ..: the scale of MXFP4. The byte behind the last
// may be read.
template <int Stride>
IQK_INLINE Floats<8> strided_powers(const uint8_t* p) {
  return each_float<8>([&](int i) { return std::ldexp(1.0f, p[i * Stride] - 128); });
}
// 16 stored floats.
IQK_INLINE Floats<16> load_f32(const void* p) {
  Floats<16> r;
  std::memcpy(r.at, p, 64);
  return r;
}
IQK_INLINE Floats<16> load_f16(const void* p) {
  uint16_t h[16];
  std::memcpy(h, p, 32);
  return each_float<16>([&](int i) { return fp16_to_fp32(h[i]); });
}
// Eight halves of each.
IQK_INLINE Floats<16> floats_f16(Small x, Small y) {
  uint8_t both[32];
  small_store(both, x);
  small_store(both + 16, y);
  return load_f16(both);
}
IQK_INLINE Floats<16> load_bf16(const void* p) {
  uint16_t h[16];
  std::memcpy(h, p, 32);
  return each_float<16>([&](int i) { return bf16_to_fp32(h[i]); });
}

// ---- Products --------------------------------------------------------------------------------------------

struct Ints {
  int32_t at[16];
};
IQK_INLINE Floats<16> to_float(Ints x) {
  return each_float<16>([&](int i) { return static_cast<float>(x.at[i]); });
}
IQK_INLINE Floats<16> floats_i32(Bytes dwords) {
  return each_float<16>([&](int i) { return static_cast<float>(static_cast<int32_t>(dword(dwords, i))); });
}
// Entries of a table of 16, by the low four bits of each dword.
IQK_INLINE Floats<16> look_up_floats(const int8_t* table, Bytes dwords) {
  return each_float<16>([&](int i) { return static_cast<float>(table[dword(dwords, i) & 15]); });
}
// The bits, taken for floats.
IQK_INLINE Floats<16> as_floats(Ints x) {
  Floats<16> y;
  std::memcpy(y.at, x.at, sizeof x.at);
  return y;
}
// The lower eight plus the upper eight.
IQK_INLINE Floats<8> folded_to_float(Ints x) {
  return each_float<8>([&](int i) { return static_cast<float>(x.at[i] + x.at[i + 8]); });
}

// Sums of four products per dword: unsigned codes of at most Max, or signed codes (Max = 0; see
// signed_codes), times signed activations of -127..127. `add<n>` is the n-th addition since `start`: how many
// sums fit 16 bits is known at compile time.
template <int Max>
struct Acc {
  Ints sum;
  IQK_MEMBER void start() { sum = Ints{}; }
  IQK_MEMBER void start(const uint8_t* first) { std::memcpy(sum.at, first, sizeof sum.at); }
  template <int N>
  IQK_MEMBER void add(Bytes codes, Bytes activations) {
    for (int i = 0; i < 64; ++i) {
      const int c = Max ? codes.at[i] : static_cast<int8_t>(codes.at[i]);
      sum.at[i / 4] += c * static_cast<int8_t>(activations.at[i]);
    }
  }
  IQK_MEMBER Ints finish() const { return sum; }
};

// The same with four activations for all dwords (16 rows of a panel line), on top of the int32 at `first`.
// `prepare` is done once per line, `four` once per four activations.
template <int Max>
struct PanelAcc {
  using Line = Bytes;
  Acc<Max> acc;
  IQK_INLINE Line prepare(const uint8_t* line) { return load(line); }
  IQK_MEMBER void start(const uint8_t* first) {
    int32_t x;
    std::memcpy(&x, first, 4);
    for (int32_t& sum : acc.sum.at) sum = x;
  }
  IQK_INLINE const uint8_t* four(const uint8_t* activations) { return activations; }
  template <int N>
  IQK_MEMBER void add(const Line& line, const uint8_t* activations) {
    acc.template add<N>(line, each_byte([&](int i) { return activations[i % 4]; }));
  }
  IQK_MEMBER Ints finish() const { return acc.finish(); }
};

// 16 rows of 64 bytes (16 dwords), `stride` bytes apart, become 16 lines: dword d of row r goes to dword r of
// the line at `to + at[d] * line_stride`.
IQK_INLINE void transpose16(const uint8_t* rows, ptrdiff_t stride, uint8_t* to, const uint8_t* at,
                            ptrdiff_t line_stride) {
  for (int r = 0; r < 16; ++r)
    for (int d = 0; d < 16; ++d) std::memcpy(to + at[d] * line_stride + 4 * r, rows + r * stride + 4 * d, 4);
}

// ---- Codebooks -------------------------------------------------------------------------------------------

// Eight table entries of 8 bytes: entry at(Constant<c>) in bytes 8c .. 8c + 7.
template <class Index>
IQK_INLINE Bytes grid8(const uint64_t* grid, Index at) {
  uint64_t x[8];
  for (int c = 0; c < 8; ++c) x[c] = 0;
  unroll<8>([&](auto c) { x[c] = grid[at(c)]; });
  return load(x);
}
// Sixteen entries of 4 bytes.
template <class Index>
IQK_INLINE Bytes grid4(const uint32_t* grid, Index at) {
  uint32_t x[16];
  unroll<16>([&](auto c) { x[c] = grid[at(c)]; });
  return load(x);
}
// 256 sign bits: byte V of dword c holds the signs of bytes 8c .. 8c + 7 of vector V.
struct Signs {
  uint8_t at[32];
};
// As stored.
IQK_INLINE Signs load_signs(const uint8_t* p) {
  Signs r;
  std::memcpy(r.at, p, 32);
  return r;
}
// 7-bit fields with bit 7 = parity. `fields`: four fields in the low 28 bits of a dword, eight dwords Stride
// apart.
IQK_INLINE uint8_t with_parity(int field) {
  int p = field ^ field >> 4;
  p ^= p >> 2;
  p ^= p >> 1;
  return static_cast<uint8_t>(field | (p & 1) << 7);
}
template <int Stride>
IQK_INLINE Signs load_sign_fields(const uint8_t* p) {
  Signs r;
  for (int c = 0; c < 8; ++c) {
    uint32_t x;
    std::memcpy(&x, p + c * Stride, 4);
    for (int v = 0; v < 4; ++v) r.at[4 * c + v] = with_parity(static_cast<int>(x >> (7 * v) & 127));
  }
  return r;
}
// The upper 7 bits of 32 words.
IQK_INLINE Signs load_sign_words(const uint8_t* p) {
  Signs r;
  for (int i = 0; i < 32; ++i) r.at[i] = with_parity(p[2 * i + 1] >> 1);
  return r;
}
// The upper four bits of eight dwords Stride apart.
template <int Stride>
IQK_INLINE Floats<8> top_nibbles(const uint8_t* p) {
  return each_float<8>([&](int i) { return static_cast<float>(p[Stride * i + 3] >> 4); });
}
// Codes of vector V: twice - x where the sign bit is set (twice = 2 * offset), else x.
template <int V>
IQK_INLINE Bytes flip_signs(Bytes x, const Signs& signs, int twice) {
  return each_byte([&](int i) { return signs.at[i / 8 * 4 + V] >> (i % 8) & 1 ? twice - x.at[i] : x.at[i]; });
}

}  // namespace IQK_NS

#include "iqk/isa/grids.h"

// Tiles in portable C++: the definition of their operations, as generic.h has the others.
//
// Eight tiles of 16 rows of 64 bytes: weights as 32 numbers of a row, activations as pairs, one of each of 16
// columns, sums as floats of 16 columns.
#pragma once

#include "iqk/isa/generic.h"

namespace IQK_NS {

// The number that widen_codes puts in front of codes.
constexpr float kWidened = 256.0f;

IQK_INLINE uint16_t cut_off(float x) { return static_cast<uint16_t>(float_bits(x) >> 16); }
IQK_INLINE uint16_t to_bfloat(float x) {
  const uint32_t bits = float_bits(x);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
IQK_INLINE float from_bfloat(uint16_t x) { return bits_float(static_cast<uint32_t>(x) << 16); }

// Code b of dword i becomes (kWidened + code) * scale[i] + base[i], cut off: codes 0 and 1 of all dwords go
// to 64 bytes, 2 and 3 to others.
IQK_INLINE void widen_codes(Bytes codes, Floats<16> scale, Floats<16> base, void* to, void* next) {
  uint16_t y[64];
  for (int i = 0; i < 64; ++i) {
    const float x = kWidened + static_cast<float>(codes.at[i]);
    y[i / 4 * 2 + i % 4 / 2 * 32 + i % 2] = cut_off(std::fma(x, scale.at[i / 4], base.at[i / 4]));
  }
  std::memcpy(to, y, 64);
  std::memcpy(next, y + 32, 64);
}
// Float from[i] of x; `from`: dwords.
template <int N>
IQK_INLINE Floats<16> pick(Floats<N> x, Bytes from) {
  return each_float<16>([&](int i) { return x.at[dword(from, i)]; });
}
// Rounded to the nearest, of two the even one.
IQK_INLINE void store_bfloat(void* to, Floats<16> x) {
  uint16_t y[16];
  for (int i = 0; i < 16; ++i) y[i] = to_bfloat(x.at[i]);
  std::memcpy(to, y, sizeof y);
}

struct Tiles {
  uint8_t at[8][16][64];
};
IQK_INLINE Tiles& tiles() {
  thread_local Tiles all;
  return all;
}
// Tiles become zero.
IQK_INLINE void begin_tiles() { tiles() = {}; }
IQK_INLINE void end_tiles() { tiles() = {}; }
template <int Tile>
IQK_INLINE void clear_tile() {
  std::memset(tiles().at[Tile], 0, sizeof tiles().at[Tile]);
}
template <int Tile>
IQK_INLINE void load_tile(const void* p, ptrdiff_t stride) {
  for (int r = 0; r < 16; ++r)
    std::memcpy(tiles().at[Tile][r], static_cast<const uint8_t*>(p) + r * stride, 64);
}
template <int Tile>
IQK_INLINE void store_tile(void* p, ptrdiff_t stride) {
  for (int r = 0; r < 16; ++r) std::memcpy(static_cast<uint8_t*>(p) + r * stride, tiles().at[Tile][r], 64);
}
// Adds Weights times X. In which order and how rounded is not defined.
template <int Sums, int Weights, int X>
IQK_INLINE void add_tile_products() {
  for (int r = 0; r < 16; ++r) {
    float sums[16];
    uint16_t weights[32];
    std::memcpy(sums, tiles().at[Sums][r], 64);
    std::memcpy(weights, tiles().at[Weights][r], 64);
    for (int k = 0; k < 32; ++k) {
      uint16_t x[32];
      std::memcpy(x, tiles().at[X][k / 2], 64);
      for (int i = 0; i < 16; ++i) sums[i] += from_bfloat(weights[k]) * from_bfloat(x[2 * i + k % 2]);
    }
    std::memcpy(tiles().at[Sums][r], sums, 64);
  }
}
static constexpr char kTileInstruction[] = "none";

}  // namespace IQK_NS

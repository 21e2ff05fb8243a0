// Codebooks of the weight formats: plain constants without initialisers, one copy for all instruction sets.
//
// Data of the MIT-licensed ggml, llama.cpp and ik_llama.cpp projects, see LICENSE-codebooks.
#pragma once

#include <cstdint>

namespace iqk {

// Grids: entry n is a group of 8 (iq3: 4) weights, lane j in byte j. Magnitudes have a bias added, so that
// bias +- magnitude is an unsigned byte; the ternary values -1, 0, 1 are stored as 0, 1, 2.
constexpr int kIq2Bias = 64, kIq3xxsBias = 64, kIq3sBias = 16, kIq1sBias = 1;
// Bit planes of the digits, two bytes per entry: all first bytes, then all second ones, see plane_byte.
alignas(64) extern const uint8_t kIq2xxsPlanes[512], kIq2xsPlanes[1024], kIq2sPlanes[2048];
alignas(64) extern const uint8_t kIq3xxsPlanes[512], kIq3sPlanes[1024];
// Biased levels with signs, by six bits of an index, see level8 and level4.
alignas(64) extern const uint8_t kIq2Signed[256], kIq3xxsSigned[128], kIq3sSigned[128];
alignas(64) extern const uint64_t kIq2xxsGrid[256];  // magnitudes 8, 25, 43
alignas(64) extern const uint64_t kIq2xsGrid[512];
alignas(64) extern const uint64_t kIq2sGrid[1024];
alignas(64) extern const uint32_t kIq3xxsGrid[256];  // 4, 12, 20, 28, 36, 44, 52, 62
alignas(64) extern const uint32_t kIq3sGrid[512];    // 1, 3, .., 15
alignas(64) extern const uint64_t kIq1sGrid[2048];

// A grid in both forms. Signs turn x to 2 kBias - x.
template <class Entry, int Count, int Bias>
struct Grid {
  static constexpr int kCount = Count, kBias = Bias;
  const Entry* entries;
  const uint8_t* planes;
  const uint8_t* levels;
};
constexpr Grid<uint64_t, 256, kIq2Bias> kIq2xxs = {kIq2xxsGrid, kIq2xxsPlanes, kIq2Signed};
constexpr Grid<uint64_t, 512, kIq2Bias> kIq2xs = {kIq2xsGrid, kIq2xsPlanes, kIq2Signed};
constexpr Grid<uint64_t, 1024, kIq2Bias> kIq2s = {kIq2sGrid, kIq2sPlanes, kIq2Signed};
constexpr Grid<uint32_t, 256, kIq3xxsBias> kIq3xxs = {kIq3xxsGrid, kIq3xxsPlanes, kIq3xxsSigned};
constexpr Grid<uint32_t, 512, kIq3sBias> kIq3s = {kIq3sGrid, kIq3sPlanes, kIq3sSigned};

// Byte `plane` of an entry whose digits are packed in `code`. Eight digits of two bits: the lower bits, then
// the upper ones. Four of three bits: the lowest and, above them, the middle ones; then the highest, twice.
constexpr uint8_t plane_byte8(int code, int plane) {
  int x = 0;
  for (int j = 0; j < 8; ++j) x |= (code >> (2 * j + plane) & 1) << j;
  return static_cast<uint8_t>(x);
}
constexpr uint8_t plane_byte4(int code, int plane) {
  int x = 0;
  for (int j = 0; j < 8; ++j) x |= (code >> (3 * (j % 4) + (plane ? 2 : j / 4)) & 1) << j;
  return static_cast<uint8_t>(x);
}
// Level n % 64 of table n / 64: where the isa's indices have the bits of the digit, lowest first, and the
// sign. A table for each of four groups of eight weights, or for each two of them.
struct LevelBits {
  int digit[3], sign;
};
constexpr LevelBits kLevelBits8[4] = {{{5, 4, 6}, 2}, {{5, 4, 6}, 0}, {{3, 2, 6}, 5}, {{1, 0, 6}, 4}};
constexpr LevelBits kLevelBits4[2] = {{{5, 4, 1}, 0}, {{1, 0, 5}, 4}};
template <class Level>
constexpr uint8_t signed_level(const LevelBits& bits, int index, Level level, int bias) {
  int digit = 0;
  for (int j = 0; j < 3; ++j) digit |= (index >> bits.digit[j] & 1) << j;
  const int x = level(digit);
  return static_cast<uint8_t>(index >> bits.sign & 1 ? 2 * bias - x : x);
}

// Non-uniform levels by code: row 0 plain, row 1 for groups whose shift bit is set.
alignas(64) extern const int8_t kIq2nl[2][4];
alignas(64) extern const int8_t kIq3nl[2][8];
alignas(64) extern const int8_t kIq4k[2][16];
alignas(64) extern const int8_t kIq5nl[2][32];
alignas(64) extern const int8_t kIq6nl[2][64];
alignas(64) extern const float kIq6Cubic[2][64];     // the levels of IQ6_K before rounding to kIq6nl
alignas(64) extern const int8_t kIq2klPairs[32][2];  // even and odd weight of a pair

// State r + 1 of a trellis code is kTrellisPowers[r] times its start, modulo 2^32.
alignas(64) extern const uint32_t kTrellisPowers[8];

}  // namespace iqk

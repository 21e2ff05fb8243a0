// Codebooks of the weight formats: plain constants without initialisers, one copy for all instruction sets.
//
// Data of the MIT-licensed ggml, llama.cpp and ik_llama.cpp projects, see LICENSE-codebooks.
#pragma once

#include <cstdint>

namespace iqk {

// Grids: entry n is a group of 8 (iq3: 4) weights, lane j in byte j. Magnitudes have a bias added, so that
// bias +- magnitude is an unsigned byte; the ternary values -1, 0, 1 are stored as 0, 1, 2.
constexpr int kIq2Bias = 64, kIq3xxsBias = 64, kIq3sBias = 16, kIq1sBias = 1;
// The packed entries that the grids are expanded from, a digit of two bits per weight; of entries of four
// weights, whose digits have three bits, all lower bytes and then all upper ones.
alignas(64) extern const uint16_t kIq2xxsCodes[256], kIq2xsCodes[512];
alignas(64) extern const uint8_t kIq3xxsBytes[512], kIq3sBytes[1024];
// Biased levels by digit, over and over.
alignas(64) extern const uint8_t kIq2Digits[64], kIq3xxsDigits[64], kIq3sDigits[64];
alignas(64) extern const uint64_t kIq2xxsGrid[256];  // magnitudes 8, 25, 43
alignas(64) extern const uint64_t kIq2xsGrid[512];
alignas(64) extern const uint64_t kIq2sGrid[1024];
alignas(64) extern const uint32_t kIq3xxsGrid[256];  // 4, 12, 20, 28, 36, 44, 52, 62
alignas(64) extern const uint32_t kIq3sGrid[512];    // 1, 3, .., 15
alignas(64) extern const uint64_t kIq1sGrid[2048];

// A grid in both forms.
template <class Entry, class Code, int Count>
struct Grid {
  static constexpr int kCount = Count;
  const Entry* entries;
  const Code* codes;
  const uint8_t* levels;
};
constexpr Grid<uint64_t, uint16_t, 256> kIq2xxs = {kIq2xxsGrid, kIq2xxsCodes, kIq2Digits};
constexpr Grid<uint64_t, uint16_t, 512> kIq2xs = {kIq2xsGrid, kIq2xsCodes, kIq2Digits};
constexpr Grid<uint32_t, uint8_t, 256> kIq3xxs = {kIq3xxsGrid, kIq3xxsBytes, kIq3xxsDigits};
constexpr Grid<uint32_t, uint8_t, 512> kIq3s = {kIq3sGrid, kIq3sBytes, kIq3sDigits};

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

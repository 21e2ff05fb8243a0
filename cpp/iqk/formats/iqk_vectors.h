// Levels of the 2- and 3-bit IQK types as vector codes, and their scale bits.
#pragma once

#include "iqk/formats/vectors.h"

namespace IQK_NS {

// kIq2nl and kIq3nl, unshifted, with offsets that make them unsigned: two of their products, times 127, fit
// 16 bits.
constexpr int kIq2LevelOffset = 32, kIq3LevelOffset = 64, kIq2klOffset = 64;
// As tables by four bits: of two codes of IQ2, the lower or the upper; of IQ3, bits 0 and 1 with either 2
// or 3.
static constexpr uint8_t kIq2Levels[2][16] = {{1, 19, 33, 49, 1, 19, 33, 49, 1, 19, 33, 49, 1, 19, 33, 49},
                                              {1, 1, 1, 1, 19, 19, 19, 19, 33, 33, 33, 33, 49, 49, 49, 49}};
static constexpr uint8_t kIq3Levels[2][16] = {
    {1, 24, 41, 54, 65, 77, 92, 111, 1, 24, 41, 54, 65, 77, 92, 111},
    {1, 24, 41, 54, 1, 24, 41, 54, 65, 77, 92, 111, 65, 77, 92, 111}};
// The members of the pairs of IQ2_KL.
static constexpr uint8_t kIq2klEven[32] = {1,  1,  24, 24, 24, 24, 41, 41, 41, 41, 41, 54, 54, 54, 54,  65,
                                           65, 65, 65, 65, 77, 77, 77, 77, 77, 92, 92, 92, 92, 92, 111, 111};
static constexpr uint8_t kIq2klOdd[32] = {41, 77, 1,  54, 77, 111, 24, 41, 65, 77, 92, 1,  65, 77,  111, 41,
                                          54, 65, 77, 92, 24, 41,  54, 65, 77, 1,  41, 65, 92, 111, 41,  77};
// Bit 2 L, and bit 2 L + 1, in the bytes of lane L.
struct LaneBits {
  alignas(64) uint8_t at[2][64];
  constexpr const uint8_t* operator[](int i) const { return at[i]; }
};
static constexpr LaneBits make_lane_bits() {
  LaneBits t{};
  for (int odd = 0; odd < 2; ++odd)
    for (int i = 0; i < 64; ++i) t.at[odd][i] = static_cast<uint8_t>(1 << (i / 16 * 2 + odd));
  return t;
}
static constexpr LaneBits kBitOfLane = make_lane_bits();

}  // namespace IQK_NS

// Constants of the codebook i-quants' vector code: where the bits of the 32 groups of eight weights lie.
#pragma once

#include "iqk/formats/grid.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

// Indices for `lookup` of 16 bytes: 128 gives 0. Lane L has the groups 8 L .. 8 L + 7, one word or one byte
// each.
static constexpr BytePattern kByteOfGroup =
    byte_pattern([](int lane, int y) { return y % 2 ? 128 : 2 * lane + y / 8; });
static constexpr BytePattern kWordOfGroup =
    byte_pattern([](int lane, int y) { return 4 * lane + y / 8 * 2 + y % 2; });
static constexpr BytePattern kByteOfPair =
    byte_pattern([](int lane, int y) { return y % 2 ? 4 * lane + y / 4 : 128; });
// Lane L has the chunks 2 L and 2 L + 1 of eight bytes.
static constexpr BytePattern kByteOfChunk =
    byte_pattern([](int lane, int y) { return 4 * lane + y / 8 * 2; });
// Word factors: a left shift that differs in four neighbouring groups.
static constexpr BytePattern kTimes64_16_4_1 =
    byte_pattern([](int, int y) { return y % 2 ? 0 : 64 >> 2 * (y / 2 % 4); });
static constexpr BytePattern kTimes512_64_8_1 =
    byte_pattern([](int, int y) { return (512 >> 3 * (y / 2 % 4)) >> (y % 2 * 8); });

}  // namespace IQK_NS

// Trellis formats: 8 (or 4) weights are computed from a code, the start state of a generator.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/format.h"

namespace IQK_NS {

constexpr uint32_t kTrellisStart = 4096;  // start state of code 0

// The first Count values of a code: of each state the sum of the low six bits of its four bytes, less 126.
template <int Count>
IQK_INLINE void put_values(int8_t* q, uint32_t start) {
  for (int r = 0; r < Count; ++r) {
    const uint32_t parts = kTrellisPowers[r] * start & 0x3f3f3f3fu;
    q[r] = static_cast<int8_t>(static_cast<int>(parts * 0x01010101u >> 24) - 126);
  }
}

}  // namespace IQK_NS

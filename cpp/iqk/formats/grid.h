// Codebook i-quants: a group of 8 (or 4) weights is an entry of a grid, with signs or a common shift.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"

namespace IQK_NS {

// Sign byte of eight weights from the signs of the first seven: the number of negative ones is even.
IQK_INLINE int even_signs(uint32_t seven) { return static_cast<int>(seven) | __builtin_parity(seven) << 7; }

// The weights of a grid entry; bit j of `signs` negates weight j.
template <class Entry>
IQK_INLINE void put_signed(int8_t* q, Entry entry, int bias, int signs) {
  for (int j = 0; j < static_cast<int>(sizeof entry); ++j) {
    const int magnitude = static_cast<int>(entry >> 8 * j & 255) - bias;
    q[j] = static_cast<int8_t>(signs >> j & 1 ? -magnitude : magnitude);
  }
}

// Eight ternary weights e, all moved by 1/8 or, where `minus`, by -1/8. In eighths: 8 e +- 1.
IQK_INLINE void put_shifted(int8_t* q, int index, bool minus) {
  const uint64_t entry = kIq1sGrid[index];
  for (int j = 0; j < 8; ++j) {
    const int e = static_cast<int>(entry >> 8 * j & 255) - kIq1sBias;
    q[j] = static_cast<int8_t>(8 * e + (minus ? -1 : 1));
  }
}

}  // namespace IQK_NS

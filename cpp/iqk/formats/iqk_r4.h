// What IQ2_K_R4 .. IQ5_K_R4 share.
#pragma once

#include "iqk/formats/interleaved.h"

namespace IQK_NS {

// Shift bits of the 16 groups: those of even groups of row k in byte 8 + k, those of odd ones in byte 12 + k.
struct ShiftBits {
  static constexpr int kBits = 1;
  int row;
  IQK_MEMBER Place operator()(int t) const { return {8 + 4 * (t % 2) + row, t / 2}; }
};

// The float scale and the shift bits.
template <class Mover>
IQK_INLINE void move_scale_and_shifts(Mover m, int row) {
  m.bytes(0, 2 * row, 2);
  move_numbers(m, 16, Fields<1>{2}, ShiftBits{row});
}

}  // namespace IQK_NS

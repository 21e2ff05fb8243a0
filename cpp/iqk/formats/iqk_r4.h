// What IQ2_K_R4 .. IQ5_K_R4 share.
#pragma once

#include "iqk/formats/tiles.h"

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

// The shift bits of all rows, 16 each: the bits of two dwords in turn.
IQK_INLINE uint64_t load_shifts(const uint8_t* block) {
  const auto apart = [](uint64_t x) IQK_LAMBDA {
    x = (x | x << 16) & 0x0000ffff0000ffff;
    x = (x | x << 8) & 0x00ff00ff00ff00ff;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
    x = (x | x << 2) & 0x3333333333333333;
    return (x | x << 1) & 0x5555555555555555;
  };
  return apart(read<uint32_t>(block + 8)) | apart(read<uint32_t>(block + 12)) << 1;
}

// The 6-bit scales of IQ4_K_R4 and IQ5_K_R4.
IQK_INLINE Bytes six_bit_row_scales(const uint8_t* block) {
  return row_numbers(six_bit_list(block + 32, block + 16) - splat(32));
}

}  // namespace IQK_NS

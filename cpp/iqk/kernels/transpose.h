// The vocabulary's transpose16 in order: dword d of 16 rows becomes line d.
#pragma once

#include <cstddef>
#include <cstdint>

namespace IQK_NS {

IQK_INLINE void transpose16(const uint8_t* rows, ptrdiff_t stride, uint8_t* to, ptrdiff_t line_stride) {
  static constexpr uint8_t kInOrder[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  transpose16(rows, stride, to, kInOrder, line_stride);
}

}  // namespace IQK_NS

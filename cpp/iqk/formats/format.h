// What a weight format says about itself. Included once per instruction set: IQK_NS is that set's namespace.
#pragma once

#include <cstdint>
#include <cstring>

#include "iqk/base/half.h"
#include "iqk/base/inline.h"

namespace IQK_NS {

// The place of 256 consecutive weights of one row: the unit of all kernels.
struct In {
  const uint8_t* block;   // first byte of the unit: 256 weights of one row, or of all rows of a group
  const uint8_t* header;  // first byte of the row's (or the group's) header
  int row;                // row inside the group, 0 for plain formats
  const uint16_t* index = nullptr;  // codebook indices of the unit, from the trait's first pass
};

// 256 decoded weights in their natural order: weight i is scale[i / 16] * q[i] + minimum[i / 16], each
// operation rounded to float32. The plain definition of a format: `unpack` fills one, everything else is
// tested against it.
struct Unit {
  alignas(64) int8_t q[256];
  float scale[16];
  float minimum[16];
};

// Facts of the table, and what a trait may leave unsaid.
//
// Every format has
//   unpack(In, Unit&)    the plain decoder: portable, no vocabulary; fills q and scale (and minimum when
//   kMinima)
// and, where it has vector code, the members of the trait described in kernels/trait.h.
template <int Weights, int Bytes, int Header, int Rows>
struct Facts {
  static constexpr int kWeights = Weights;  // per block
  static constexpr int kBytes = Bytes;      // per block and row
  static constexpr int kHeader = Header;    // bytes before the blocks, per row
  static constexpr int kRows = Rows;        // rows stored together
  static constexpr int kUnit =
      256 / (Weights < 256 ? Weights : 256) * Bytes * Rows;  // bytes of 256 weights, all rows
  static constexpr bool kMinima = false;                     // `unpack` fills minimum
  static constexpr int kLargest = 128;                       // magnitude of q
};

#define IQK_FORMAT(name, id, family, weights, bytes, header, rows, ...) \
  using name##_facts = Facts<weights, bytes, header, rows>;
#include "iqk/formats.inc"

// Unaligned little-endian reads.
template <class T>
IQK_INLINE T read(const uint8_t* p) {
  T x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
IQK_INLINE float half(const uint8_t* p) { return fp16_to_fp32(read<uint16_t>(p)); }

}  // namespace IQK_NS

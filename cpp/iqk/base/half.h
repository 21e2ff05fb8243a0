// Scalar conversions between float32 and the two 16-bit floats; fp16 bit for bit as the CPU instructions do
// it.
#pragma once

#include <cstdint>

#include "iqk/base/inline.h"

namespace iqk {

IQK_INLINE constexpr uint32_t float_bits(float x) { return __builtin_bit_cast(uint32_t, x); }
IQK_INLINE constexpr float bits_float(uint32_t bits) { return __builtin_bit_cast(float, bits); }

// IEEE binary16 to float32. A NaN keeps sign and payload and becomes quiet.
IQK_INLINE constexpr float fp16_to_fp32(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude > 0x7c00) return bits_float(sign | 0x7fc00000 | magnitude << 13);
  if (magnitude == 0x7c00) return bits_float(sign | 0x7f800000);
  if (magnitude >= 0x0400) return bits_float(sign | ((magnitude << 13) + (112u << 23)));
  return bits_float(sign | float_bits(static_cast<float>(magnitude) * 0x1p-24f));  // zero or subnormal
}

// float32 to IEEE binary16, to nearest, ties to even; 65520 and above become infinity. A NaN keeps its sign
// and the upper bits of its payload and becomes quiet.
IQK_INLINE constexpr uint16_t fp32_to_fp16(float x) {
  const uint32_t bits = float_bits(x);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  uint32_t half = 0;
  if (magnitude > 0x7f800000) {
    half = 0x7e00 | (magnitude >> 13 & 0x3ff);
  } else if (magnitude >= 0x477ff000) {  // 65520
    half = 0x7c00;
  } else if (magnitude >= 0x38800000) {  // 2^-14: normal; rounding may carry into the exponent
    half = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  } else if (magnitude >= 0x33000000) {  // 2^-25: half of the smallest subnormal
    const uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    const uint32_t shift = 126 - (magnitude >> 23);  // mantissa >> shift counts units of 2^-24
    half = (mantissa + (1u << (shift - 1)) - 1 + (mantissa >> shift & 1)) >> shift;
  }
  return static_cast<uint16_t>(sign | half);
}

// bfloat16 to float32: exact, every NaN unchanged.
IQK_INLINE constexpr float bf16_to_fp32(uint16_t bf16) {
  return bits_float(static_cast<uint32_t>(bf16) << 16);
}

// float32 to bfloat16, to nearest, ties to even, subnormals too. A NaN keeps its upper half and becomes
// quiet.
IQK_INLINE constexpr uint16_t fp32_to_bf16(float x) {
  const uint32_t bits = float_bits(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace iqk

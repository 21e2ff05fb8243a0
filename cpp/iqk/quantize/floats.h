// F32, F16, BF16: rounded to nearest even. What would become infinity has been refused.
#pragma once

#include "iqk/quantize/block.h"

namespace iqk::encode {

inline void encode_f32(const float* x, const float*, int64_t k, uint8_t* out) {
  std::memcpy(out, x, sizeof(float) * k);
}
inline void encode_f16(const float* x, const float*, int64_t k, uint8_t* out) {
  for (int64_t i = 0; i < k; ++i) write(out + 2 * i, fp32_to_fp16(x[i]));
}
inline void encode_bf16(const float* x, const float*, int64_t k, uint8_t* out) {
  for (int64_t i = 0; i < k; ++i) write(out + 2 * i, fp32_to_bf16(x[i]));
}

}  // namespace iqk::encode

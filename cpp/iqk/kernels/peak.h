// The arithmetic limits of one core, measured with the instruction set's own multiply-adds on independent
// registers (int8_peak_step, float_peak_step of its header).
#pragma once

#include "iqk/kernels/arguments.h"

namespace IQK_NS {

// Operations done: two per multiply-add.
double int8_loop(int64_t iterations) {
  for (int64_t i = 0; i < iterations; ++i) int8_peak_step();
  return kInt8PeakOperations * static_cast<double>(iterations);
}
double float_loop(int64_t iterations) {
  for (int64_t i = 0; i < iterations; ++i) float_peak_step();
  return kFloatPeakOperations * static_cast<double>(iterations);
}

}  // namespace IQK_NS

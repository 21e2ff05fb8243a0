// act(gate) * up, element by element.
#pragma once

#include <cstdint>

#include "iqk/api.h"

namespace iqk {

// The activation and its limit, for rows [row, row + n) of a matrix: the biases begin at `row`, or are null.
struct GateRows {
  Activation activation;
  float limit;
  const float* up_bias;
  const float* gate_bias;
};

// out[i] = act(gate[i] + gate_bias[i]) * (up[i] + up_bias[i]); `out` may be `up` or `gate`. Relative error
// below 2e-6 where |gate| < 4, and far below the size of the result's neighbours elsewhere; NaN and infinity
// go through as through the formulas.
void apply_gate(const GateRows& g, const float* up, const float* gate, int64_t n, float* out);

}  // namespace iqk

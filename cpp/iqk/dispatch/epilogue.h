// What becomes of the sums of a product, column by column, while they are in the cache.
#pragma once

#include <cstring>

#include "iqk/dispatch/activation_functions.h"
#include "iqk/dispatch/columns.h"

namespace iqk {

struct Epilogue {
  enum class Kind {
    kStore,       // out = sums
    kGate,        // out = act(gate + gate_bias) * (up + up_bias): sums of both
    kGateOver,    // the same with the sums of gate, where `out` holds those of up
    kAccumulate,  // out += weight * (sums + up_bias)
  };
  Kind kind = Kind::kStore;
  float* out = nullptr;
  int64_t rows = 0;                // of the matrices, and of a column of `out`
  Places places;                   // of the columns in `out`
  GateRows gate{};                 // biases: [matrix][rows] or null
  const float* weights = nullptr;  // kAccumulate: of each slot

  // A tile of sums [column][stride]: `count` rows from `row` on of a matrix, for `columns` columns from
  // `position` on. `gate_sums`: of the gate that goes with it. Columns that are not finite are left out.
  void finish(int64_t matrix, int64_t position, int64_t columns, const bool* finite, int64_t row,
              int64_t count, const float* sums, const float* gate_sums, int64_t stride) const {
    const auto bias = [&](const float* all) { return all ? all + matrix * rows + row : nullptr; };
    const GateRows here{gate.activation, gate.limit, bias(gate.up_bias), bias(gate.gate_bias)};
    for (int64_t c = 0; c < columns; ++c) {
      if (!finite[c]) continue;
      float* to = out + places.at(position + c) * rows + row;
      const float* from = sums + c * stride;
      switch (kind) {
        case Kind::kStore:
          std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
          break;
        case Kind::kGate:
          apply_gate(here, from, gate_sums + c * stride, count, to);
          break;
        case Kind::kGateOver:
          apply_gate(here, to, from, count, to);
          break;
        case Kind::kAccumulate:
          add(weights[places.slots[position + c]], here.up_bias, from, count, to);
          break;
      }
    }
  }

 private:
  static void add(float weight, const float* bias, const float* sums, int64_t count, float* to) {
    for (int64_t i = 0; i < count; ++i) to[i] += weight * (bias ? sums[i] + bias[i] : sums[i]);
  }
};

}  // namespace iqk

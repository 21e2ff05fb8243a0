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

  // `rows` sums from `row` on of the column at `position`, of a matrix (and of the gate that goes with it).
  void finish(int64_t matrix, int64_t position, int64_t row, int64_t count, const float* sums,
              const float* gate_sums) const {
    float* to = out + places.at(position) * rows + row;
    const auto bias = [&](const float* all) { return all ? all + matrix * rows + row : nullptr; };
    const GateRows here{gate.activation, gate.limit, bias(gate.up_bias), bias(gate.gate_bias)};
    switch (kind) {
      case Kind::kStore:
        std::memcpy(to, sums, static_cast<size_t>(count) * sizeof(float));
        break;
      case Kind::kGate:
        apply_gate(here, sums, gate_sums, count, to);
        break;
      case Kind::kGateOver:
        apply_gate(here, to, sums, count, to);
        break;
      case Kind::kAccumulate: {
        const float weight = weights[places.slots[position]];
        for (int64_t i = 0; i < count; ++i)
          to[i] += weight * (here.up_bias ? sums[i] + here.up_bias[i] : sums[i]);
        break;
      }
    }
  }
};

}  // namespace iqk

// Quantized activations in the orders that the kernels take.
#pragma once

#include <cstddef>
#include <cstdint>

#include "iqk/kernels/arguments.h"

namespace iqk {

// Columns of activations in natural order: codes [column][units * 256], scales [column][units * 8].
struct Activations {
  const int8_t* codes;
  const float* scales;
  int64_t units;
};

// Unit `unit` of the columns from `first` on, for a GEMV of `columns` columns of which `valid` exist; the
// others become zero.
void pack_gemv(const Activations& x, const GemvOrder& order, int64_t unit, int64_t first, int columns,
               int valid, uint8_t* to);

// The same for a panel tile.
void pack_panel(const Activations& x, const PanelOrder& order, int64_t unit, int64_t first, int columns,
                int valid, uint8_t* to);

}  // namespace iqk

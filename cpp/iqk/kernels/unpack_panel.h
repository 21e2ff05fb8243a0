// Rows of any format to a panel tile.
#pragma once

#include "iqk/kernels/gemv_rows.h"
#include "iqk/kernels/rows.h"

namespace IQK_NS {

constexpr int kPanelRows = 16 * kPanelVectors;

template <class F>
void unpack_panel(const UnpackArgs& a) {
  if constexpr (F::kLines)
    unpack_lines<F>(a, kPanelRows);
  else
    panel_of_rows(row_source<F>, a);
}

}  // namespace IQK_NS

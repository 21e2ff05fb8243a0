// A format's line in the table of kernels.
#pragma once

#include "iqk/kernels/float_gemm.h"
#include "iqk/kernels/gemm_panel.h"
#include "iqk/kernels/gemv.h"
#include "iqk/kernels/plain.h"

namespace IQK_NS {

template <class F>
constexpr GemvOrder gemv_order(bool several) {
  using D = Derived<F>;
  return {D::order.dword, D::kCopies,        F::kScales,
          D::kTerms,      D::lane_scales.at, D::kActLanes,
          D::kStarts,     D::kStartBias,     several && D::kFloatStarts ? kPanelStart : 0};
}
template <class F>
constexpr PanelOrder panel_order() {
  using D = Derived<F>;
  return {D::lines.dword, F::kScales, D::kPanelBias, D::kPanelTerms};
}
template <class F>
constexpr FormatKernels vector_entry(int id) {
  using V = Vectorized<F>;
  using Column = ForColumn<V>;
  using Columns = typename ForColumns<V>::Type;
  FormatKernels k{};
  k.id = id;
  k.vectorized = HasVector<F>::value;
  k.column_order = gemv_order<Column>(false);
  k.columns_order = gemv_order<Columns>(true);
  k.panel_order = panel_order<V>();
  constexpr bool kDecodingDecides = V::kStreams == 1 && !V::kLines;
  k.four_from = kPadColumn || kDecodingDecides ? 3 : 4;
  k.eight_from = !kPadColumn ? 8 : kDecodingDecides ? 5 : 7;
  if constexpr (HasVector<F>::value && !HasDecode<F>::value)
    k.decode = [](const DecodeArgs& a) { floats_of_rows(row_source<F>, a); };
  else
    k.decode = decode<F>;
  k.gemv[0] = gemv<Columns, 8>;
  k.gemv[1] = gemv<Columns, 4>;
  k.gemv[2] = gemv<Columns, 2>;
  k.gemv[3] = gemv<Column, 1>;
  k.unpack = unpack_panel<V>;
  k.rows = &row_source<V>;
  k.panel = &panel_table.at[code_class(kPanelCodes, V::kMax)][V::kScales == 16][Derived<V>::kPanelTerms];
  return k;
}
template <class F>
constexpr FormatKernels plain_entry(int id) {
  FormatKernels k{};
  k.id = id;
  k.decode = decode<F>;
  k.plain = plain_product<F>;
  return k;
}
template <class F>
constexpr FormatKernels float_entry(int id) {
  FormatKernels k{};
  k.id = id;
  k.vectorized = true;
  k.decode = decode<F>;
  k.float_panel = float_panel<F>;
  if constexpr (F::kRows == 1) k.float_gemv = float_gemv<F>;
  return k;
}
template <class F>
constexpr FormatKernels plain_float_entry(int id) {
  FormatKernels k{};
  k.id = id;
  k.decode = decode<F>;
  return k;
}

// Ends a family's list.
constexpr FormatKernels end_entry() {
  FormatKernels k{};
  k.id = -1;
  return k;
}

}  // namespace IQK_NS

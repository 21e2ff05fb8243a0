// Rows of a format decoded to memory. One function per format does it for three users: products with several
// columns, panel tiles and decoding to floats, whose code is then the same for all formats (row_products.h,
// row_panel.h, row_floats.h).
#pragma once

#include <utility>

#include "iqk/kernels/arguments.h"
#include "iqk/kernels/trait.h"
#include "iqk/kernels/unit_walk.h"

namespace IQK_NS {

// Units of one group of rows at a time.
constexpr int kMostUnits = 8;

// Units [unit, unit + units) of all rows of `group`, at most kMostUnits.
template <class F>
void decode_rows(const GroupWalk& w, int64_t group, int64_t unit, int units, const RowBuffers& to) {
  using D = Derived<F>;
  constexpr int S = F::kScales, A = F::kAccumulators;
  static_assert(!(F::kRowScale && F::kVectorMinima), "the row's scale is not applied to minima");
  const GroupPlace<F> place = group_place<F>(w, group);
  alignas(64) uint8_t tail[F::kUnit];
  alignas(64) uint16_t index[kMostUnits * (F::kIndexWords ? F::kIndexWords : 1)];
  if (w.tail_bytes && unit + units > w.full_units) copy_tail<F>(place.units, w, tail);
  const UnitsFrom<F> from{place.units + unit * F::kUnit, tail, w.full_units - unit, place.header};
  if constexpr (F::kIndexWords != 0) make_indices(from, units, index);
  for (int n = 0; n < units; ++n) {
    // Not const, nor the state: GCC would keep it in memory and copy it in small pieces.
    auto shared = F::open(In{from.at(n), place.header, 0, index + n * F::kIndexWords});
    fetch_ahead<F>(from.at(n), w.ahead);
    const auto one_row = [&](auto r) IQK_LAMBDA {
      const int i = static_cast<int>(r) * to.units_per_row + n;
      auto state = F::row(shared, r);
      F::codes(state, [&](auto v, Bytes x)
                          IQK_LAMBDA { store(to.codes + 256 * i + 64 * D::slot(decltype(v)::value), x); });
      Floats<S> scales = F::scales(state);
      if constexpr (F::kRowScale)
        scales = scales * fsplat<S>(F::row_scale(In{place.units, place.header, r, nullptr}));
      fstore(to.scales + S * i, scales);
      if (to.lanes != nullptr)
        unroll<A>([&](auto a) IQK_LAMBDA {
          fstore(to.lanes + 16 * (A * i + a),
                 spread<typename D::template LaneMap<decltype(a)::value>>(scales));
        });
      if constexpr (F::kShift != 0)
        fstore(to.offsets + S * i, add_where(fsplat<S>(-D::kBias), F::shifts(state), fsplat<S>(F::kShift)));
      if constexpr (D::kCodeShift != 0) {
        if (to.shifts != nullptr)  // 0 or the float with these bytes
          fstore(to.shifts + S * i, add_where(fsplat<S>(0), F::shifts(state),
                                              fsplat<S>(bits_float(0x01010101u * D::kCodeShift))));
      }
      if constexpr (F::kVectorMinima) fstore(to.minima + S * i, F::minima(state));
    };
    if constexpr (F::kRowByRow) {
      for (int r = 0; r < F::kRows; ++r) one_row(r);
    } else {
      unroll<F::kRows>(one_row);
    }
  }
}

// The same for types of lines, in gemv_rows.h.
template <class F>
void decode_lines(const GroupWalk& w, int64_t group, int64_t unit, int units, const RowBuffers& to);

// Where codes up to `max` (0: signed) belong in kPanelCodes or kRowCodes.
template <int N>
constexpr int code_class(const int (&codes)[N], int max) {
  int c = 0;
  while (c + 1 < N && (max == 0 || codes[c] < max)) ++c;
  return c;
}
// 0, 1, .. for all of them.
template <const auto& codes>
using Classes = std::make_integer_sequence<int, sizeof codes / sizeof *codes>;

template <class F>
constexpr bool runs_of_eight() {
  for (int v = 0; v < 4; ++v)
    for (int x = 0; x < 64; ++x)
      if (F::order(v, x) != F::order(v, x / 8 * 8) + x % 8) return false;
  return true;
}

template <class F>
constexpr RowDecoder row_decoder() {
  if constexpr (F::kLines)
    return decode_lines<F>;
  else
    return decode_rows<F>;
}
template <class F>
constexpr RowSource row_source = {F::kRows,
                                  F::kUnit,
                                  F::kScales,
                                  F::kAccumulators,
                                  code_class(kRowCodes, F::kMax),
                                  F::kMax != 0 || kSignedBias != 0,
                                  F::kShift != 0,
                                  F::kVectorMinima,
                                  Derived<F>::kTerms,
                                  F::kRowScale,
                                  Derived<F>::kCodeShift != 0,
                                  Derived<F>::kPanelTerms,
                                  Derived<F>::kBias,
                                  Derived<F>::kBias - Derived<F>::kPanelBias,
                                  Derived<F>::kTermBias,
                                  runs_of_eight<F>(),
                                  Derived<F>::order.dword,
                                  Derived<F>::lines.position,
                                  row_decoder<F>()};

// What is added to the sums per scale group, minimum + offset * scale, for `count` groups. `bias`: what the
// codes still are above the values.
inline void make_terms(const RowSource& source, const RowBuffers& b, int count, float bias, float* terms) {
  for (int i = 0; i < count; i += 8) {
    const Floats<8> offset =
        source.shift ? fload<8>(b.offsets + i) + fsplat<8>(source.bias - bias) : fsplat<8>(-bias);
    const Floats<8> minimum = source.minima ? fload<8>(b.minima + i) : fsplat<8>(0);
    fstore(terms + i, fma(fload<8>(b.scales + i), offset, minimum));
  }
}

// Scales of a panel, rounded to 22 bits, so that a multiple by kPanelZero is exact: half floats times small
// integers have no more, floats lose as much as in one rounding.
template <int N>
IQK_INLINE Floats<N> panel_scales(Floats<N> x) {
  const Floats<N> minus = fsplat<N>(-1.0f), y = x * fsplat<N>(5.0f);
  return fma(fma(x, minus, y), minus, y);
}

// The users; defined once per instruction set. No products where registers hold so many columns as are fused.
using RowProducts = void (*)(const RowSource& source, const GemvArgs& args, int columns);
extern const RowProducts multiply_rows;
void panel_of_rows(const RowSource& source, const UnpackArgs& args);
void floats_of_rows(const RowSource& source, const DecodeArgs& args);

}  // namespace IQK_NS

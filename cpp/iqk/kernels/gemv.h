// Fused product for few columns: each unit is decoded in registers and multiplied with C columns at once.
// More columns, and several of interleaved rows, go through memory (row_products.h).
#pragma once

#include "iqk/kernels/arguments.h"
#include "iqk/kernels/gemv_rows.h"
#include "iqk/kernels/rows.h"
#include "iqk/kernels/trait.h"
#include "iqk/kernels/unit_walk.h"

namespace IQK_NS {

// Float sums of one row and C columns: by dword lane, and by scale group for the terms.
template <class F, int C>
struct RowSums {
  Floats<16> lanes[C];
  Floats<F::kScales> terms[C];
};

// Adds one unit of a row. `act`: C packed activation units (Derived::kActUnit bytes each).
template <class F, int C, class State>
IQK_INLINE void add_unit(const State& state, const uint8_t* act, RowSums<F, C>& sums) {
  using D = Derived<F>;
  constexpr int S = F::kScales, A = F::kAccumulators;
  Acc<F::kMax> acc[C][A];
  unroll<C>([&](auto c) IQK_LAMBDA {
    unroll<A>([&](auto a) IQK_LAMBDA {
      if constexpr (D::kStartBias != 0)
        acc[c][a].start(act + c * D::kActUnit + D::kActStarts + 64 * a);
      else
        acc[c][a].start();
    });
  });
  F::codes(state, [&](auto v, Bytes codes) IQK_LAMBDA {
    constexpr int kVector = decltype(v)::value;
    unroll<C>([&](auto c) IQK_LAMBDA {
      acc[c][F::accumulator(kVector)].template add<D::ordinal(kVector)>(
          codes, load(act + c * D::kActUnit + 64 * D::slot(kVector)));
    });
  });
  const Floats<S> scales = F::scales(state);
  unroll<C>([&](auto c) IQK_LAMBDA {
    const float* act_scales = reinterpret_cast<const float*>(act + c * D::kActUnit + D::kActScales);
    const Floats<S> both = scales * fload<S>(act_scales);
    unroll<A>([&](auto a) IQK_LAMBDA {
      const Floats<16> by_lane = spread<typename D::template LaneMap<decltype(a)::value>>(both);
      sums.lanes[c] = fma(to_float(acc[c][a].finish()), by_lane, sums.lanes[c]);
    });
  });
  if constexpr (D::kTerms) {
    const Floats<S> terms = D::terms(state, scales);
    unroll<C>([&](auto c) IQK_LAMBDA {
      const float* act_sums = reinterpret_cast<const float*>(act + c * D::kActUnit + D::kActSums);
      sums.terms[c] = fma(terms, fload<S>(act_sums), sums.terms[c]);
    });
  }
}

// Units of one slice of the row's first pass over its indices.
constexpr int kIndexUnits = 16;

// Rows From .. From + R - 1 of one group (From is a constant where the rows share their decoding).
template <class F, int C, int R, class From>
IQK_INLINE void gemv_group(const GemvArgs& g, int64_t group, From from, const uint8_t* tail,
                           uint16_t* index) {
  using D = Derived<F>;
  constexpr int S = F::kScales;
  const GroupWalk& w = g.weights;
  const GroupPlace<F> place = group_place<F>(w, group);
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  const auto unit_at = [&](int64_t u)
                           IQK_LAMBDA { return u < w.full_units ? place.units + u * F::kUnit : tail; };
  RowSums<F, C> sums[R];
  unroll<R>([&](auto r) IQK_LAMBDA {
    unroll<C>([&](auto c) IQK_LAMBDA {
      sums[r].lanes[c] = fsplat<16>(0.0f);
      sums[r].terms[c] = fsplat<S>(0.0f);
    });
  });
  for (int64_t u = 0; u < units; ++u) {
    if constexpr (F::kIndexWords != 0) {
      if (u % kIndexUnits == 0)
        for (int64_t i = 0; i < kIndexUnits && u + i < units; ++i)
          F::indices(In{unit_at(u + i), place.header, 0, nullptr}, index + i * F::kIndexWords);
    }
    const In in{unit_at(u), place.header, 0, index + (F::kIndexWords ? u % kIndexUnits * F::kIndexWords : 0)};
    fetch_ahead<F>(in.block, w.ahead);
    // Not const: GCC would keep it in memory and copy it in small pieces.
    auto shared = F::open(in);
    const uint8_t* act = g.activations + u * C * D::kActUnit;
    if constexpr (R == 1)
      add_unit<F, C>(F::row(shared, from), act, sums[0]);
    else
      unroll<R>([&](auto r) IQK_LAMBDA { add_unit<F, C>(F::row(shared, r), act, sums[r]); });
  }
  unroll<R>([&](auto r) IQK_LAMBDA {
    const float scale = F::row_scale(In{place.units, place.header, from + r, nullptr});
    unroll<C>([&](auto c) IQK_LAMBDA {
      float y = sum(sums[r].lanes[c]);
      if constexpr (D::kTerms) y += sum(sums[r].terms[c]);
      g.out[c * g.out_stride + group * F::kRows + from + r] = F::kRowScale ? y * scale : y;
    });
  });
}

template <class F, int C>
IQK_INLINE void gemv_groups(const GemvArgs& g) {
  alignas(64) uint8_t tail[F::kUnit];
  alignas(64) uint16_t index[kIndexUnits * (F::kIndexWords ? F::kIndexWords : 1)];
  for (int64_t group = 0; group < g.groups; ++group) {
    if (g.weights.tail_bytes) copy_tail<F>(group_place<F>(g.weights, group).units, g.weights, tail);
    if constexpr (F::kRowByRow) {
      for (int r = 0; r < F::kRows; ++r) gemv_group<F, C, 1>(g, group, r, tail, index);
    } else {
      gemv_group<F, C, F::kRows>(g, group, Constant<0>{}, tail, index);
    }
  }
}

// Rows `row` and `row + distance` of a plain format with one column, side by side.
template <class F>
IQK_INLINE void gemv_two_rows(const GemvArgs& g, int64_t row, int64_t distance, uint8_t (*tails)[F::kUnit]) {
  static_assert(F::kIndexWords == 0);
  using D = Derived<F>;
  const GroupWalk& w = g.weights;
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  const GroupPlace<F> place[2] = {group_place<F>(w, row), group_place<F>(w, row + distance)};
  RowSums<F, 1> sums[2];
  unroll<2>([&](auto r) IQK_LAMBDA {
    if (w.tail_bytes) copy_tail<F>(place[r].units, w, tails[r]);
    sums[r].lanes[0] = fsplat<16>(0.0f);
    sums[r].terms[0] = fsplat<F::kScales>(0.0f);
  });
  for (int64_t u = 0; u < units; ++u)
    unroll<2>([&](auto r) IQK_LAMBDA {
      const uint8_t* unit = u < w.full_units ? place[r].units + u * F::kUnit : tails[r];
      fetch_ahead<F>(unit, w.ahead);
      // Not const: GCC would keep it in memory and copy it in small pieces.
      auto shared = F::open(In{unit, place[r].header, 0, nullptr});
      add_unit<F, 1>(F::row(shared, Constant<0>{}), g.activations + u * D::kActUnit, sums[r]);
    });
  unroll<2>([&](auto r) IQK_LAMBDA {
    float y = sum(sums[r].lanes[0]);
    if constexpr (D::kTerms) y += sum(sums[r].terms[0]);
    if constexpr (F::kRowScale) y *= F::row_scale(In{place[r].units, place[r].header, 0, nullptr});
    g.out[row + r * distance] = y;
  });
}

template <class F>
IQK_INLINE void gemv_streams(const GemvArgs& g) {
  alignas(64) uint8_t tails[2][F::kUnit];
  const int64_t half = g.groups / 2;
  for (int64_t row = 0; row < half; ++row) gemv_two_rows<F>(g, row, half, tails);
  if (g.groups % 2 == 0) return;
  GemvArgs last = g;
  last.weights.data += 2 * half * g.weights.group_bytes;
  last.groups = 1;
  last.out += 2 * half;
  gemv_groups<F, 1>(last);
}

template <class F, int C>
void gemv(const GemvArgs& g) {
  if constexpr (F::kLines)
    for (int first = 0; first < C; first += 4) gemv_rows<F, (C < 4 ? C : 4)>(g, C, first);
  else if constexpr (C == 1 && F::kRows == 1 && F::kStreams == 2)
    gemv_streams<F>(g);
  else if constexpr (C <= (F::kRows == 1 ? 4 : 1))
    gemv_groups<F, C>(g);
  else
    multiply_rows(row_source<F>, g, C);
}

}  // namespace IQK_NS

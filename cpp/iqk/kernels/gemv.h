// Fused product for few columns: each unit is decoded in registers and multiplied with C columns at once.
// Where there are no registers for that many, and for several columns of interleaved rows, rows go through
// memory (row_products.h).
#pragma once

#include "iqk/kernels/arguments.h"
#include "iqk/kernels/gemv_rows.h"
#include "iqk/kernels/rows.h"
#include "iqk/kernels/trait.h"
#include "iqk/kernels/unit_walk.h"

namespace IQK_NS {

// Float sums of one row and C columns: by dword lane, and by scale group for the terms; of scales and minima
// in one register, those of the minima are in the upper half, and nothing of use in the other.
template <class F, int C>
struct RowSums {
  static constexpr int kTerms = Derived<F>::kTerms ? C : 0;
  static constexpr int kTermLanes = F::kScalesAndMinima ? 16 : F::kScales;
  Floats<16> lanes[C];
  Floats<kTermLanes> terms[kTerms + (kTerms == 0)];
};
template <class F, int C>
IQK_INLINE void clear(RowSums<F, C>& sums) {
  unroll<C>([&](auto c) IQK_LAMBDA { sums.lanes[c] = fsplat<16>(0.0f); });
  unroll<RowSums<F, C>::kTerms>([&](auto c)
                                    IQK_LAMBDA { sums.terms[c] = fsplat<RowSums<F, C>::kTermLanes>(0.0f); });
}
// Row r of the group in `place`, to out[column * out_stride].
template <class F, int C, class Row>
IQK_INLINE void put_sums(const RowSums<F, C>& sums, const GroupPlace<F>& place, Row r, float* out,
                         ptrdiff_t out_stride) {
  constexpr int T = RowSums<F, C>::kTermLanes;
  const float scale = F::row_scale(In{place.units, place.header, r, nullptr});
  Floats<16> all[C];
  unroll<C>([&](auto c) IQK_LAMBDA {
    all[c] = sums.lanes[c];
    if constexpr (F::kScalesAndMinima)
      all[c] = add_where(all[c], 0xff00, sums.terms[c]);
    else if constexpr (Derived<F>::kOnlyShifts)
      all[c] = add_lowest(all[c], sums.terms[c] * fsplat<T>(F::kShift));
    else if constexpr (Derived<F>::kTerms)
      all[c] = add_lowest(all[c], sums.terms[c]);
  });
  float y[C];
  store_sums(all, y);
  for (int c = 0; c < C; ++c) out[c * out_stride] = F::kRowScale ? y[c] * scale : y[c];
}

// Adds one unit of a row. `act`: C packed activation units (Derived::kActUnit bytes each).
template <class F, int C, class State>
IQK_INLINE void add_unit(const State& state, const uint8_t* act, RowSums<F, C>& sums) {
  using D = Derived<F>;
  constexpr int S = F::kScalesAndMinima ? 16 : F::kScales, A = F::kAccumulators;
  // Columns that are taken together: so many as have room for their integer sums.
  constexpr int kAtOnce = C * A <= 8 ? C : 8 / A;
  // A column's scales are packed both by dword and by group. With several columns the row's are spread over
  // the dwords once, where that is one vector; else the products are.
  constexpr bool kSpreadRow = F::kLaneScales || (kMerges && C > 1 && A == 1);
  constexpr bool kFloatSums = D::kFloatStarts && C > 1;
  static_assert(!F::kLaneScales || (A == 1 && !D::kTerms));
  Floats<S> scales;  // perhaps with the minima
  Floats<16> row_scales;
  const auto numbers = [&](int c, int at)
                           IQK_LAMBDA { return reinterpret_cast<const float*>(act + c * D::kActUnit + at); };
  const auto start = [&](auto& acc, int first) IQK_LAMBDA {
    unroll<kAtOnce>([&](auto c) IQK_LAMBDA {
      unroll<A>([&](auto a) IQK_LAMBDA {
        if constexpr (D::kStartBias != 0 || kFloatSums)
          acc[c][a].start(act + (first + c) * D::kActUnit + D::kActStarts + 64 * a);
        else
          acc[c][a].start();
      });
    });
  };
  const auto add = [&](auto& acc, int first, auto v, Bytes codes) IQK_LAMBDA {
    constexpr int kVector = decltype(v)::value;
    unroll<kAtOnce>([&](auto c) IQK_LAMBDA {
      acc[c][F::accumulator(kVector)].template add<D::ordinal(kVector)>(
          codes, load(act + (first + c) * D::kActUnit + 64 * D::slot(kVector)));
    });
  };
  const auto scale = [&](auto& acc, int first) IQK_LAMBDA {
    Floats<16> zero;
    if constexpr (kFloatSums) zero = row_scales * fsplat<16>(-kPanelZero);
    unroll<kAtOnce>([&](auto c) IQK_LAMBDA {
      Floats<S> both;
      if constexpr (!kSpreadRow) both = scales * fload<S>(numbers(first + c, D::kActScales));
      if constexpr (!kSpreadRow && F::kScalesAndMinima) sums.terms[first + c] = sums.terms[first + c] + both;
      unroll<A>([&](auto a) IQK_LAMBDA {
        Floats<16>& sum = sums.lanes[first + c];
        if constexpr (kFloatSums) {
          const Floats<16> product = fma(as_floats(acc[c][a].finish()), row_scales, zero);
          sum = fma(product, fload<16>(numbers(first + c, D::kActLaneScales)), sum);
          return;
        }
        Floats<16> by_lane;
        if constexpr (kSpreadRow)
          by_lane = row_scales * fload<16>(numbers(first + c, D::kActLaneScales));
        else
          by_lane = spread<typename D::template LaneMap<decltype(a)::value>>(both);
        sum = fma(to_float(acc[c][a].finish()), by_lane, sum);
      });
    });
  };
  const auto read_scales = [&]() IQK_LAMBDA {
    if constexpr (F::kLaneScales) {
      row_scales = F::lane_scales(state);
    } else {
      if constexpr (F::kScalesAndMinima)
        scales = F::scales_and_minima(state);
      else
        scales = F::scales(state);
      if constexpr (kSpreadRow) row_scales = spread<typename D::template LaneMap<0>>(scales);
    }
  };

  if constexpr (kAtOnce == C) {
    Acc<F::kMax> acc[C][A];
    start(acc, 0);
    F::codes(state, [&](auto v, Bytes codes) IQK_LAMBDA { add(acc, 0, v, codes); });
    read_scales();
    scale(acc, 0);
  } else {
    Bytes codes[4];
    F::codes(state, [&](auto v, Bytes x) IQK_LAMBDA { codes[v] = x; });
    read_scales();
    unroll<C / kAtOnce>([&](auto n) IQK_LAMBDA {
      constexpr int kFirst = decltype(n)::value * kAtOnce;
      Acc<F::kMax> acc[kAtOnce][A];
      start(acc, kFirst);
      unroll<4>([&](auto v) IQK_LAMBDA { add(acc, kFirst, v, codes[v]); });
      scale(acc, kFirst);
    });
  }
  if constexpr (F::kScalesAndMinima) {
    static_assert(D::kActSums == D::kActScales + 4 * F::kScales);
    if constexpr (kSpreadRow)
      unroll<C>([&](auto c) IQK_LAMBDA {
        sums.terms[c] = fma(scales, fload<S>(numbers(c, D::kActScales)), sums.terms[c]);
      });
  } else if constexpr (D::kOnlyShifts) {
    const uint32_t shifts = F::shifts(state);
    unroll<C>([&](auto c) IQK_LAMBDA {
      sums.terms[c] = fma_where(scales, fload<S>(numbers(c, D::kActSums)), sums.terms[c], shifts);
    });
  } else if constexpr (D::kTerms) {
    const Floats<S> terms = D::terms(state, scales);
    unroll<C>([&](auto c) IQK_LAMBDA {
      sums.terms[c] = fma(terms, fload<S>(numbers(c, D::kActSums)), sums.terms[c]);
    });
  }
}

// Adds a unit of rows From .. From + R - 1 of one group (From is a constant where the rows share their
// decoding).
template <class F, int C, int R, class From>
IQK_INLINE void add_unit_of_rows(In in, ptrdiff_t ahead, From from, const uint8_t* act, RowSums<F, C>* sums) {
  fetch_ahead<F>(in.block, ahead);
  // Not const: GCC would keep it in memory and copy it in small pieces.
  auto shared = F::open(in);
  if constexpr (R == 1)
    add_unit<F, C>(F::row(shared, from), act, sums[0]);
  else
    unroll<R>([&](auto r) IQK_LAMBDA {
      RowSums<F, C> of_row = sums[r];  // in registers
      add_unit<F, C>(F::row(shared, r), act, of_row);
      sums[r] = of_row;
    });
}

// Units of one slice of the row's first pass over its indices.
constexpr int64_t kIndexUnits = 16;

template <class F, int C, int R, class From>
IQK_INLINE void gemv_group(const GemvArgs& g, int64_t group, From from, const uint8_t* tail,
                           uint16_t* index) {
  using D = Derived<F>;
  const GroupWalk& w = g.weights;
  const GroupPlace<F> place = group_place<F>(w, group);
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  RowSums<F, C> sums[R];
  unroll<R>([&](auto r) IQK_LAMBDA { clear(sums[r]); });
  const uint8_t* act = g.activations;
  // In slices, where there is a first pass.
  constexpr int64_t kSlice = F::kIndexWords != 0 ? kIndexUnits : INT64_MAX;
  for (int64_t u = 0; u < units; u += kSlice) {
    const UnitsFrom<F> slice{place.units + u * F::kUnit, tail, w.full_units - u, place.header};
    const int64_t count = units - u < kSlice ? units - u : kSlice;
    if constexpr (F::kIndexWords != 0) make_indices(slice, count, index);
    for (int64_t n = 0; n < count; ++n, act += C * D::kActUnit) {
      const In in{slice.at(n), place.header, 0, index + (F::kIndexWords ? n * F::kIndexWords : 0)};
      add_unit_of_rows<F, C, R>(in, w.ahead, from, act, sums);
    }
  }
  unroll<R>([&](auto r) IQK_LAMBDA {
    put_sums(sums[r], place, from + r, g.out + group * F::kRows + from + r, g.out_stride);
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
  const GroupWalk& w = g.weights;
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  const GroupPlace<F> place[2] = {group_place<F>(w, row), group_place<F>(w, row + distance)};
  RowSums<F, 1> sums[2];
  const auto units_of = [&](int r) IQK_LAMBDA {
    return UnitsFrom<F>{place[r].units, tails[r], w.full_units, place[r].header};
  };
  unroll<2>([&](auto r) IQK_LAMBDA {
    if (w.tail_bytes) copy_tail<F>(place[r].units, w, tails[r]);
    clear(sums[r]);
  });
  for (int64_t u = 0; u < units; ++u)
    unroll<2>([&](auto r) IQK_LAMBDA {
      add_unit_of_rows<F, 1, 1>(units_of(r).in(u), w.ahead, Constant<0>{},
                                g.activations + u * Derived<F>::kActUnit, &sums[r]);
    });
  unroll<2>([&](auto r) IQK_LAMBDA {
    put_sums(sums[r], place[r], Constant<0>{}, g.out + row + r * distance, g.out_stride);
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

// More columns than the first-level cache has room for, or than there are registers for with all rows of a
// group: a slice of some rows after the other, whose sums wait in memory.
template <class F, int C>
IQK_INLINE void gemv_slices(const GemvArgs& g) {
  constexpr int R = F::kRows, kGroups = 16 / R, kUnits = 8;
  alignas(64) uint8_t tail[F::kUnit];
  alignas(64) uint16_t index[kUnits * (F::kIndexWords ? F::kIndexWords : 1)];
  RowSums<F, C> sums[kGroups * R];
  const GroupWalk& w = g.weights;
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  for (int64_t group = 0; group < g.groups; group += kGroups) {
    const int count = static_cast<int>(g.groups - group < kGroups ? g.groups - group : kGroups);
    for (int r = 0; r < count * R; ++r) clear(sums[r]);
    for (int64_t first = 0; first < units; first += kUnits) {
      const int64_t end = first + kUnits < units ? first + kUnits : units;
      const ptrdiff_t ahead = w.ahead == 0  ? 0
                              : end < units ? kUnits * F::kUnit  // of the same rows, or the next rows' first
                                            : kGroups * w.group_bytes - first * F::kUnit;
      for (int i = 0; i < count; ++i) {
        const GroupPlace<F> place = group_place<F>(w, group + i);
        if (w.tail_bytes && end == units) copy_tail<F>(place.units, w, tail);
        const UnitsFrom<F> slice{place.units + first * F::kUnit, tail, w.full_units - first, place.header};
        if constexpr (F::kIndexWords != 0) make_indices(slice, end - first, index);
        const auto in = [&](int64_t u) IQK_LAMBDA {
          return In{slice.at(u - first), place.header, 0, index + (u - first) * F::kIndexWords};
        };
        const auto act = [&](int64_t u) IQK_LAMBDA { return g.activations + u * C * Derived<F>::kActUnit; };
        const auto each_unit = [&](auto from) IQK_LAMBDA {
          RowSums<F, C> of_row = sums[i * R + from];
          for (int64_t u = first; u < end; ++u)
            add_unit_of_rows<F, C, 1>(in(u), ahead, from, act(u), &of_row);
          sums[i * R + from] = of_row;
        };
        if constexpr (R == 1) {
          each_unit(Constant<0>{});
        } else if constexpr (F::kRowByRow) {
          for (int r = 0; r < R; ++r) each_unit(r);
        } else {
          for (int64_t u = first; u < end; ++u)
            add_unit_of_rows<F, C, R>(in(u), ahead, Constant<0>{}, act(u), sums + i * R);
        }
      }
    }
    for (int i = 0; i < count; ++i)
      for (int r = 0; r < R; ++r)
        put_sums(sums[i * R + r], group_place<F>(w, group + i), r, g.out + (group + i) * R + r, g.out_stride);
  }
}

template <class F, int C>
void gemv(const GemvArgs& g) {
  if constexpr (F::kLines)
    for (int first = 0; first < C; first += 4) gemv_rows<F, (C < 4 ? C : 4)>(g, C, first);
  else if constexpr (C == 1 && F::kRows == 1 && F::kStreams == 2)
    gemv_streams<F>(g);
  else if constexpr (C <= (F::kRows == 1 ? 4 : 1))
    gemv_groups<F, C>(g);
  else if constexpr (kFusedColumns == 8)
    gemv_slices<F, C>(g);
  else
    multiply_rows(row_source<F>, g, C);
}

}  // namespace IQK_NS

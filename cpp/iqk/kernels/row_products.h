// Products of decoded rows with several columns: a few rows and a few units at a time, so that both the rows
// and the columns' share stay in the first-level cache.
#pragma once

#include "iqk/kernels/rows.h"

namespace IQK_NS {

// Adds `units` units of one row and C columns to sums[C][16], by dword lane. `act`: the columns' packed
// units, `act_unit` bytes each, their lane scales at `act_lanes`; those of the next unit follow after
// `act_step` bytes.
template <int Max, int A, int C>
void add_row(const uint8_t* codes, const float* lanes, const uint8_t* act, ptrdiff_t act_unit,
             ptrdiff_t act_lanes, ptrdiff_t act_step, int units, float* sums) {
  Floats<16> total[C];
  unroll<C>([&](auto c) IQK_LAMBDA { total[c] = fload<16>(sums + 16 * c); });
  for (int u = 0; u < units; ++u) {
    unroll<A>([&](auto a) IQK_LAMBDA {
      Acc<Max> acc[C];
      unroll<C>([&](auto c) IQK_LAMBDA { acc[c].start(); });
      unroll<4 / A>([&](auto n) IQK_LAMBDA {
        constexpr int kAt = 64 * (decltype(a)::value * 4 / A + decltype(n)::value);
        const Bytes x = load(codes + kAt);
        unroll<C>([&](auto c) IQK_LAMBDA {
          acc[c].template add<decltype(n)::value>(x, load(act + c * act_unit + kAt));
        });
      });
      const Floats<16> scale = fload<16>(lanes + 16 * a);
      unroll<C>([&](auto c) IQK_LAMBDA {
        const float* x = reinterpret_cast<const float*>(act + c * act_unit + act_lanes) + 16 * a;
        total[c] = fma(to_float(acc[c].finish()), scale * fload<16>(x), total[c]);
      });
    });
    codes += 256;
    lanes += 16 * A;
    act += act_step;
  }
  unroll<C>([&](auto c) IQK_LAMBDA { fstore(sums + 16 * c, total[c]); });
}

// The same for the terms, `count` of them per unit: sums[C][8].
template <int C>
void add_terms(const float* terms, int count, const uint8_t* act_sums, ptrdiff_t act_unit, ptrdiff_t act_step,
               int units, float* sums) {
  Floats<8> total[C];
  unroll<C>([&](auto c) IQK_LAMBDA { total[c] = fload<8>(sums + 8 * c); });
  for (int u = 0; u < units; ++u, terms += count, act_sums += act_step)
    for (int i = 0; i < count; i += 8) {
      const Floats<8> term = fload<8>(terms + i);
      unroll<C>([&](auto c) IQK_LAMBDA {
        const float* x = reinterpret_cast<const float*>(act_sums + c * act_unit) + i;
        total[c] = fma(term, fload<8>(x), total[c]);
      });
    }
  unroll<C>([&](auto c) IQK_LAMBDA { fstore(sums + 8 * c, total[c]); });
}

using AddRow = void (*)(const uint8_t*, const float*, const uint8_t*, ptrdiff_t, ptrdiff_t, ptrdiff_t, int,
                        float*);
// By panel_class, number of accumulators (1, 2, 4) and columns (2, 4).
template <int Max>
struct RowKernels {
  static constexpr AddRow at[3][2] = {{add_row<Max, 1, 2>, add_row<Max, 1, 4>},
                                      {add_row<Max, 2, 2>, add_row<Max, 2, 4>},
                                      {add_row<Max, 4, 2>, add_row<Max, 4, 4>}};
};
IQK_INLINE AddRow row_kernel(int code_class, int accumulators, int columns) {
  static constexpr const AddRow(*kKernels[kCodeClasses])[2] = {
      RowKernels<15>::at, RowKernels<31>::at, RowKernels<63>::at, RowKernels<127>::at, RowKernels<0>::at};
  return kKernels[code_class][accumulators / 2][columns / 4];
}

void multiply_rows(const RowSource& source, const GemvArgs& g, int columns) {
  constexpr int kRows = 4, kMostRows = 16, kMostColumns = 8;  // kRows: at a time, of plain formats
  constexpr int kUnits = kRows * kMostUnits;                  // of all rows together
  const GroupWalk& w = g.weights;
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  const int S = source.scales, A = source.accumulators, step = columns < 4 ? columns : 4;
  const AddRow add = row_kernel(source.code_class, A, step);
  const ptrdiff_t act_lanes = 256 + 4 * S * (source.terms ? 2 : 1), act_unit = act_lanes + 64 * A;
  const ptrdiff_t act_step = columns * act_unit;
  // Where the terms are multiples of the scales, these take their place and the factor comes last.
  const bool own_terms = source.shift || source.minima;
  const float factor = own_terms ? 1 : -source.bias;

  alignas(64) uint8_t codes[kUnits * 256];
  alignas(64) float numbers[3][kUnits * 16];
  alignas(64) float lanes[kUnits * 64];
  alignas(64) float sums[kMostRows][kMostColumns][16], term_sums[kMostRows][kMostColumns][8];
  const int groups = source.rows < kRows ? kRows / source.rows : 1;  // at a time
  const int most_units = source.rows <= kRows ? kMostUnits : kUnits / source.rows;
  for (int64_t group = 0; group < g.groups; group += groups) {
    const int count = static_cast<int>(g.groups - group < groups ? g.groups - group : groups);
    const int rows = count * source.rows;
    std::memset(sums, 0, sizeof sums[0] * static_cast<size_t>(rows));
    std::memset(term_sums, 0, sizeof term_sums[0] * static_cast<size_t>(rows));
    for (int64_t unit = 0; unit < units; unit += most_units) {
      const int n = static_cast<int>(units - unit < most_units ? units - unit : most_units);
      const RowBuffers all{codes, numbers[0], numbers[1], numbers[2], lanes, nullptr, n};
      for (int i = 0; i < count; ++i)
        source.decode(w, group + i, unit, n, source.from(all, i * source.rows * n));
      if (own_terms) make_terms(source, all, rows * n * S, source.bias, all.minima);
      const uint8_t* act = g.activations + unit * act_step;
      for (int c = 0; c < columns; c += step)
        for (int r = 0; r < rows; ++r)
          add(codes + 256 * r * n, lanes + 16 * A * r * n, act + c * act_unit, act_unit, act_lanes, act_step,
              n, sums[r][c]);
      if (source.terms)
        for (int r = 0; r < rows; ++r)
          for (int c = 0; c < columns; c += step)
            (step == 2 ? add_terms<2> : add_terms<4>)((own_terms ? all.minima : all.scales) + S * r * n, S,
                                                      act + c * act_unit + 256 + 4 * S, act_unit, act_step, n,
                                                      term_sums[r][c]);
    }
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c)
        g.out[c * g.out_stride + group * source.rows + r] = sum(fma(
            fload<8>(term_sums[r][c]), fsplat<8>(factor), fload<8>(sums[r][c]) + fload<8>(sums[r][c] + 8)));
  }
}

}  // namespace IQK_NS

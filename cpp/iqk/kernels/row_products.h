// Products of decoded rows with several columns: a few rows and a few units at a time, so that both the rows
// and the columns' share stay in the first-level cache. For instruction sets whose fused kernels take fewer
// columns than eight.
#pragma once

#include <utility>

#include "iqk/kernels/rows.h"

namespace IQK_NS {

constexpr int kMostColumns = 8;

// Packed activations: bytes of a column's unit, and from all columns' units to the next ones.
struct ActLayout {
  ptrdiff_t unit, step;
};

// Adds the `units` decoded units of each of R rows, and C columns, to sums[row][kMostColumns][16], by dword
// lane. `lanes`: the rows' lane scales. `act`: the columns' packed units.
template <int Max, int A, int C, int R>
IQK_INLINE void add_some_rows(const uint8_t* codes, const float* lanes, const uint8_t* act,
                              const ActLayout& at, int units, float* sums) {
  Floats<16> total[R][C];
  const auto each = [](auto f) IQK_LAMBDA {
    unroll<R>([&](auto r) IQK_LAMBDA { unroll<C>([&](auto c) IQK_LAMBDA { f(r, c); }); });
  };
  each([&](auto r, auto c) IQK_LAMBDA { total[r][c] = fload<16>(sums + 16 * (kMostColumns * r + c)); });
  for (int u = 0; u < units; ++u) {
    unroll<A>([&](auto a) IQK_LAMBDA {
      Acc<Max> acc[R][C];
      each([&](auto r, auto c) IQK_LAMBDA {
        if constexpr (kIntegerStarts)
          acc[r][c].start(act + c * at.unit + 256 + 64 * (A + a));
        else
          acc[r][c].start();
      });
      unroll<4 / A>([&](auto n) IQK_LAMBDA {
        constexpr int kAt = 64 * (decltype(a)::value * 4 / A + decltype(n)::value);
        Bytes x[R];
        unroll<R>([&](auto r) IQK_LAMBDA { x[r] = load(codes + 256 * r * units + kAt); });
        unroll<C>([&](auto c) IQK_LAMBDA {
          const Bytes y = held(load(act + c * at.unit + kAt));
          unroll<R>([&](auto r) IQK_LAMBDA { acc[r][c].template add<decltype(n)::value>(x[r], y); });
        });
      });
      Floats<16> scale[R];
      unroll<R>([&](auto r) IQK_LAMBDA { scale[r] = fload<16>(lanes + 16 * (A * r * units + a)); });
      unroll<C>([&](auto c) IQK_LAMBDA {
        const Floats<16> x = fload<16>(reinterpret_cast<const float*>(act + c * at.unit + 256) + 16 * a);
        unroll<R>([&](auto r) IQK_LAMBDA {
          total[r][c] = fma(to_float(acc[r][c].finish()), scale[r] * x, total[r][c]);
        });
      });
    });
    codes += 256;
    lanes += 16 * A;
    act += at.step;
  }
  each([&](auto r, auto c) IQK_LAMBDA { fstore(sums + 16 * (kMostColumns * r + c), total[r][c]); });
}

// The same for any number of rows.
template <int Max, int A, int C>
void add_rows(const uint8_t* codes, const float* lanes, const uint8_t* act, const ActLayout& at, int units,
              int rows, float* sums) {
  constexpr int R = kRowsAtOnce;
  int r = 0;
  const auto some = [&](auto count) IQK_LAMBDA {
    add_some_rows<Max, A, C, decltype(count)::value>(codes + 256 * r * units, lanes + 16 * A * r * units, act,
                                                     at, units, sums + 16 * kMostColumns * r);
    r += count;
  };
  while (r + R <= rows) some(Constant<R>{});
  if constexpr (R > 1) {
    while (r < rows) some(Constant<1>{});
  }
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

using AddRows = void (*)(const uint8_t*, const float*, const uint8_t*, const ActLayout&, int, int, float*);
// By number of accumulators (1, 2, 4) and columns (2, 4).
struct RowKernels {
  AddRows at[3][2];
};
template <int Max>
constexpr RowKernels make_row_kernels() {
  return {{{add_rows<Max, 1, 2>, add_rows<Max, 1, 4>},
           {add_rows<Max, 2, 2>, add_rows<Max, 2, 4>},
           {add_rows<Max, 4, 2>, add_rows<Max, 4, 4>}}};
}
// By class of kRowCodes.
template <int... Class>
IQK_INLINE const RowKernels& row_kernels(int code_class, std::integer_sequence<int, Class...>) {
  static constexpr RowKernels kKernels[] = {make_row_kernels<kRowCodes[Class]>()...};
  return kKernels[code_class];
}

template <int Fused>
void products_of_rows(const RowSource& source, const GemvArgs& g, int columns) {
  constexpr int kRows = 16;  // at a time
  constexpr int kUnits = 4;  // of each
  GroupWalk w = g.weights;
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  const int S = source.scales, A = source.accumulators, step = columns < 4 ? columns : 4;
  const AddRows add = row_kernels(source.code_class, Classes<kRowCodes>{}).at[A / 2][step / 4];
  const ptrdiff_t sums_at = 256 + 64 * A * (kIntegerStarts ? 2 : 1) + 4 * S;
  const ptrdiff_t unit = (sums_at + 4 * S * source.terms + 63) / 64 * 64;
  const ActLayout at{unit, columns * unit};
  // Where the terms are multiples of the scales, these take their place and the factor comes last.
  const bool own_terms = source.shift || source.minima;
  const float factor = own_terms ? 1 : -source.term_bias;

  alignas(64) uint8_t codes[kRows * kUnits * 256];
  alignas(64) float numbers[3][kRows * kUnits * 16];
  alignas(64) float lanes[kRows * kUnits * 64];
  alignas(64) float sums[kRows][kMostColumns][16], term_sums[kRows][kMostColumns][8];
  const int groups = kRows / source.rows;  // at a time
  for (int64_t group = 0; group < g.groups; group += groups) {
    const int count = static_cast<int>(g.groups - group < groups ? g.groups - group : groups);
    const int rows = count * source.rows;
    std::memset(sums, 0, sizeof sums[0] * static_cast<size_t>(rows));
    std::memset(term_sums, 0, sizeof term_sums[0] * static_cast<size_t>(rows));
    for (int64_t first = 0; first < units; first += kUnits) {
      const int n = static_cast<int>(units - first < kUnits ? units - first : kUnits);
      if (g.weights.ahead != 0)  // the next piece of the same row, or the first one of the next rows
        w.ahead = first + n < units ? kUnits * source.unit : groups * w.group_bytes - first * source.unit;
      const RowBuffers all{codes, numbers[0], numbers[1], numbers[2], lanes, nullptr, n};
      for (int i = 0; i < count; ++i)
        source.decode(w, group + i, first, n, source.from(all, i * source.rows * n));
      if (own_terms) make_terms(source, all, rows * n * S, source.term_bias, all.minima);
      const uint8_t* act = g.activations + first * at.step;
      for (int c = 0; c < columns; c += step) add(codes, lanes, act + c * unit, at, n, rows, sums[0][c]);
      if (source.terms)
        for (int r = 0; r < rows; ++r)
          for (int c = 0; c < columns; c += step)
            (step == 2 ? add_terms<2> : add_terms<4>)((own_terms ? all.minima : all.scales) + S * r * n, S,
                                                      act + c * unit + sums_at, unit, at.step, n,
                                                      term_sums[r][c]);
    }
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c)
        g.out[c * g.out_stride + group * source.rows + r] = sum(fma(
            fload<8>(term_sums[r][c]), fsplat<8>(factor), fload<8>(sums[r][c]) + fload<8>(sums[r][c] + 8)));
  }
}
template <int Fused>
constexpr RowProducts row_products() {
  if constexpr (Fused < 8)
    return products_of_rows<Fused>;
  else
    return nullptr;
}
const RowProducts multiply_rows = row_products<kFusedColumns>();

}  // namespace IQK_NS

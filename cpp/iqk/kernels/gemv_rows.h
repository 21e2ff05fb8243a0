// Products and panels of the types whose tiles are lines already: vectors of one quad (four columns) of all
// rows, or of two quads of eight rows each. They are multiplied as they lie, with the quad's activations in
// all dwords: every dword is a row, and nothing has to be added up across a vector.
//
// Such a trait has, in place of codes, scales and row,
//   kLines             true
//   lines(in, b, put)  calls put(Constant<n>{}, Bytes) for all vectors of sub-block b (32 columns)
//   quad(n, h)         which quad 0..7 is in vector n, for eight rows in its half h
//   line_scales(in, b) Floats<kRows>: a scale per row
// and the natural order.
#pragma once

#include "iqk/kernels/arguments.h"
#include "iqk/kernels/rows.h"
#include "iqk/kernels/trait.h"
#include "iqk/kernels/unit_walk.h"

namespace IQK_NS {

template <int Rows>
IQK_INLINE Floats<Rows> row_sums(Ints x) {
  if constexpr (Rows == 8)
    return folded_to_float(x);
  else
    return to_float(x);
}

// Columns first .. first + C - 1 of `columns`.
template <class F, int C>
void gemv_rows(const GemvArgs& g, int columns, int first) {
  using D = Derived<F>;
  constexpr int R = F::kRows;
  const GroupWalk& w = g.weights;
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  alignas(64) uint8_t tail[F::kUnit];
  for (int64_t group = 0; group < g.groups; ++group) {
    const GroupPlace<F> place = group_place<F>(w, group);
    if (w.tail_bytes) copy_tail<F>(place.units, w, tail);
    Floats<R> sums[C];
    unroll<C>([&](auto c) IQK_LAMBDA { sums[c] = fsplat<R>(0); });
    for (int64_t u = 0; u < units; ++u) {
      const In in{u < w.full_units ? place.units + u * F::kUnit : tail, place.header, 0, nullptr};
      fetch_ahead<F>(in.block, w.ahead);
      const uint8_t* act = g.activations + (u * columns + first) * D::kActUnit;
      for (int b = 0; b < 8; ++b) {
        Acc<F::kMax> acc[C];
        unroll<C>([&](auto c) IQK_LAMBDA { acc[c].start(); });
        F::lines(in, b, [&](auto n, Bytes codes) IQK_LAMBDA {
          constexpr int kVector = decltype(n)::value;
          unroll<C>([&](auto c) IQK_LAMBDA {
            const uint8_t* x = act + c * D::kActUnit + 32 * b;
            acc[c].template add<kVector>(
                codes, load_dword_halves(x + 4 * F::quad(kVector, 0), x + 4 * F::quad(kVector, 1)));
          });
        });
        const Floats<R> scales = F::line_scales(in, b);
        unroll<C>([&](auto c) IQK_LAMBDA {
          const float* numbers = reinterpret_cast<const float*>(act + c * D::kActUnit + 256);
          sums[c] = fma(row_sums<R>(acc[c].finish()), scales * fsplat<R>(numbers[b]), sums[c]);
          if constexpr (D::kBias != 0) sums[c] = fma(scales, fsplat<R>(-D::kBias * numbers[8 + b]), sums[c]);
        });
      }
    }
    unroll<C>([&](auto c) IQK_LAMBDA {
      float* y = g.out + (first + c) * g.out_stride + group * R;
      fstore(y, sums[c]);
      if constexpr (F::kRowScale)
        for (int r = 0; r < R; ++r) y[r] *= F::row_scale(In{place.units, place.header, r, nullptr});
    });
  }
}

// Puts the vectors of sub-block b where to(quad) says, each quad of all rows in one piece.
template <class F, class To>
IQK_INLINE void put_quads(In in, int b, To to) {
  F::lines(in, b, [&](auto n, Bytes codes) IQK_LAMBDA {
    uint8_t* first = to(F::quad(decltype(n)::value, 0));
    if constexpr (F::kRows == 8)
      store_halves(first, to(F::quad(decltype(n)::value, 1)), codes);
    else
      store(first, codes);
  });
}

// To rows of codes, in natural order; at most four units per row.
template <class F>
void decode_lines(const GroupWalk& w, int64_t group, int64_t unit, int units, const RowBuffers& to) {
  constexpr int R = F::kRows,
                kBlocks = R == 8 ? 4 : 2;  // sub-blocks that are turned together: 16 lines of 64 bytes
  const GroupPlace<F> place = group_place<F>(w, group);
  alignas(64) uint8_t tail[F::kUnit];
  alignas(64) uint8_t lines[16 * 64];
  alignas(64) float row_scales[R], scales[R];
  uint8_t at[16];  // where the 64 bytes go that become of dword d of all lines
  for (int d = 0; d < 16; ++d) at[d] = static_cast<uint8_t>(d % R * 4 * to.units_per_row + d / R);
  for (int r = 0; r < R; ++r) row_scales[r] = F::row_scale(In{place.units, place.header, r, nullptr});
  if (w.tail_bytes && unit + units > w.full_units) copy_tail<F>(place.units, w, tail);
  for (int n = 0; n < units; ++n) {
    const In in{unit + n < w.full_units ? place.units + (unit + n) * F::kUnit : tail, place.header, 0,
                nullptr};
    fetch_ahead<F>(in.block, w.ahead);
    for (int b = 0; b < 8; ++b) {
      put_quads<F>(in, b, [&](int quad) IQK_LAMBDA {
        const int q = b % kBlocks * 8 + quad;
        return lines + q % 16 * 64 + q / 16 * 32;
      });
      if (b % kBlocks == kBlocks - 1)
        transpose16(lines, 64, to.codes + 256 * n + b / kBlocks * (8 * 4 * kBlocks), at, 64);
      fstore(scales, F::line_scales(in, b) * fload<R>(row_scales));
      for (int r = 0; r < R; ++r) to.scales[8 * (r * to.units_per_row + n) + b] = scales[r];
    }
  }
}

// The same as panel_of_rows, without transposing.
template <class F>
IQK_INLINE void unpack_lines(const UnpackArgs& a, int panel_rows) {
  static_assert(!Derived<F>::kPanelTerms && Derived<F>::kCodeShift == 0);
  constexpr int R = F::kRows;
  const GroupWalk& w = a.weights;
  const int64_t last = (a.rows - 1) / R;
  alignas(64) uint8_t tail[F::kUnit];
  alignas(64) float row_scales[R];
  for (int row = 0; row < panel_rows; row += R) {
    const GroupPlace<F> place = group_place<F>(w, row / R < last ? row / R : last);
    for (int r = 0; r < R; ++r) row_scales[r] = F::row_scale(In{place.units, place.header, r, nullptr});
    if (w.tail_bytes && a.unit + a.units > w.full_units) copy_tail<F>(place.units, w, tail);
    for (int u = 0; u < a.units; ++u) {
      const In in{a.unit + u < w.full_units ? place.units + (a.unit + u) * F::kUnit : tail, place.header, 0,
                  nullptr};
      fetch_ahead<F>(in.block, w.ahead);
      for (int b = 0; b < 8; ++b) {
        const int64_t line = 4 * panel_rows, group = 8 * u + b;
        uint8_t* to = a.codes + 8 * group * line + 4 * row;
        put_quads<F>(in, b, [&](int quad) IQK_LAMBDA { return to + quad * line; });
        Floats<R> scales = F::line_scales(in, b) * fload<R>(row_scales);
        if constexpr (F::kRowScale) scales = panel_scales(scales);
        fstore(a.scales + group * panel_rows + row, scales);
      }
    }
  }
}

}  // namespace IQK_NS

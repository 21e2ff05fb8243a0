// Rows of any format to a panel tile of codes: lines of four columns of all rows, lines of one scale group
// together.
#pragma once

#include "iqk/kernels/gemv.h"

namespace IQK_NS {

constexpr int kPanelRows = 16 * kPanelVectors;

// Decodes `units` units of one group into rows of codes, scales and terms.
template <class F>
IQK_INLINE void decode_group(const UnpackArgs& a, int64_t group, uint8_t* codes, float* scales,
                             float* terms) {
  using D = Derived<F>;
  constexpr int S = F::kScales;
  const GroupWalk& w = a.weights;
  const GroupPlace<F> place = group_place<F>(w, group);
  alignas(64) uint8_t tail[F::kUnit];
  alignas(64) uint16_t index[2 * (F::kIndexWords ? F::kIndexWords : 1)];
  if (w.tail_bytes && a.unit + a.units > w.full_units) copy_tail<F>(place.units, w, tail);
  const auto unit_at = [&](int u) IQK_LAMBDA {
    return a.unit + u < w.full_units ? place.units + (a.unit + u) * F::kUnit : tail;
  };
  if constexpr (F::kIndexWords != 0)
    for (int u = 0; u < a.units; ++u)
      F::indices(In{unit_at(u), place.header, 0, nullptr}, index + u * F::kIndexWords);
  for (int u = 0; u < a.units; ++u) {
    // Not const, nor the state: GCC would keep it in memory and copy it in small pieces.
    auto shared = F::open(In{unit_at(u), place.header, 0, index + u * F::kIndexWords});
    const auto one_row = [&](auto r) IQK_LAMBDA {
      auto state = F::row(shared, r);
      F::codes(state, [&](auto v, Bytes x) IQK_LAMBDA { store(codes + r * 512 + u * 256 + 64 * v, x); });
      Floats<S> s = F::scales(state);
      Floats<S> t = fsplat<S>(0.0f);
      if constexpr (D::kTerms) t = D::terms(state, s);
      if constexpr (F::kRowScale) {
        const Floats<S> row = fsplat<S>(F::row_scale(In{place.units, place.header, r, nullptr}));
        s = s * row;
        t = t * row;
      }
      fstore(scales + r * 32 + u * S, s);
      if constexpr (D::kTerms) fstore(terms + r * 32 + u * S, t);
    };
    if constexpr (F::kRowByRow) {
      for (int r = 0; r < F::kRows; ++r) one_row(r);
    } else {
      unroll<F::kRows>(one_row);
    }
  }
}

template <class F>
IQK_INLINE void unpack_groups(const UnpackArgs& a) {
  using D = Derived<F>;
  constexpr int S = F::kScales, R = F::kRows;
  static constexpr uint8_t kInOrder[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  constexpr ptrdiff_t kLine = 4 * kPanelRows;
  for (int vector = 0; vector < kPanelVectors; ++vector) {
    alignas(64) uint8_t codes[16 * 512];
    alignas(64) float scales[16 * 32], terms[16 * 32];
    for (int row = 0; row < 16; row += R) {
      const int64_t last = (a.rows - 1) / R, group = (16 * vector + row) / R;
      decode_group<F>(a, group < last ? group : last, codes + row * 512, scales + row * 32, terms + row * 32);
    }
    for (int u = 0; u < a.units; ++u)
      unroll<4>([&](auto v) IQK_LAMBDA {
        transpose16(codes + u * 256 + 64 * v, 512, a.codes + u * 64 * kLine + 64 * vector,
                    D::lines.position + 16 * v, kLine);
      });
    // 16 dwords hold the scales of one unit (16 each) or of two (8 each).
    for (int part = 0; part < a.units * S; part += 16) {
      const auto rows = [&](float* x) { return reinterpret_cast<const uint8_t*>(x + part); };
      const auto to = [&](float* x) {
        return reinterpret_cast<uint8_t*>(x + part * kPanelRows + 16 * vector);
      };
      transpose16(rows(scales), 128, to(a.scales), kInOrder, kLine);
      if constexpr (D::kTerms) transpose16(rows(terms), 128, to(a.terms), kInOrder, kLine);
    }
  }
}

template <class F>
void unpack_panel(const UnpackArgs& a) {
  if constexpr (F::kLines)
    unpack_lines<F>(a, kPanelRows);
  else
    unpack_groups<F>(a);
}

}  // namespace IQK_NS

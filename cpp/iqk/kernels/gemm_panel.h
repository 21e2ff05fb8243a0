// The product of a panel tile with C packed columns: one kernel per largest code, scale group and presence of
// terms, never per format.
#pragma once

#include "iqk/kernels/arguments.h"
#include "iqk/kernels/unpack_panel.h"

namespace IQK_NS {

template <int Max, int S, bool Terms, int C>
void panel_kernel(const PanelArgs& a) {
  constexpr int V = kPanelVectors, kLines = 64 / S;
  constexpr int kActUnit = 4 * C * (64 + S * (Terms ? 2 : 1));
  Floats<16> sums[C][V];
  unroll<C>([&](auto c) IQK_LAMBDA {
    unroll<V>([&](auto v) IQK_LAMBDA { sums[c][v] = fload<16>(a.out + c * kPanelRows + 16 * v); });
  });
  const uint8_t* codes = a.codes;
  const float* scales = a.scales;
  const float* terms = a.terms;
  for (int u = 0; u < a.units; ++u) {
    const uint8_t* act = a.activations + u * kActUnit;
    const float* act_scales = reinterpret_cast<const float*>(act + 4 * 64 * C);
    for (int g = 0; g < S; ++g) {
      PanelAcc<Max> acc[C][V];
      unroll<C>([&](auto c) IQK_LAMBDA { unroll<V>([&](auto v) IQK_LAMBDA { acc[c][v].start(); }); });
      unroll<kLines>([&](auto n) IQK_LAMBDA {
        typename PanelAcc<Max>::Line line[V];
        unroll<V>([&](auto v)
                      IQK_LAMBDA { line[v] = PanelAcc<Max>::prepare(codes + n * 4 * kPanelRows + 64 * v); });
        unroll<C>([&](auto c) IQK_LAMBDA {
          unroll<V>([&](auto v) IQK_LAMBDA {
            acc[c][v].template add<decltype(n)::value>(line[v], act + 4 * (n * C + c));
          });
        });
      });
      unroll<V>([&](auto v) IQK_LAMBDA {
        const Floats<16> scale = fload<16>(scales + 16 * v);
        unroll<C>([&](auto c) IQK_LAMBDA {
          sums[c][v] = fma(to_float(acc[c][v].finish()) * scale, fsplat<16>(act_scales[c]), sums[c][v]);
          if constexpr (Terms)
            sums[c][v] = fma(fload<16>(terms + 16 * v), fsplat<16>(act_scales[S * C + c]), sums[c][v]);
        });
      });
      codes += kLines * 4 * kPanelRows;
      act += 4 * kLines * C;
      act_scales += C;
      scales += kPanelRows;
      if constexpr (Terms) terms += kPanelRows;
    }
  }
  unroll<C>([&](auto c) IQK_LAMBDA {
    unroll<V>([&](auto v) IQK_LAMBDA { fstore(a.out + c * kPanelRows + 16 * v, sums[c][v]); });
  });
}

// The widths of the tile: all columns that the registers hold, and narrower ones for the rest.
template <int Max, int S, bool Terms>
constexpr PanelKernels make_panel_kernels() {
  constexpr int kFull = Max == 0 ? kSignedColumns : kPanelColumns;
  constexpr int kMiddle = kFull == 6 ? 4 : 2, kLast = kFull == 6 ? 2 : 1;
  return {{kFull, kMiddle, kLast},
          {panel_kernel<Max, S, Terms, kFull>, panel_kernel<Max, S, Terms, kMiddle>,
           panel_kernel<Max, S, Terms, kLast>}};
}

// By panel_class, scales per 16, terms; defined in the translation unit of the common parts.
extern const PanelKernels panel_kernels[kCodeClasses][2][2];

}  // namespace IQK_NS

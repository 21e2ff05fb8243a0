// The product of a panel tile with C packed columns: one kernel per largest code, scale group and presence of
// terms, never per format.
#pragma once

#include "iqk/kernels/arguments.h"
#include "iqk/kernels/unpack_panel.h"

namespace IQK_NS {

template <int Max, int S, bool Terms, int C>
void panel_kernel(const PanelArgs& a) {
  constexpr int V = kPanelVectors, kLines = 64 / S;
  constexpr int kActUnit = 4 * C * (64 + S * (Terms ? 3 : 2)), kFetched = (kActUnit / S + 63) / 64;
  Floats<16> sums[C][V];
  unroll<C>([&](auto c) IQK_LAMBDA {
    unroll<V>([&](auto v) IQK_LAMBDA { sums[c][v] = fload<16>(a.out + c * a.out_stride + 16 * v); });
  });
  const uint8_t* codes = a.codes;
  const float* scales = a.scales;
  const float* terms = a.terms;
  const uint8_t* next = a.next;
  unroll<C>([&](auto c) IQK_LAMBDA {
    unroll<V>([&](auto v) IQK_LAMBDA { __builtin_prefetch(a.next_out + c * a.out_stride + 16 * v); });
  });
  for (int u = 0; u < a.units; ++u) {
    const uint8_t* act = a.activations + u * kActUnit;
    const uint8_t* starts = act + 4 * C * (64 + S);
    const float* act_scales = reinterpret_cast<const float*>(act + 4 * C * 64);
    for (int g = 0; g < S; ++g) {
      unroll<kFetched>([&](auto i) IQK_LAMBDA { __builtin_prefetch(next + 64 * i); });
      next += kActUnit / S;
      PanelAcc<Max> acc[C][V];
      unroll<C>([&](auto c)
                    IQK_LAMBDA { unroll<V>([&](auto v) IQK_LAMBDA { acc[c][v].start(starts + 4 * c); }); });
      unroll<kLines>([&](auto n) IQK_LAMBDA {
        typename PanelAcc<Max>::Line line[V];
        unroll<V>([&](auto v)
                      IQK_LAMBDA { line[v] = PanelAcc<Max>::prepare(codes + n * 4 * kPanelRows + 64 * v); });
        unroll<C>([&](auto c) IQK_LAMBDA {
          const auto four = PanelAcc<Max>::four(act + 4 * (n * C + c));
          unroll<V>([&](auto v) IQK_LAMBDA { acc[c][v].template add<decltype(n)::value>(line[v], four); });
        });
      });
      unroll<V>([&](auto v) IQK_LAMBDA {
        // `zero` and what it takes away are exact: a scale has 22 bits at most.
        const Floats<16> scale = fload<16>(scales + 16 * v), zero = scale * fsplat<16>(-kPanelZero);
        unroll<C>([&](auto c) IQK_LAMBDA {
          const Floats<16> product = fma(as_floats(acc[c][v].finish()), scale, zero);
          sums[c][v] = fma(product, fsplat<16>(act_scales[c]), sums[c][v]);
          if constexpr (Terms)
            sums[c][v] = fma(fload<16>(terms + 16 * v), fsplat<16>(act_scales[2 * S * C + c]), sums[c][v]);
        });
      });
      codes += kLines * 4 * kPanelRows;
      act += 4 * kLines * C;
      act_scales += C;
      starts += 4 * C;
      scales += kPanelRows;
      if constexpr (Terms) terms += kPanelRows;
    }
  }
  unroll<C>([&](auto c) IQK_LAMBDA {
    unroll<V>([&](auto v) IQK_LAMBDA { fstore(a.out + c * a.out_stride + 16 * v, sums[c][v]); });
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

// By class of kPanelCodes, scales per 16, terms.
struct PanelTable {
  PanelKernels at[Classes<kPanelCodes>::size()][2][2];
};
template <int... Class>
constexpr PanelTable make_panel_table(std::integer_sequence<int, Class...>) {
  return {{{{make_panel_kernels<kPanelCodes[Class], 8, false>(),
             make_panel_kernels<kPanelCodes[Class], 8, true>()},
            {make_panel_kernels<kPanelCodes[Class], 16, false>(),
             make_panel_kernels<kPanelCodes[Class], 16, true>()}}...}};
}

// Defined in the translation unit of the common parts.
extern const PanelTable panel_table;

}  // namespace IQK_NS

#include "iqk/activations/pack.h"

#include <cstring>

namespace iqk {

namespace {

template <int N>
int sum_of(const int8_t* codes) {
  int sum = 0;
  for (int i = 0; i < N; ++i) sum += codes[i];
  return sum;
}

// Scales of the groups of a unit and, where the order has terms, scale * sum of each: `step` floats apart,
// the sums from `sums` on.
void pack_numbers(const ActivationOrder& order, const int8_t* codes, const float* scales, int step, float* to,
                  float* sums) {
  const int groups = order.scales;
  for (int g = 0; g < groups; ++g) to[g * step] = scales[g * 8 / groups];
  if (!order.terms) return;
  for (int g = 0; g < groups; ++g) {
    const int sum = groups == 8 ? sum_of<32>(codes + 32 * g) : sum_of<16>(codes + 16 * g);
    sums[g * step] = scales[g * 8 / groups] * static_cast<float>(sum);
  }
}

// Whether the four weights of every dword follow each other, as they do in most orders.
bool in_dwords(const uint8_t* weights) {
  for (int i = 0; i < 256; i += 4)
    for (int j = 1; j < 4; ++j)
      if (weights[i + j] != weights[i] + j) return false;
  return true;
}

// Dword i of `weights` to `to` + i * step.
void pack_codes(const uint8_t* weights, bool dwords, const int8_t* codes, ptrdiff_t step, uint8_t* to) {
  if (dwords) {
    for (int i = 0; i < 64; ++i) std::memcpy(to + i * step, codes + weights[4 * i], 4);
  } else {
    for (int i = 0; i < 64; ++i)
      for (int j = 0; j < 4; ++j) to[i * step + j] = static_cast<uint8_t>(codes[weights[4 * i + j]]);
  }
}

}  // namespace

void pack_gemv(const Activations& x, const ActivationOrder& order, int columns, uint8_t* to) {
  const bool dwords = in_dwords(order.gemv);
  for (int64_t u = 0; u < x.units; ++u)
    for (int c = 0; c < columns; ++c, to += order.gemv_unit()) {
      const int8_t* codes = x.codes + (c * x.units + u) * 256;
      pack_codes(order.gemv, dwords, codes, 4, to);
      float* numbers = reinterpret_cast<float*>(to + 256);
      pack_numbers(order, codes, x.scales + (c * x.units + u) * 8, 1, numbers, numbers + order.scales);
    }
}

void pack_panel(const Activations& x, const ActivationOrder& order, int columns, int valid, uint8_t* to) {
  const uint8_t* weights = &order.panel[0][0];
  const bool dwords = in_dwords(weights);
  for (int64_t u = 0; u < x.units; ++u, to += order.panel_unit(columns)) {
    if (valid < columns) std::memset(to, 0, static_cast<size_t>(order.panel_unit(columns)));
    float* numbers = reinterpret_cast<float*>(to + columns * 64 * 4);
    for (int c = 0; c < valid; ++c) {
      const int8_t* codes = x.codes + (c * x.units + u) * 256;
      pack_codes(weights, dwords, codes, 4 * columns, to + 4 * c);
      pack_numbers(order, codes, x.scales + (c * x.units + u) * 8, columns, numbers + c,
                   numbers + order.scales * columns + c);
    }
  }
}

}  // namespace iqk

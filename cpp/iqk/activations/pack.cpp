#include "iqk/activations/pack.h"

#include <cstring>

namespace iqk {

namespace {

// Scale and scale * sum of group g of a unit.
struct Group {
  float scale, sum;
};
Group group_of(const int8_t* codes, const float* scales, int g, int groups) {
  const int size = 256 / groups;
  int sum = 0;
  for (int i = g * size; i < (g + 1) * size; ++i) sum += codes[i];
  const float scale = scales[g * 8 / groups];
  return {scale, scale * static_cast<float>(sum)};
}

}  // namespace

void pack_gemv(const Activations& x, const ActivationOrder& order, int64_t unit, int64_t first, int columns,
               uint8_t* to) {
  for (int c = 0; c < columns; ++c, to += order.gemv_unit()) {
    const int8_t* codes = x.codes + ((first + c) * x.units + unit) * 256;
    const float* scales = x.scales + ((first + c) * x.units + unit) * 8;
    for (int i = 0; i < 256; ++i) to[i] = static_cast<uint8_t>(codes[order.gemv[i]]);
    float numbers[2 * 16 + 4 * 16];
    for (int g = 0; g < order.scales; ++g) {
      const Group group = group_of(codes, scales, g, order.scales);
      numbers[g] = group.scale;
      numbers[order.scales + g] = group.sum;
    }
    float* lanes = numbers + order.scales * (order.terms ? 2 : 1);
    for (int i = 0; i < order.lanes; ++i) lanes[i] = scales[order.lane_scale[i] * 8 / order.scales];
    std::memcpy(to + 256, numbers, static_cast<size_t>(order.gemv_unit() - 256));
  }
}

void pack_panel(const Activations& x, const ActivationOrder& order, int64_t unit, int64_t first, int columns,
                int valid, uint8_t* to) {
  const int groups = order.scales;
  if (valid < columns) std::memset(to, 0, static_cast<size_t>(order.panel_unit(columns)));
  uint8_t* numbers = to + columns * 64 * 4;
  for (int c = 0; c < valid; ++c) {
    const int8_t* codes = x.codes + ((first + c) * x.units + unit) * 256;
    const float* scales = x.scales + ((first + c) * x.units + unit) * 8;
    for (int line = 0; line < 64; ++line) {
      const uint8_t* weight = order.panel[line];
      uint8_t* at = to + (line * columns + c) * 4;
      for (int i = 0; i < 4; ++i) at[i] = static_cast<uint8_t>(codes[weight[i]]);
    }
    for (int g = 0; g < groups; ++g) {
      const Group group = group_of(codes, scales, g, groups);
      std::memcpy(numbers + 4 * (g * columns + c), &group.scale, 4);
      if (order.terms) std::memcpy(numbers + 4 * ((groups + g) * columns + c), &group.sum, 4);
    }
  }
}

}  // namespace iqk

#include "iqk/activations/pack.h"

#include <cstring>

namespace iqk {

namespace {

// Bytes are moved by fours.
void copy_dword(uint8_t* to, const int8_t* from) { std::memcpy(to, from, 4); }

int sum_of_eight(const int8_t* codes) {
  uint64_t x;
  std::memcpy(&x, codes, sizeof x);
  x ^= 0x8080808080808080;  // plus 128 each
  x = (x & 0x00ff00ff00ff00ff) + (x >> 8 & 0x00ff00ff00ff00ff);
  return static_cast<int>(x * 0x0001000100010001 >> 48) - 8 * 128;
}

// First values of 16 dword lanes: -bias times the sums of their codes, each there `copies` times, in `slots`
// runs of 64 bytes.
void lane_starts(const uint8_t* codes, int slots, int copies, int bias, int32_t* starts) {
  uint32_t lanes[16] = {};
  for (int s = 0; s < slots; ++s) {
    uint32_t x[16];
    std::memcpy(x, codes + 64 * s, sizeof x);
    for (int i = 0; i < 16; ++i) {  // bytes plus 128, added in pairs
      const uint32_t y = x[i] ^ 0x80808080;
      lanes[i] += (y & 0x00ff00ff) + (y >> 8 & 0x00ff00ff);
    }
  }
  for (int i = 0; i < 16; ++i)
    starts[i] =
        -bias * (static_cast<int32_t>((lanes[i] & 0xffff) + (lanes[i] >> 16)) - slots * 4 * 128) / copies;
}

// Sum of group g of a unit.
int group_sum(const int8_t* codes, int g, int groups) {
  const int size = 256 / groups;
  int sum = 0;
  for (int i = g * size; i < (g + 1) * size; i += 8) sum += sum_of_eight(codes + i);
  return sum;
}

}  // namespace

void pack_gemv(const Activations& x, const GemvOrder& order, int64_t unit, int64_t first, int columns,
               int valid, uint8_t* to) {
  for (int c = 0; c < columns; ++c, to += order.unit()) {
    if (c >= valid) {
      std::memset(to, 0, static_cast<size_t>(order.unit()));
      continue;
    }
    const int8_t* codes = x.codes + ((first + c) * x.units + unit) * 256;
    const float* scales = x.scales + ((first + c) * x.units + unit) * 8;
    for (int i = 0; i < 64 && order.copies == 1; ++i) copy_dword(to + 4 * i, codes + 4 * order.dword[i]);
    for (int i = 0; i < 256 && order.copies == 4; ++i) std::memset(to + 4 * i, codes[order.dword[i]], 4);
    float lanes[4 * 16], numbers[2 * 16];
    for (int i = 0; i < order.lanes; ++i) lanes[i] = scales[order.lane_scale[i] * 8 / order.scales];
    for (int g = 0; g < order.scales; ++g) {
      numbers[g] = scales[g * 8 / order.scales];
      if (order.terms)
        numbers[order.scales + g] = numbers[g] * static_cast<float>(group_sum(codes, g, order.scales));
    }
    const size_t lane_bytes = static_cast<size_t>(order.lanes) * 4;
    uint8_t* lane_scales = to + order.codes_bytes();
    std::memcpy(lane_scales, lanes, lane_bytes);
    std::memcpy(to + order.scales_at(), numbers, static_cast<size_t>(order.scales * (order.terms ? 8 : 4)));
    if (!order.starts) continue;
    int32_t starts[4 * 16];
    for (int i = 0; i < order.lanes; i += 16)
      lane_starts(to + order.codes_bytes() / order.lanes * i, order.codes_bytes() / 4 / order.lanes,
                  order.copies, order.start_bias, starts + i);
    std::memcpy(lane_scales + lane_bytes, starts, lane_bytes);
  }
}

void pack_panel(const Activations& x, const PanelOrder& order, int64_t unit, int64_t first, int columns,
                int valid, uint8_t* to) {
  const int groups = order.scales;
  if (valid < columns) std::memset(to, 0, static_cast<size_t>(order.unit(columns)));
  uint8_t* numbers = to + columns * 64 * 4;
  for (int c = 0; c < valid; ++c) {
    const int8_t* codes = x.codes + ((first + c) * x.units + unit) * 256;
    const float* scales = x.scales + ((first + c) * x.units + unit) * 8;
    for (int line = 0; line < 64; ++line) {
      copy_dword(to + (line * columns + c) * 4, codes + 4 * order.line[line]);
    }
    for (int g = 0; g < groups; ++g) {
      const float scale = scales[g * 8 / groups];
      const int sum = group_sum(codes, g, groups), start = kPanelStart - order.bias * sum;
      const float scaled = scale * static_cast<float>(sum);
      const auto put = [&](int kind, const void* x) {
        std::memcpy(numbers + 4 * ((kind * groups + g) * columns + c), x, 4);
      };
      put(0, &scale);
      put(1, &start);
      if (order.terms) put(2, &scaled);
    }
  }
}

}  // namespace iqk

#include "iqk/activations/pack.h"

#include <cstring>

namespace iqk {

namespace {

// Bytes are moved by fours.
void copy_dword(uint8_t* to, const int8_t* from) { std::memcpy(to, from, 4); }

// A unit of a column. Its scales are per 32; groups of 16 are halves of those.
class Unit {
 public:
  Unit(const Activations& x, int64_t unit, int64_t column, int groups)
      : codes(x.codes + (column * x.units + unit) * 256),
        scales_(x.scales + (column * x.units + unit) * 8),
        halves_(groups == 16) {
    uint32_t four[64];
    std::memcpy(four, codes, sizeof four);
    for (int i = 0; i < 64; ++i) {  // bytes plus 128, added in pairs
      const uint32_t y = four[i] ^ 0x80808080, pairs = (y & 0x00ff00ff) + (y >> 8 & 0x00ff00ff);
      sums[i] = static_cast<int32_t>((pairs & 0xffff) + (pairs >> 16)) - 4 * 128;
    }
  }
  float scale(int group) const { return scales_[group >> halves_]; }
  int sum(int group) const {
    const int32_t* first = sums + (group << (3 - halves_));
    const int half = first[0] + first[1] + first[2] + first[3];
    return halves_ ? half : half + first[4] + first[5] + first[6] + first[7];
  }

  const int8_t* codes;
  int32_t sums[64];  // of the codes of each dword

 private:
  const float* scales_;
  int halves_;
};

// The codes in the order of the kernel.
void put_codes(const Unit& x, const GemvOrder& order, uint8_t* to) {
  const uint8_t* from = order.dword;
  if (order.copies == 1)
    for (int i = 0; i < 64; ++i) copy_dword(to + 4 * i, x.codes + 4 * from[i]);
  else
    for (int i = 0; i < 256; ++i) std::memset(to + 4 * i, x.codes[from[i]], 4);
}

// First values of the dword lanes of accumulators that add up `Slots` vectors each.
template <int Slots, class T>
void put_starts(const T* values, const GemvOrder& order, int32_t* to) {
  const uint8_t* from = order.dword;
  const int start = order.start, bias = order.start_bias;
  for (int a = 0; a < order.lanes; a += 16, from += 16 * Slots, to += 16)
    for (int i = 0; i < 16; ++i) {
      int32_t sum = 0;
      for (int s = 0; s < Slots; ++s) sum += values[from[16 * s + i]];
      to[i] = start - bias * sum;
    }
}

}  // namespace

void pack_gemv(const Activations& x, const GemvOrder& order, int64_t unit, int64_t first, int columns,
               int valid, uint8_t* to) {
  for (int c = 0; c < columns; ++c, to += order.unit()) {
    if (c >= valid) {
      std::memset(to, 0, static_cast<size_t>(order.unit()));
      continue;
    }
    const Unit of(x, unit, first + c, order.scales);
    put_codes(of, order, to);
    const uint8_t* lane_scale = order.lane_scale;
    const int groups = order.scales, lanes = order.lanes;
    float* lane_scales = reinterpret_cast<float*>(to + order.codes_bytes());
    float* numbers = reinterpret_cast<float*>(to + order.scales_at());
    const float steps = order.start == kPanelStart ? kPanelSteps : 1;
    for (int i = 0; i < lanes; ++i) lane_scales[i] = steps * of.scale(lane_scale[i]);
    for (int g = 0; g < groups; ++g) numbers[g] = of.scale(g);
    for (int g = 0; g < groups && order.terms; ++g)
      numbers[groups + g] = of.scale(g) * static_cast<float>(of.sum(g));
    if (!order.starts) continue;
    int32_t* starts = reinterpret_cast<int32_t*>(lane_scales + lanes);
    if (order.copies == 4)
      put_starts<16>(of.codes, order, starts);
    else if (lanes == 16)
      put_starts<4>(of.sums, order, starts);
    else if (lanes == 32)
      put_starts<2>(of.sums, order, starts);
    else
      put_starts<1>(of.sums, order, starts);
  }
}

void pack_panel(const Activations& x, const PanelOrder& order, int64_t unit, int64_t first, int columns,
                int valid, uint8_t* to) {
  if (valid < columns) std::memset(to, 0, static_cast<size_t>(order.unit(columns)));
  uint8_t* numbers = to + columns * 64 * 4;
  for (int c = 0; c < valid; ++c) {
    const Unit of(x, unit, first + c, order.scales);
    for (int line = 0; line < 64; ++line)
      copy_dword(to + (line * columns + c) * 4, of.codes + 4 * order.line[line]);
    for (int g = 0; g < order.scales; ++g) {
      const float scale = of.scale(g);
      const int sum = of.sum(g), start = kPanelStart - order.bias * sum;
      const float by_steps = kPanelSteps * scale, scaled = scale * static_cast<float>(sum);
      const auto put = [&](int kind, const void* x) {
        std::memcpy(numbers + 4 * ((kind * order.scales + g) * columns + c), x, 4);
      };
      put(0, &by_steps);
      put(1, &start);
      if (order.terms) put(2, &scaled);
    }
  }
}

}  // namespace iqk

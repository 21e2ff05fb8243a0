// Scales by weighted least squares: for codes q, the error sum w (x - d q)^2 is smallest at d = P / S with
// P = sum w q x and S = sum w q^2, and then lies P^2 / S below sum w x^2.
#pragma once

#include <cstdint>

#include "iqk/quantize/block.h"

namespace iqk::encode {

// Evenly spaced levels low..high.
struct LinearLevels {
  IQK_MEMBER LinearLevels(int lowest, int highest)
      : low(static_cast<float>(lowest)),
        high(static_cast<float>(highest)),
        bottom(bound(low)),
        top(bound(high)) {}

  IQK_MEMBER Lanes nearest(Lanes t) const { return round_even(min(max(t, bottom), top)); }
  IQK_MEMBER void codes(Lanes t, int32_t* out) const { store(out, truncate(nearest(t) - splat(low))); }

  float low, high;
  Lanes bottom, top;
};

// Up to 64 ascending levels in -127..127. The middle of two levels is a multiple of 1/2, so that the cell of
// 1/2 that a number lies in tells the nearest level.
struct TableLevels {
  TableLevels(const int8_t* levels, int count)
      : low(levels[0]), high(levels[count - 1]), bottom(bound(-255.5f)), top(bound(255.5f)) {
    for (int cell = 0, c = 0; cell < 512; ++cell) {
      while (c + 1 < count && cell - 256 >= levels[c] + levels[c + 1]) ++c;
      value[cell] = levels[c];
      code[cell] = static_cast<uint8_t>(c);
    }
  }

  IQK_MEMBER Integers cells(Lanes t) const { return truncate(min(max(t + t, bottom), top) + splat(256)); }
  IQK_MEMBER Lanes nearest(Lanes t) const {
    const Integers cell = cells(t);
    return Lanes{value[cell[0]], value[cell[1]], value[cell[2]], value[cell[3]]};
  }
  IQK_MEMBER void codes(Lanes t, int32_t* out) const {
    const Integers cell = cells(t);
    for (int l = 0; l < kLanes; ++l) out[l] = code[cell[l]];
  }

  float low, high;
  Lanes bottom, top;
  float value[512];
  uint8_t code[512];
};

struct Fit {
  float product = 0;  // P
  float square = 0;   // S

  IQK_MEMBER float scale() const { return square > 0 ? product / square : 0; }
  // How far the error lies below sum w x^2 with the best scale, and with a given one.
  IQK_MEMBER float gain() const { return product * scale(); }
  IQK_MEMBER float gain(float d) const { return d * (2 * product - d * square); }
};

// The fit of the levels nearest to x * inverse.
template <int N, class Levels>
IQK_INLINE Fit fit(const Levels& levels, const float* x, const float* w, float inverse) {
  Lanes product{}, square{};
  for (int i = 0; i < N; i += kLanes) {
    const Lanes v = load(x + i), q = levels.nearest(v * splat(inverse)), wq = load(w + i) * q;
    product += wq * v;
    square += wq * q;
  }
  const Lanes both = sums(product, square);
  return {both[0], both[1]};
}

// What to try: the extreme weight at the lowest and at the highest level, and scales around.
struct Trials {
  float from, step;  // added to the end of the range, in units of the levels
  int count;
};

// The fit of the smallest error that the trials and two refinements of the best find; none for zeros. `e` is
// the extreme of x.
template <int N, class Levels>
IQK_INLINE Fit search_fit(const Levels& levels, const float* x, const float* w, float e, Trials trials) {
  Fit best;
  float best_gain = 0;
  const auto consider = [&](float inverse) IQK_LAMBDA {
    const Fit f = fit<N>(levels, x, w, inverse);
    const float gain = f.gain();
    if (gain <= best_gain) return false;
    best = f;
    best_gain = gain;
    return true;
  };
  const float inverse = 1 / e;
  for (int n = 0; n < trials.count; ++n) {
    const float widen = trials.from + trials.step * static_cast<float>(n);
    consider((levels.low - widen) * inverse);
    consider((levels.high + widen) * inverse);
  }
  for (int n = 0; n < 2 && best.product != 0; ++n)
    if (!consider(best.square / best.product)) break;
  return best;
}

// The half-precision scale for codes that are chosen for it: of the three around d * unit, the best for x *
// unit.
template <int N, class Levels>
IQK_INLINE uint16_t best_half(const Levels& levels, const float* x, const float* w, float d, float unit) {
  const uint16_t start = finite_half(d * unit);
  const float per_unit = 1 / unit;
  uint16_t best = 0;
  float best_gain = 0;
  for (int n = -1; n <= 1; ++n) {
    const int magnitude = (start & 0x7fff) + n;
    if (magnitude <= 0 || magnitude > 0x7bff) continue;
    const uint16_t bits = static_cast<uint16_t>((start & 0x8000) | magnitude);
    const float stored = fp16_to_fp32(bits) * per_unit;
    const float gain = fit<N>(levels, x, w, 1 / stored).gain(stored);
    if (gain > best_gain) {
      best = bits;
      best_gain = gain;
    }
  }
  return best;
}

template <int N, class Levels>
IQK_INLINE void nearest_codes(const Levels& levels, const float* x, float inverse, uint8_t* codes) {
  int32_t wide[N];
  for (int i = 0; i < N; i += kLanes) levels.codes(load(x + i) * splat(inverse), wide + i);
  for (int i = 0; i < N; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
}

// Blocks whose values all lie below this decode to zero in every format with half-precision scales.
constexpr float kSmallestBlock = 0x1p-40f;

// What counts as importance of the weights of a group that has none, inside a block that has some.
constexpr float kUnimportant = 0x1p-20f;

// The best half-precision scale for a block, and its codes.
template <int N, class Levels>
IQK_INLINE uint16_t encode_block(const Levels& levels, const float* x, const float* importance, Trials trials,
                                 uint8_t* codes) {
  const float e = extreme<N>(x), magnitude = e < 0 ? -e : e;
  uint16_t d = 0;
  float inverse = 0;
  if (magnitude >= kSmallestBlock) {
    const float unit = power_below(magnitude), per_unit = 1 / unit;
    float scaled[N], w[N];
    for (int i = 0; i < N; i += kLanes) store(scaled + i, load(x + i) * splat(per_unit));
    copy_importance<N>(importance, w);
    const float scale = search_fit<N>(levels, scaled, w, e * per_unit, trials).scale();
    d = best_half<N>(levels, scaled, w, scale, unit);
    if (d != 0) inverse = 1 / fp16_to_fp32(d);
  }
  nearest_codes<N>(levels, x, inverse, codes);
  return d;
}

}  // namespace iqk::encode

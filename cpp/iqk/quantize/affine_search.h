// Scales and minima by weighted least squares: x is near d q + m, q in 0..top.
#pragma once

#include <cstdint>

#include "iqk/quantize/block.h"

namespace iqk::encode {

// The smallest value, kept within halves, and the scale that spreads the codes over the range.
template <int N>
IQK_INLINE void affine_range(const float* x, float top, float& low, float& d) {
  Lanes small = load(x), large = small;
  for (int i = kLanes; i < N; i += kLanes) {
    small = min(small, load(x + i));
    large = max(large, load(x + i));
  }
  low = minimum(small);
  const float high = maximum(large);
  // Halves where the difference would overflow.
  d = high - low <= 0x1p127f ? (high - low) / top : (high / 2 - low / 2) / (top / 2);
  low = low > kMaxHalf ? kMaxHalf : low < -kMaxHalf ? -kMaxHalf : low;
  d = d > kMaxHalf ? kMaxHalf : d;
}

// Weighted sums over the codes q of a block, and those that do not depend on them.
struct AffineFit {
  float w, wx;            // sums of w, w x
  float wq, wqq, wqx;     // sums of w q, w q^2, w q x

  // How far the error lies below sum w x^2.
  IQK_MEMBER float gain(float d, float m) const {
    return d * (2 * wqx - d * wqq) + m * (2 * wx - m * w) - 2 * d * m * wq;
  }
  // The best d > 0 and m <= m_limit; false where there is none, as for codes that are all equal.
  IQK_MEMBER bool solve(float m_limit, float& d, float& m) const {
    const float determinant = w * wqq - wq * wq;
    if (!(determinant > 1e-6f * w * wqq)) return false;
    d = (w * wqx - wq * wx) / determinant;
    m = (wx - d * wq) / w;
    if (m > m_limit) {
      m = m_limit;
      d = (wqx - m * wq) / wqq;
    }
    return d > 0;
  }
};

// The fit of the codes nearest to x * inverse + shift.
template <int N>
IQK_INLINE AffineFit affine_fit(const float* x, const float* w, float top, float inverse, float shift, float sum_w,
                                float sum_wx) {
  const Lanes high = bound(top), low = bound(0);
  Lanes wq{}, wqq{}, wqx{};
  for (int i = 0; i < N; i += kLanes) {
    const Lanes v = load(x + i), q = round_even(min(max(v * splat(inverse) + splat(shift), low), high));
    const Lanes product = load(w + i) * q;
    wq += product;
    wqq += product * q;
    wqx += product * v;
  }
  return {sum_w, sum_wx, sum(wq), sum(wqq), sum(wqx)};
}

// The scale d > 0 and minimum m <= m_limit of the smallest error that some spreads of the codes over 0..range, and
// refinements of the best, find for values y in 0..range, which must lie in [1, 2).
template <int N>
IQK_INLINE void search_affine(const float* y, const float* w, float top, float range, float m_limit, int spreads,
                              float& d, float& m) {
  const float sum_w = total<N>(w);
  Lanes products{};
  for (int i = 0; i < N; i += kLanes) products += load(w + i) * load(y + i);
  const float sum_wx = sum(products);
  m = m_limit < 0 ? m_limit : 0;
  d = range / top;
  float best_gain = -1;
  // The pair that fits codes best becomes the next guess, a few times.
  const auto descend = [&](float inverse, float shift, int steps) IQK_LAMBDA {
    float last_gain = -1;
    for (int n = 0; n < steps; ++n) {
      const AffineFit f = affine_fit<N>(y, w, top, inverse, shift, sum_w, sum_wx);
      float new_d, new_m;
      if (!f.solve(m_limit, new_d, new_m)) return;
      const float gain = f.gain(new_d, new_m);
      if (gain > best_gain) {
        best_gain = gain;
        d = new_d;
        m = new_m;
      }
      if (gain <= last_gain) return;
      last_gain = gain;
      inverse = 1 / new_d;
      shift = -new_m * inverse;
    }
  };
  for (int n = 0; n < spreads; ++n) {
    // From a little less than the whole range to more of it than there are codes for: cut at the top, or at both ends.
    const float widen = 1.2f * static_cast<float>(n) - 0.3f, inverse = (top + widen) / range;
    descend(inverse, 0, 4);
    descend(inverse, -0.5f * widen, 4);
  }
}

// The half-precision scale, of the three around d * unit, that is best for y * unit with minimum m * unit.
template <int N>
IQK_INLINE uint16_t best_affine_half(const float* y, const float* w, float top, float d, float m, float unit) {
  const uint16_t start = finite_half(d * unit);
  const float per_unit = 1 / unit;
  uint16_t best = 0;
  float best_error = 0;
  for (int n = -1; n <= 1; ++n) {
    const int bits = start + n;
    if (bits < 0 || bits > 0x7bff) continue;
    const float stored = fp16_to_fp32(static_cast<uint16_t>(bits)) * per_unit;
    const Lanes inverse = splat(stored > 0 ? 1 / stored : 0), high = bound(top), low = bound(0);
    Lanes error{};
    for (int i = 0; i < N; i += kLanes) {
      const Lanes v = load(y + i) - splat(m);
      const Lanes rest = v - round_even(min(max(v * inverse, low), high)) * splat(stored);
      error += load(w + i) * rest * rest;
    }
    if (n == -1 || sum(error) < best_error || best == 0) {
      best = static_cast<uint16_t>(bits);
      best_error = sum(error);
    }
  }
  return best;
}

// The best half-precision scale and minimum for a block, and its codes.
template <int N>
IQK_INLINE void encode_affine_block(float top, const float* x, const float* importance, uint16_t& d, uint16_t& m,
                                    uint8_t* codes) {
  float low, step;
  affine_range<N>(x, top, low, step);
  const float range = step * top;
  m = fp32_to_fp16(low);
  d = 0;
  float inverse = 0;
  if (range >= 0x1p-40f) {
    const float unit = power_below(range), per_unit = 1 / unit;
    float y[N], w[N];
    for (int i = 0; i < N; i += kLanes) store(y + i, (load(x + i) - splat(low)) * splat(per_unit));
    copy_importance<N>(importance, w);
    float best_d, best_m;
    search_affine<N>(y, w, top, range * per_unit, 0x1p60f, 3, best_d, best_m);

    // Around the rounded minimum the best rounded scale, and once more.
    m = finite_half(low + best_m * unit);
    const float stored_m = (fp16_to_fp32(m) - low) * per_unit;
    d = best_affine_half<N>(y, w, top, best_d, stored_m, unit);
    if (d != 0) inverse = 1 / fp16_to_fp32(d);
  }
  const float stored_m = fp16_to_fp32(m);
  const Lanes high = bound(top), bottom = bound(0);
  int32_t wide[N];
  for (int i = 0; i < N; i += kLanes)
    store(wide + i, truncate(round_even(min(max((load(x + i) - splat(stored_m)) * splat(inverse), bottom), high))));
  for (int i = 0; i < N; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
}

}  // namespace iqk::encode

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
  float w, wx;         // sums of w, w x
  float wq, wqq, wqx;  // sums of w q, w q^2, w q x

  // How far the error lies below sum w x^2.
  IQK_MEMBER float gain(float d, float m) const {
    return d * (2 * wqx - d * wqq) + m * (2 * wx - m * w) - 2 * d * m * wq;
  }
  // The best d > 0 and m <= m_limit; false where there is none. Codes that are all equal leave m open: it
  // becomes m_limit.
  IQK_MEMBER bool solve(float m_limit, float& d, float& m) const {
    if (!(wqq > 0)) return false;
    const float determinant = w * wqq - wq * wq;
    m = m_limit;
    if (determinant > 1e-6f * w * wqq) {
      d = (w * wqx - wq * wx) / determinant;
      m = min((wx - d * wq) / w, m_limit);
    }
    if (m == m_limit) d = (wqx - m * wq) / wqq;
    return d > 0;
  }
};

// The fit of the codes nearest to x * inverse + shift.
template <int N>
IQK_INLINE AffineFit affine_fit(const float* x, const float* w, float top, float inverse, float shift,
                                float sum_w, float sum_wx) {
  const Lanes high = bound(top), low = bound(0);
  Lanes wq{}, wqq{}, wqx{};
  for (int i = 0; i < N; i += kLanes) {
    const Lanes v = load(x + i), q = round_even(min(max(v * splat(inverse) + splat(shift), low), high));
    const Lanes product = load(w + i) * q;
    wq += product;
    wqq += product * q;
    wqx += product * v;
  }
  const Lanes all = sums(wq, wqq, wqx, wqx);
  return {sum_w, sum_wx, all[0], all[1], all[2]};
}

// A scale d > 0, a minimum m, and the sums of the codes that they were fitted to.
struct AffineGuess {
  float d, m, gain;
  AffineFit fit;
};

constexpr float kNoLimit = 0x1p60f;  // as m_limit

// How thoroughly to search: so many spreads of the codes, each refined so often.
struct Spreads {
  float from, step;  // codes more than there are
  int count, depth;
};

// The guess with m <= m_limit of the smallest error for values y in 0..range. Codes that are all 0 where
// there is none.
template <int N>
IQK_INLINE AffineGuess search_affine(const float* y, const float* w, float top, float range, float m_limit,
                                     Spreads spreads) {
  const float sum_w = total<N>(w);
  Lanes products{};
  for (int i = 0; i < N; i += kLanes) products += load(w + i) * load(y + i);
  const float sum_wx = sum(products);
  AffineGuess best{};
  best.m = sum_wx / sum_w;
  best.m = best.m < m_limit ? best.m : m_limit;
  best.fit = {sum_w, sum_wx, 0, 0, 0};
  best.gain = best.fit.gain(0, best.m);
  // The pair that fits codes best becomes the next guess, a few times.
  const auto descend = [&](float inverse, float shift, int steps) IQK_LAMBDA {
    float last_gain = -1;
    for (int n = 0; n < steps; ++n) {
      const AffineFit f = affine_fit<N>(y, w, top, inverse, shift, sum_w, sum_wx);
      float new_d = 0, new_m = 0;
      if (!f.solve(m_limit, new_d, new_m)) return;
      const float gain = f.gain(new_d, new_m);
      if (gain > best.gain) best = {new_d, new_m, gain, f};
      if (gain <= last_gain) return;
      last_gain = gain;
      inverse = 1 / new_d;
      shift = -new_m * inverse;
    }
  };
  for (int n = 0; n < spreads.count; ++n) {
    // From a little less than the whole range to more of it than there are codes for: cut at the top, or at
    // both ends.
    const float widen = spreads.from + spreads.step * static_cast<float>(n), inverse = (top + widen) / range;
    descend(inverse, 0, spreads.depth);
    descend(inverse, -0.5f * widen, spreads.depth);
  }
  return best;
}

// The half-precision scale, of the three around d * unit, that is best for y * unit with minimum m * unit.
template <int N>
IQK_INLINE uint16_t best_affine_half(const float* y, const float* w, float top, float d, float m,
                                     float unit) {
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
IQK_INLINE void encode_affine_block(float top, const float* x, const float* importance, uint16_t& d,
                                    uint16_t& m, uint8_t* codes) {
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
    const AffineGuess best = search_affine<N>(y, w, top, range * per_unit, kNoLimit, {-0.3f, 1.2f, 3, 4});
    m = finite_half(low + best.m * unit);
    const float stored_m = (fp16_to_fp32(m) - low) * per_unit;
    d = best_affine_half<N>(y, w, top, best.d, stored_m, unit);
    if (d != 0) inverse = 1 / fp16_to_fp32(d);
  }
  const float stored_m = fp16_to_fp32(m);
  const Lanes high = bound(top), bottom = bound(0);
  int32_t wide[N];
  for (int i = 0; i < N; i += kLanes)
    store(wide + i,
          truncate(round_even(min(max((load(x + i) - splat(stored_m)) * splat(inverse), bottom), high))));
  for (int i = 0; i < N; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
}

}  // namespace iqk::encode

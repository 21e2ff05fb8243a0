// Q2_K, Q4_K, Q5_K: a weight is near d s q - c m, with integers s and m for each group of weights and halves
// d and c for 256 of them.
#pragma once

#include <cstdint>

#include "iqk/quantize/affine_search.h"
#include "iqk/quantize/grouped_search.h"

namespace iqk::encode {

struct AffineGroup {
  AffineFit fit;       // of the best codes so far
  float scale, floor;  // the best for them: d s and c m are to be close to these
  int s, m;
};

// Not a number counts as 0.
IQK_INLINE int nearest_count(float x, int top) {
  return !(x > 0) ? 0 : x >= static_cast<float>(top) ? top : static_cast<int>(x + 0.5f);
}

// The pair of factors of a block, as floats; sums over groups for their least squares.
struct Factors {
  float d, c;
};
class FactorFit {
 public:
  IQK_MEMBER void add(const AffineFit& f, int s, int m) {
    const double a = s, b = m;
    ss_ += a * a * static_cast<double>(f.wqq);
    sm_ += a * b * static_cast<double>(f.wq);
    mm_ += b * b * static_cast<double>(f.w);
    s_ += a * static_cast<double>(f.wqx);
    m_ += b * static_cast<double>(f.wx);
  }
  IQK_MEMBER double gain(Factors f) const {
    const double d = static_cast<double>(f.d), c = static_cast<double>(f.c);
    return d * (2 * s_ - d * ss_) - c * (2 * m_ + c * mm_) + 2 * d * c * sm_;
  }
  // The best pair of factors >= 0; one that no group uses stays as it was.
  IQK_MEMBER Factors solve(Factors f) const {
    const double determinant = ss_ * mm_ - sm_ * sm_;
    if (determinant > 1e-9 * ss_ * mm_) {
      const double d = (s_ * mm_ - m_ * sm_) / determinant, c = (s_ * sm_ - m_ * ss_) / determinant;
      if (d > 0 && c > 0) return {static_cast<float>(d), static_cast<float>(c)};
    }
    if (ss_ > 0 && s_ > 0) f.d = static_cast<float>((s_ + static_cast<double>(f.c) * sm_) / ss_);
    return f;
  }

 private:
  double ss_ = 0, sm_ = 0, mm_ = 0, s_ = 0, m_ = 0;
};

// The minimum that suits codes with scale `scale` best, in units of c.
IQK_INLINE int best_floor(const AffineFit& f, float scale, float c, int top) {
  return c > 0 ? nearest_count((scale * f.wq - f.wx) / (f.w * c), top) : 0;
}

// The factors that suit the scales and minima of the groups best when these are rounded to multiples.
template <int Groups>
IQK_INLINE Factors search_factors(HalfStore store, const AffineGroup* groups, int top, int inside) {
  float scale = 0, floor = 0;
  for (int g = 0; g < Groups; ++g) {
    scale = groups[g].scale > scale ? groups[g].scale : scale;
    floor = groups[g].floor > floor ? groups[g].floor : floor;
  }
  Factors best{0, 0};
  double best_gain = 0;
  const auto consider = [&](Factors f) {
    for (int n = 0; n < 2; ++n) {
      f = {store.rounded(f.d), store.rounded(f.c)};
      FactorFit sums;
      const float inverse = inverse_of(f.d);
      for (int g = 0; g < Groups; ++g) {
        const int s = nearest_count(groups[g].scale * inverse, top);
        sums.add(groups[g].fit, s, best_floor(groups[g].fit, f.d * static_cast<float>(s), f.c, top));
      }
      const double gain = sums.gain(f);
      if (gain > best_gain) {
        best_gain = gain;
        best = f;
      }
      f = sums.solve(f);
    }
  };
  // Sparse halves: no finer than the smallest of them.
  const auto at_least = [&](float x) { return x > 0 && x < store.smallest() ? store.smallest() : x; };
  const float first_c = at_least(floor / static_cast<float>(top));
  for (int n = 0; n < inside; ++n)
    consider({at_least(scale / (static_cast<float>(top) - 0.5f * static_cast<float>(n))), first_c});
  const float best_d = best.d;
  for (int n = 1; n < inside; ++n)
    consider({best_d, at_least(floor / (static_cast<float>(top) - 0.5f * static_cast<float>(n)))});
  if (scale < 64 * store.smallest() || floor < 64 * store.smallest())
    for (int n = 1; n <= 4; ++n)
      for (int l = 1; l <= 4; ++l)
        consider({static_cast<float>(n) * store.smallest(), static_cast<float>(l) * store.smallest()});
  return best;
}

// Chooses s and m, and implicitly the codes of a group: around the wanted scale, each with the minimum that
// suits it.
template <int N>
IQK_INLINE void choose_pair(const float* x, const float* w, Factors f, int top, int code_top, int reach,
                            AffineGroup& group) {
  const int middle = f.d > 0 ? nearest_count(group.scale / f.d, top) : 0;
  const float sum_w = group.fit.w, sum_wx = group.fit.wx;
  float best_gain = 0;
  AffineGroup best = group;
  best.fit = {sum_w, sum_wx, 0, 0, 0};
  best.s = best.m = 0;
  for (int s = middle - reach; s <= middle + reach; ++s) {
    if (s < 0 || s > top) continue;
    const float scale = f.d * static_cast<float>(s), inverse = inverse_of(scale);
    int m = best_floor(group.fit, scale, f.c, top);
    for (int n = 0; n < 2; ++n) {
      const float floor = f.c * static_cast<float>(m);
      const AffineFit fit =
          affine_fit<N>(x, w, static_cast<float>(code_top), inverse, floor * inverse, sum_w, sum_wx);
      const float gain = fit.gain(scale, -floor);
      if (gain > best_gain) {
        best_gain = gain;
        best = {fit, group.scale, group.floor, s, m};
      }
      const int better = best_floor(fit, scale, f.c, top);
      if (better == m) break;
      m = better;
    }
  }
  group = best;
}

struct AffineEffort {
  Spreads spreads;
  int inside;  // places inside the range for the largest scale and minimum
  int reach;   // integers tried around the wanted scale
  int rounds;  // times that d and c are fitted again to the chosen codes
};

// One group of normalized values: the best scale and minimum on their own.
template <int N>
IQK_INLINE AffineGroup search_group(const float* x, const float* w, int code_top, Spreads spreads) {
  float base, step;
  affine_range<N>(x, static_cast<float>(code_top), base, step);
  const float high = base + step * static_cast<float>(code_top);
  base = min(base, 0);
  if (high - base < kSmallestBlock) spreads.count = 0;
  float y[N];
  for (int i = 0; i < N; i += kLanes) store(y + i, load(x + i) - splat(base));
  const AffineGuess guess = search_affine<N>(y, w, static_cast<float>(code_top), high - base, -base, spreads);
  AffineFit f = guess.fit;
  f.wx += base * f.w;
  f.wqx += base * f.wq;
  return {f, guess.d, -(guess.m + base), 0, 0};
}

// Codes for x + floor in steps of `scale`.
template <int N>
IQK_INLINE void shifted_codes(const float* x, float scale, float floor, int code_top, uint8_t* codes) {
  const float inverse = inverse_of(scale);
  const Lanes shift = splat(floor * inverse), high = bound(static_cast<float>(code_top)), low = bound(0);
  int32_t wide[N];
  for (int i = 0; i < N; i += kLanes)
    store(wide + i, truncate(round_even(min(max(load(x + i) * splat(inverse) + shift, low), high))));
  for (int i = 0; i < N; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
}

// One block of 256: normalizes, searches, chooses the codes. Returns d and c; both 0 for zeros.
template <class Format>
IQK_INLINE Factors encode_affine_super_block(const float* x, const float* importance, AffineGroup* groups,
                                             uint8_t* codes) {
  constexpr int N = Format::kGroup, kGroups = 256 / N, kTop = Format::kTop, kCodeTop = Format::kCodeTop;
  constexpr AffineEffort kEffort = Format::kEffort;
  const float magnitude = largest<256>(x);
  if (magnitude < kSmallestBlock) return {0, 0};
  const float unit = power_below(magnitude), per_unit = 1 / unit;
  alignas(16) float scaled[256], w[256];
  const float same = total<256>(importance) > 0 ? kUnimportant : 1;
  for (int i = 0; i < 256; i += kLanes) store(scaled + i, load(x + i) * splat(per_unit));
  for (int g = 0; g < kGroups; ++g) {
    copy_importance<N>(importance + N * g, w + N * g, same);
    groups[g] = search_group<N>(scaled + N * g, w + N * g, kCodeTop, kEffort.spreads);
  }

  const HalfStore half{unit};
  Factors factors = search_factors<kGroups>(half, groups, kTop, kEffort.inside);
  for (int round = 0;; ++round) {
    FactorFit sums;
    for (int g = 0; g < kGroups; ++g) {
      choose_pair<N>(scaled + N * g, w + N * g, factors, kTop, kCodeTop, kEffort.reach, groups[g]);
      sums.add(groups[g].fit, groups[g].s, groups[g].m);
    }
    if (round == kEffort.rounds) break;
    const Factors fitted = sums.solve(factors), better{half.rounded(fitted.d), half.rounded(fitted.c)};
    if (sums.gain(better) <= sums.gain(factors)) break;
    factors = better;
  }
  for (int g = 0; g < kGroups; ++g)
    shifted_codes<N>(scaled + N * g, factors.d * static_cast<float>(groups[g].s),
                     factors.c * static_cast<float>(groups[g].m), kCodeTop, codes + N * g);
  return {factors.d * unit, factors.c * unit};
}

// A row of such blocks.
template <class Format>
void encode_affine_super_blocks(const float* x, const float* importance, int64_t k, uint8_t* out) {
  for (int64_t i = 0; i < k; i += 256, out += Format::kBytes) {
    AffineGroup groups[256 / Format::kGroup];
    uint8_t codes[256];
    const Factors f = encode_affine_super_block<Format>(x + i, importance + i, groups, codes);
    std::memset(out, 0, Format::kBytes);
    if (f.d != 0 || f.c != 0) Format::put(finite_half(f.d), finite_half(f.c), groups, codes, out);
  }
}

struct Q2_K {
  static constexpr int kBytes = 84, kGroup = 16, kTop = 15, kCodeTop = 3;
  static constexpr AffineEffort kEffort{{-0.6f, 0.5f, 3, 2}, 5, 1, 1};

  static void put(uint16_t d, uint16_t c, const AffineGroup* groups, const uint8_t* codes, uint8_t* out) {
    for (int t = 0; t < 16; ++t) out[t] = static_cast<uint8_t>(groups[t].s | groups[t].m << 4);
    put_bit_pairs(codes, 0, out + 16);
    write(out + 80, d);
    write(out + 82, c);
  }
};

// The first 16 bytes of Q4_K and Q5_K.
IQK_INLINE void put_six_bit_scales(uint16_t d, uint16_t c, const AffineGroup* groups, uint8_t* out) {
  write(out, d);
  write(out + 2, c);
  out += 4;
  for (int b = 0; b < 4; ++b) {
    const AffineGroup &low = groups[b], &high = groups[4 + b];
    out[b] = static_cast<uint8_t>(low.s | high.s >> 4 << 6);
    out[4 + b] = static_cast<uint8_t>(low.m | high.m >> 4 << 6);
    out[8 + b] = static_cast<uint8_t>((high.s & 15) | (high.m & 15) << 4);
  }
}

struct Q4_K {
  static constexpr int kBytes = 144, kGroup = 32, kTop = 63, kCodeTop = 15;
  static constexpr AffineEffort kEffort{{-0.3f, 0.9f, 3, 3}, 3, 1, 1};

  static void put(uint16_t d, uint16_t c, const AffineGroup* groups, const uint8_t* codes, uint8_t* out) {
    put_six_bit_scales(d, c, groups, out);
    put_far_nibbles(codes, out + 16);
  }
};

struct Q5_K {
  static constexpr int kBytes = 176, kGroup = 32, kTop = 63, kCodeTop = 31;
  static constexpr AffineEffort kEffort{{-0.3f, 0.9f, 3, 3}, 3, 1, 1};

  static void put(uint16_t d, uint16_t c, const AffineGroup* groups, const uint8_t* codes, uint8_t* out) {
    put_six_bit_scales(d, c, groups, out);
    put_single_bits(codes, 4, out + 16);
    put_far_nibbles(codes, out + 48);
  }
};

}  // namespace iqk::encode

// Two levels of scales without minima: a weight is near d * s * level, s an integer for each group of
// weights, d a float for all groups of a block or a row. Some types choose one of two level tables for each
// group.
#pragma once

#include <cstdint>
#include <vector>

#include "iqk/quantize/scale_search.h"

namespace iqk::encode {

// The integers that s can be.
struct ScaleRange {
  int low, high;
  int step;  // 2: odd numbers only

  IQK_MEMBER int clip(int s) const { return s < low ? low : s > high ? high : s; }
  // Of a number not far outside.
  IQK_MEMBER int nearest(float s) const {
    s = s < -1000 ? -1000 : s > 1000 ? 1000 : s;
    const float shift = 0x1.8p23f;
    const float whole = step == 2 ? 2 * (((s - 1) * 0.5f + shift) - shift) + 1 : (s + shift) - shift;
    return clip(static_cast<int>(whole));
  }
};

struct Group {
  Fit fit;      // of the best codes so far
  float scale;  // the best for them; later d * s is close to it
  int s;
  int table;
};

// The largest float over the largest products of two signed bytes.
constexpr float kMostScale = 0x1.fffffep127f / (127 * 127);

// How d is kept: as a half, or as it is.
struct HalfStore {
  float unit;  // values and d here are so many times smaller than stored
  IQK_MEMBER float rounded(float d) const { return fp16_to_fp32(finite_half(d * unit)) / unit; }
  IQK_MEMBER float smallest() const { return 0x1p-24f / unit; }
};
struct FloatStore {
  float most;  // above, decoding might overflow
  IQK_MEMBER float rounded(float d) const { return d < -most ? -most : d > most ? most : d; }
  IQK_MEMBER float smallest() const { return 0; }
};

// The error of the groups lies so far below sum w x^2 with their codes as they are and s nearest to their
// scales.
IQK_INLINE float rounded_gain(const Group* groups, int64_t count, ScaleRange range, float d, double& product,
                              double& square) {
  const float inverse = inverse_of(d);
  product = square = 0;
  for (int64_t g = 0; g < count; ++g) {
    const float s = static_cast<float>(range.nearest(groups[g].scale * inverse));
    product += static_cast<double>(s * groups[g].fit.product);
    square += static_cast<double>(s * s * groups[g].fit.square);
  }
  return static_cast<float>(static_cast<double>(d) * (2 * product - static_cast<double>(d) * square));
}

// The d that suits the scales of the groups best when they are rounded to multiples: from the largest scale
// at either end of the range, or somewhat inside.
template <class Store>
IQK_INLINE float search_common(const Store& store, const Group* groups, int64_t count, ScaleRange range,
                               int inside) {
  float e = 0;
  for (int64_t g = 0; g < count; ++g) {
    const float a = groups[g].scale < 0 ? -groups[g].scale : groups[g].scale, b = e < 0 ? -e : e;
    if (a > b) e = groups[g].scale;
  }
  float best = 0, best_gain = 0;
  const auto consider = [&](float d) {
    double product, square;
    for (int n = 0; n < 2; ++n) {
      d = store.rounded(d);
      if (d == 0) return;
      const float gain = rounded_gain(groups, count, range, d, product, square);
      if (gain > best_gain) {
        best_gain = gain;
        best = d;
      }
      if (!(square > 0)) return;
      d = static_cast<float>(product / square);
    }
  };
  for (int n = -1; n < inside; ++n) {
    const float inset = static_cast<float>(n * range.step) * 0.5f;
    consider(e / (static_cast<float>(range.low) + inset));
    consider(e / (static_cast<float>(range.high) - inset));
  }
  // Where halves are sparse, the few smallest of them.
  const float smallest = store.smallest(), magnitude = best < 0 ? -best : best;
  if (magnitude < 8 * smallest)
    for (int n = 1; n <= 8; ++n) {
      consider(static_cast<float>(n) * smallest);
      consider(static_cast<float>(-n) * smallest);
    }
  return best;
}

// Chooses s, the table and implicitly the codes of a group for a given d: of the integers around the wanted
// scale, the one whose codes come closest.
template <int N, int Tables, class Levels>
IQK_INLINE void choose_scale(const Levels* levels, const float* x, const float* w, float d, ScaleRange range,
                             int reach, Group& group) {
  const int middle = range.nearest(group.scale / d);
  float best_gain = 0;
  bool found = false;
  Group best = group;
  for (int n = -reach; n <= reach; ++n) {
    const int s = middle + n * range.step;
    if (s < range.low || s > range.high) continue;
    const float scale = d * static_cast<float>(s);
    for (int table = 0; table < Tables; ++table) {
      const Fit f = fit<N>(levels[table], x, w, s == 0 ? 0 : 1 / scale);
      const float gain = f.gain(scale);
      if (found && gain <= best_gain) continue;
      found = true;
      best_gain = gain;
      best = {f, group.scale, s, table};
    }
  }
  group = best;
}

// How thoroughly to search.
struct Effort {
  Trials trials;  // for the scale of a group
  int inside;     // places inside the range for the largest scale
  int reach;      // integers tried around the wanted scale
  int rounds;     // times that d is fitted again to the chosen codes
};

// Finds d and fills in the groups of x, whose largest magnitude must lie in [1, 2). 0: all groups decode to
// zero.
template <int N, int Tables, class Levels, class Store>
IQK_INLINE float search_groups(const Levels* levels, const Store& store, const float* x, const float* w,
                               int64_t count, ScaleRange range, Effort effort, Group* groups) {
  for (int64_t g = 0; g < count; ++g) {
    groups[g] = {{}, 0, range.nearest(0), 0};
    const float e = extreme<N>(x + N * g);
    if (e > -kSmallestBlock && e < kSmallestBlock) continue;
    for (int table = 0; table < Tables; ++table) {
      const Fit f = search_fit<N>(levels[table], x + N * g, w + N * g, e, effort.trials);
      if (f.gain() > groups[g].fit.gain()) groups[g] = {f, f.scale(), 0, table};
    }
  }
  float d = search_common(store, groups, count, range, effort.inside);
  if (d == 0) return 0;

  for (int round = 0;; ++round) {
    double product = 0, square = 0;
    for (int64_t g = 0; g < count; ++g) {
      // A group of zeros keeps the scale nearest to zero: all others do as well by their levels before
      // rounding.
      const int reach = groups[g].scale == 0 ? 0 : effort.reach;
      choose_scale<N, Tables>(levels, x + N * g, w + N * g, d, range, reach, groups[g]);
      const float s = static_cast<float>(groups[g].s);
      product += static_cast<double>(s * groups[g].fit.product);
      square += static_cast<double>(s * s * groups[g].fit.square);
    }
    if (round == effort.rounds || !(square > 0)) return d;
    const float better = store.rounded(static_cast<float>(product / square));
    if (better == d || better == 0) return d;
    d = better;
  }
}

// One block of 256: normalizes, searches, chooses the codes. Returns d, 0 for zeros.
template <class Format>
IQK_INLINE uint16_t encode_super_block(const Format& format, const float* x, const float* importance,
                                       Group* groups, uint8_t* codes) {
  constexpr int kGroup = Format::kGroup, kGroups = 256 / kGroup;
  const float magnitude = largest<256>(x);
  if (magnitude < kSmallestBlock) return 0;
  const float unit = power_below(magnitude), per_unit = 1 / unit;
  alignas(16) float scaled[256], w[256];
  const float same = total<256>(importance) > 0 ? kUnimportant : 1;
  for (int i = 0; i < 256; i += kLanes) store(scaled + i, load(x + i) * splat(per_unit));
  for (int g = 0; g < kGroups; ++g) copy_importance<kGroup>(importance + kGroup * g, w + kGroup * g, same);
  const HalfStore half{unit};
  const float d = search_groups<kGroup, Format::kTables>(format.levels, half, scaled, w, kGroups,
                                                         Format::kRange, Format::kEffort, groups);
  if (d == 0) return 0;
  for (int g = 0; g < kGroups; ++g)
    nearest_codes<kGroup>(format.levels[groups[g].table], scaled + kGroup * g,
                          inverse_of(d * static_cast<float>(groups[g].s)), codes + kGroup * g);
  return finite_half(d * unit);
}

// A row of such blocks.
template <class Format>
void encode_super_blocks(const float* x, const float* importance, int64_t k, uint8_t* out) {
  static const Format format;
  for (int64_t i = 0; i < k; i += 256, out += Format::kBytes) {
    Group groups[256 / Format::kGroup];
    uint8_t codes[256];
    const uint16_t d = encode_super_block(format, x + i, importance + i, groups, codes);
    std::memset(out, 0, Format::kBytes);
    if (d != 0) Format::put(d, groups, codes, out);
  }
}

// The codes at the end of the search. Importances count only where a code depends on others.
template <int N, class Levels>
IQK_INLINE void final_codes(const Levels& levels, const float* x, const float*, float inverse,
                            uint8_t* codes) {
  nearest_codes<N>(levels, x, inverse, codes);
}

// A row whose header has d: 2 bytes, a half, or 4, a float. Groups have 32 weights.
template <class Format>
void encode_scaled_row(const float* x, const float* importance, int64_t k, uint8_t* out) {
  constexpr int kGroup = 32;
  static const Format format;
  std::memset(out, 0, static_cast<size_t>(Format::kHeader + k / 256 * Format::kBytes));
  float magnitude = 0, weight = 0;
  for (int64_t i = 0; i < k; i += 256) {
    const float block = largest<256>(x + i);
    magnitude = block > magnitude ? block : magnitude;
    weight += total<256>(importance + i);
  }
  if (magnitude < (Format::kHeader == 2 ? kSmallestBlock : 0x1p-110f)) return;

  const float unit = power_below(magnitude), per_unit = 1 / unit;
  std::vector<float> values(static_cast<size_t>(2 * k));
  std::vector<Group> groups(static_cast<size_t>(k / kGroup));
  float *scaled = values.data(), *w = scaled + k;
  const float same = weight > 0 ? kUnimportant : 1;
  for (int64_t i = 0; i < k; i += kLanes) store(scaled + i, load(x + i) * splat(per_unit));
  for (int64_t i = 0; i < k; i += kGroup) copy_importance<kGroup>(importance + i, w + i, same);
  float d;
  if (Format::kHeader == 2) {
    d = search_groups<kGroup, Format::kTables>(format.levels, HalfStore{unit}, scaled, w, k / kGroup,
                                               Format::kRange, Format::kEffort, groups.data());
    write(out, finite_half(d * unit));
  } else {
    d = search_groups<kGroup, Format::kTables>(format.levels, FloatStore{kMostScale / unit}, scaled, w,
                                               k / kGroup, Format::kRange, Format::kEffort, groups.data());
    write(out, d * unit);
  }
  if (d == 0) return;
  out += Format::kHeader;
  for (int64_t b = 0; b < k / 256; ++b, out += Format::kBytes) {
    uint8_t codes[256];
    const Group* block_groups = groups.data() + 8 * b;
    for (int g = 0; g < 8; ++g)
      final_codes<kGroup>(format.levels[block_groups[g].table], scaled + 256 * b + kGroup * g,
                          w + 256 * b + kGroup * g, inverse_of(d * static_cast<float>(block_groups[g].s)),
                          codes + kGroup * g);
    Format::put(block_groups, codes, out);
  }
}

}  // namespace iqk::encode

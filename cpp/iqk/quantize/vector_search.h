// Types whose codes stand for vectors of weights: a weight is near d * s * v, v from an entry of a codebook,
// s an integer for each group of weights, d a float for all groups of a block or a row. Some types choose one
// of several codebooks, or the sign of s, for each group: its table.
//
// A group's error as a function of its scale is known exactly from the hulls of its vectors (codebook.h): it
// is a path of parabolas, each with its sums a and b over the group. So is the error of all groups for a
// given d, each with the s and the table that suit it best, and d is searched over that.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "iqk/quantize/codebook.h"
#include "iqk/quantize/grouped_search.h"

namespace iqk::encode {

// The magnitudes that s can have in a table, ascending, and what stands for them in the bytes.
struct Magnitudes {
  int count;
  float value[64];
  uint8_t code[64];

  // The last that is at most m; the first where there is none.
  IQK_MEMBER int below(float m) const {
    int at = 0;
    for (int step = 32; step > 0; step /= 2)
      if (at + step < count && value[at + step] <= m) at += step;
    return at;
  }
};

// First, first + step, .. with the codes first_code, first_code + code_step, ..
constexpr Magnitudes even_magnitudes(int count, int first, int step, int first_code, int code_step) {
  Magnitudes m{count, {}, {}};
  for (int n = 0; n < count; ++n) {
    m.value[n] = static_cast<float>(first + step * n);
    m.code[n] = static_cast<uint8_t>(first_code + code_step * n);
  }
  return m;
}

// The sums of a group from one half of its scale on.
struct Step {
  float half_scale, a, b;
};

// The steps of a group with one table, and the best of all scales.
struct Path {
  const Step* steps;
  int count;
  float scale, gain;

  IQK_MEMBER const Step& at(float s) const {
    const float half = 0.5f * s;
    int low = 0, high = count;  // the step wanted is in [low, high)
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (steps[middle].half_scale <= half)
        low = middle;
      else
        high = middle;
    }
    return steps[low];
  }
};

// What a group has been given.
struct Choice {
  uint8_t table, scale;  // index of the magnitude
};

// Appends the path of a group that has these hulls. The steps stay at their places.
IQK_INLINE Path make_path(const Hull* hulls, int count, std::vector<Step>& steps) {
  const size_t start = steps.size();
  Step sums{0, 0, 0};
  for (int n = 0; n < count; ++n) {
    sums.a += hulls[n].vertex[0].a;
    sums.b += hulls[n].vertex[0].b;
  }
  steps.push_back(sums);
  for (int n = 0; n < count; ++n)
    for (int i = 1; i < hulls[n].count; ++i) {
      const Vertex &from = hulls[n].vertex[i - 1], &to = hulls[n].vertex[i];
      steps.push_back({(from.a - to.a) / (from.b - to.b), to.a - from.a, to.b - from.b});
    }
  Step* path = steps.data() + start;
  const int length = static_cast<int>(steps.size() - start);
  std::sort(path + 1, path + length, [](const Step& x, const Step& y) {
    return x.half_scale != y.half_scale ? x.half_scale < y.half_scale : x.b != y.b ? x.b < y.b : x.a < y.a;
  });
  Path best{path, length, 0, 0};
  for (int n = 0; n < length; ++n) {
    if (n > 0) {
      path[n].a += path[n - 1].a;
      path[n].b += path[n - 1].b;
    }
    if (!(path[n].a > 0) || !(path[n].b > 0)) continue;
    const float scale = path[n].a / path[n].b, gain = path[n].a * scale;
    if (gain > best.gain) {
      best.gain = gain;
      best.scale = scale;
    }
  }
  return best;
}

// ---- Where to look for the scale of a group --------------------------------------------------------------

constexpr float kSmallestScale = 0x1p-60f;

// The scale that makes weights and codebook equally large.
template <int N>
IQK_INLINE float scale_by_size(const float* x, const float* w, float typical) {
  Lanes square{}, weight{};
  for (int i = 0; i < N; i += kLanes) {
    const Lanes v = load(x + i), importance = load(w + i);
    square += importance * v * v;
    weight += importance;
  }
  const Lanes both = sums(square, weight);
  return max(std::sqrt(both[0] / both[1]) / typical, kSmallestScale);
}

// Ascending magnitudes.
template <int L>
struct FreeLevels {
  explicit FreeLevels(const float (&levels)[L]) : first(levels[0]), last(levels[L - 1]) {
    for (int n = 0; n + 1 < L; ++n) {
      middle[n] = 0.5f * (levels[n] + levels[n + 1]);
      step[n] = levels[n + 1] - levels[n];
    }
  }
  // Of t that are not negative.
  IQK_MEMBER Lanes nearest(Lanes t) const {
    Lanes v = splat(first);
    for (int n = 0; n + 1 < L; ++n) v += t > splat(middle[n]) ? splat(step[n]) : splat(0);
    return v;
  }

  float first, last, middle[L - 1], step[L - 1];
};

// The scale that would be best if each weight could have any of the levels: the largest weight is tried at
// 0.6 to 1.4 times the last.
template <int N, class Levels>
IQK_INLINE float scale_by_levels(const Levels& levels, const float* x, const float* w) {
  float v[N];
  for (int i = 0; i < N; i += kLanes) store(v + i, max(load(x + i), -load(x + i)));
  const float most = largest<N>(v);
  if (most < kSmallestScale) return kSmallestScale;
  Fit best;
  for (int n = 0; n < 9; ++n) {
    const Fit f = fit<N>(levels, v, w, levels.last * (0.6f + 0.1f * static_cast<float>(n)) / most);
    if (f.gain() > best.gain()) best = f;
  }
  return best.square > 0 ? best.scale() : most / levels.last;
}

// w |x|, which the magnitudes of entries are multiplied with.
template <int D>
IQK_INLINE void weigh_magnitudes(const float* x, const float* w, float* out) {
  for (int j = 0; j < D; j += kLanes) {
    const Lanes v = load(x + j);
    store(out + j, load(w + j) * max(v, -v));
  }
}

// ---- The search ------------------------------------------------------------------------------------------

// The groups of a block or a row. A type has
//   kGroup, kVector   weights of a group and of a code,
//   kTables           tables that a group chooses from; magnitudes(table), what s can be,
//   guess(x, w)       about the best scale of a group,
//   kLow, kHigh       where the best is looked for exactly, relative to the guess,
//   find_hulls(x, w, low, high, hulls, stride)   the hulls of a vector, of table t at hulls[stride * t],
//   put(..)           which writes the bytes of 256 weights, into zeros.
// The ranges and, where a codebook is large, the shares of it that are looked at are the smallest that keep
// the errors well below those of the golden files.
template <class Type>
class VectorSearch {
 public:
  static constexpr int kVectors = Type::kGroup / Type::kVector;

  VectorSearch(const Type& type, int64_t weights)
      : type_(type),
        groups_(weights / Type::kGroup),
        hulls_(static_cast<size_t>(groups_ * Type::kTables * kVectors)),
        paths_(static_cast<size_t>(groups_ * Type::kTables)),
        choices_(static_cast<size_t>(groups_)),
        codes_(static_cast<size_t>(groups_ * kVectors)) {
    steps_.reserve(hulls_.size() * kMaxVertices);
  }

  // Finds d, and with it all choices and codes, for weights whose largest magnitude lies in [1, 2). 0: all
  // decode to zero.
  template <class Store>
  float search(const Store& store, const float* x, const float* w) {
    steps_.clear();
    for (int64_t g = 0; g < groups_; ++g) add_group(g, x + g * Type::kGroup, w + g * Type::kGroup);
    const float d = search_common(store);
    if (d == 0) return 0;
    total(d, true);
    for (int64_t g = 0; g < groups_; ++g) {
      const Choice choice = choices_[static_cast<size_t>(g)];
      const float s = d * type_.magnitudes(choice.table).value[choice.scale];
      const Hull* hulls = hulls_of(g, choice.table);
      for (int n = 0; n < kVectors; ++n) codes_[static_cast<size_t>(g * kVectors + n)] = hulls[n].at(s).code;
    }
    return d;
  }

  const Choice* choices() const { return choices_.data(); }
  const uint32_t* codes() const { return codes_.data(); }

 private:
  struct Total {
    double gain, product, square;
  };

  Hull* hulls_of(int64_t g, int table) {
    return hulls_.data() + static_cast<size_t>((g * Type::kTables + table) * kVectors);
  }

  void add_group(int64_t g, const float* x, const float* w) {
    const float guess = type_.guess(x, w);
    for (int n = 0; n < kVectors; ++n)
      type_.find_hulls(x + Type::kVector * n, w + Type::kVector * n, Type::kLow * guess, Type::kHigh * guess,
                       hulls_of(g, 0) + n, kVectors);
    for (int table = 0; table < Type::kTables; ++table)
      paths_[static_cast<size_t>(g * Type::kTables + table)] =
          make_path(hulls_of(g, table), kVectors, steps_);
  }

  // How far the error lies below sum w x^2 when each group is given what suits it best.
  Total total(float d, bool keep) {
    const float per_unit = inverse_of(d);
    Total sums{0, 0, 0};
    for (int64_t g = 0; g < groups_; ++g) {
      const Path* paths = paths_.data() + static_cast<size_t>(g * Type::kTables);
      float best_gain = 0, a = 0, b = 0;
      bool found = false;
      for (int table = 0; table < Type::kTables; ++table) {
        const Path& path = paths[table];
        if (found && path.gain <= best_gain) continue;
        const Magnitudes& magnitudes = type_.magnitudes(table);
        const int below = magnitudes.below(path.scale * per_unit);
        for (int at = below; at < below + 2 && at < magnitudes.count; ++at) {
          const float m = magnitudes.value[at], s = d * m;
          const Step& step = path.at(s);
          const float gain = s * (2 * step.a - s * step.b);
          if (found && gain <= best_gain) continue;
          found = true;
          best_gain = gain;
          a = m * step.a;
          b = m * m * step.b;
          if (keep)
            choices_[static_cast<size_t>(g)] = {static_cast<uint8_t>(table), static_cast<uint8_t>(at)};
        }
      }
      sums.gain += static_cast<double>(best_gain);
      sums.product += static_cast<double>(a);
      sums.square += static_cast<double>(b);
    }
    return sums;
  }

  // d, from that at which the largest scale is the largest possible one, or somewhat inside or outside.
  template <class Store>
  float search_common(const Store& store) {
    float start = 0;
    for (int64_t g = 0; g < groups_; ++g) {
      const Path* paths = paths_.data() + static_cast<size_t>(g * Type::kTables);
      int best = 0;
      for (int table = 1; table < Type::kTables; ++table)
        if (paths[table].gain > paths[best].gain) best = table;
      const Magnitudes& magnitudes = type_.magnitudes(best);
      start = max(start, paths[best].scale / magnitudes.value[magnitudes.count - 1]);
    }
    float best = 0;
    double best_gain = 0;
    const auto consider = [&](float d, int refits) {
      for (int n = 0; n <= refits; ++n) {
        d = store.rounded(d);
        if (d == 0) return;
        const Total sums = total(d, false);
        if (sums.gain > best_gain) {
          best_gain = sums.gain;
          best = d;
        }
        if (!(sums.square > 0)) return;
        const float better = static_cast<float>(sums.product / sums.square);
        if (better == d) return;
        d = better;
      }
    };
    constexpr int kTrials = 10;
    for (int n = 0; n < kTrials; ++n) consider(start * (0.85f + 0.45f / kTrials * static_cast<float>(n)), 0);
    consider(best, 3);
    // Where halves are sparse, the few smallest of them.
    const float smallest = store.smallest();
    if (best < 8 * smallest)
      for (int n = 1; n <= 8; ++n) consider(static_cast<float>(n) * smallest, 0);
    return best;
  }

  const Type& type_;
  int64_t groups_;
  std::vector<Hull> hulls_;
  std::vector<Step> steps_;
  std::vector<Path> paths_;
  std::vector<Choice> choices_;
  std::vector<uint32_t> codes_;
};

// Weights and importances as the searches want them.
template <int Group>
IQK_INLINE void scale_weights(const float* x, const float* importance, int64_t count, float unit,
                              float* scaled, float* w) {
  const Lanes per_unit = splat(1 / unit);
  float weight = 0;
  for (int64_t i = 0; i < count; i += kLanes) {
    store(scaled + i, load(x + i) * per_unit);
    weight += sum(load(importance + i));
  }
  const float same = weight > 0 ? kUnimportant : 1;
  for (int64_t i = 0; i < count; i += Group) copy_importance<Group>(importance + i, w + i, same);
}

// A row of blocks of 256 that each have a half-precision d.
template <class Type>
void encode_vector_blocks(const float* x, const float* importance, int64_t k, uint8_t* out) {
  static const Type type;
  VectorSearch<Type> search(type, 256);
  for (int64_t i = 0; i < k; i += 256, out += Type::kBytes) {
    std::memset(out, 0, Type::kBytes);
    const float magnitude = largest<256>(x + i);
    if (magnitude < kSmallestBlock) continue;
    const float unit = power_below(magnitude);
    alignas(16) float scaled[256], w[256];
    scale_weights<Type::kGroup>(x + i, importance + i, 256, unit, scaled, w);
    const float d = search.search(HalfStore{unit}, scaled, w);
    if (d != 0) type.put(finite_half(d * unit), scaled, w, search.choices(), search.codes(), out);
  }
}

// A row whose header has d: 2 bytes, a half, or 4, a float.
template <class Type>
void encode_vector_row(const float* x, const float* importance, int64_t k, uint8_t* out) {
  static const Type type;
  std::memset(out, 0, static_cast<size_t>(Type::kHeader + k / 256 * Type::kBytes));
  float magnitude = 0;
  for (int64_t i = 0; i < k; i += 256) magnitude = max(magnitude, largest<256>(x + i));
  if (magnitude < (Type::kHeader == 2 ? kSmallestBlock : 0x1p-110f)) return;

  const float unit = power_below(magnitude);
  std::vector<float> values(static_cast<size_t>(2 * k));
  float *scaled = values.data(), *w = scaled + k;
  scale_weights<Type::kGroup>(x, importance, k, unit, scaled, w);
  VectorSearch<Type> search(type, k);
  float d;
  if (Type::kHeader == 2) {
    d = search.search(HalfStore{unit}, scaled, w);
    write(out, finite_half(d * unit));
  } else {
    d = search.search(FloatStore{kMostScale / unit}, scaled, w);
    write(out, d * unit);
  }
  if (d == 0) return;
  out += Type::kHeader;
  constexpr int kGroups = 256 / Type::kGroup, kCodes = 256 / Type::kVector;
  for (int64_t n = 0; n < k / 256; ++n, out += Type::kBytes)
    type.put(scaled + 256 * n, search.choices() + kGroups * n, search.codes() + kCodes * n, out);
}

}  // namespace iqk::encode

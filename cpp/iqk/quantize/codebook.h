// Nearest entries of a codebook for all scales at once. For an entry v of a vector of weights x, the error
// sum w (x - s v)^2 lies s (2 a - s b) below sum w x^2, with a = sum w x v and b = sum w v^2. Seen over s /
// 2, a - (s / 2) b is a line, so that the entries that are best for some scale are the vertices of the upper
// hull of the points (b, a): a handful of thousands. They are found once; every search over scales then is
// exact and cheap.
//
// Large codebooks are not looked at as a whole: a tree of means leads to the parts that are worth it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "iqk/quantize/block.h"

namespace iqk::encode {

struct Vertex {
  float a, b;
  uint32_t code;
};

// The vertices of one vector, by descending a and b: those of small scales first.
constexpr int kMaxVertices = 16;
struct Hull {
  Vertex vertex[kMaxVertices];
  int count = 0;

  // The best entry for s.
  IQK_MEMBER const Vertex& at(float s) const {
    const float half = 0.5f * s;
    int best = 0;
    for (int n = 1; n < count; ++n)
      if (vertex[n].a - half * vertex[n].b > vertex[best].a - half * vertex[best].b) best = n;
    return vertex[best];
  }
};

// The vertices among points that lead from the first, best for small scales, to the last: always the one that
// is overtaken by next. Where there are more than fit, some before the last are left out.
IQK_INLINE void wrap(const Vertex* points, int count, const Vertex& last, Hull& hull) {
  Vertex v = points[0];
  hull.vertex[0] = v;
  hull.count = 1;
  while (v.b > last.b && hull.count < kMaxVertices - 1) {
    Vertex next = last;
    float rise = v.a - last.a, run = v.b - last.b;
    for (int n = 1; n < count; ++n) {
      const float da = v.a - points[n].a, db = v.b - points[n].b;
      if (!(db > 0) || !(da * run < rise * db)) continue;
      next = points[n];
      rise = da;
      run = db;
    }
    v = hull.vertex[hull.count++] = next;
  }
  if (v.b > last.b) hull.vertex[hull.count++] = last;
}

// The hull of given points, for s between low and high.
IQK_INLINE void wrap_points(Vertex* points, int count, float low, float high, Hull& hull) {
  int first = 0, last = 0;
  for (int n = 1; n < count; ++n) {
    const auto better = [&](float s, int than) IQK_LAMBDA {
      return points[n].a - 0.5f * s * points[n].b > points[than].a - 0.5f * s * points[than].b;
    };
    if (better(low, first)) first = n;
    if (better(high, last)) last = n;
  }
  const Vertex end = points[last];
  std::swap(points[0], points[first]);
  wrap(points, count, end, hull);
}

// The indices, ascending, of the scores that reach the best of all but for `share` of the way from there to
// their mean. Where those are more than `most`, fewer. `count` is a multiple of 4, and `out` has room for as
// many.
IQK_INLINE int select_best(const float* score, int count, float share, int most, int* out) {
  Lanes highest = splat(-0x1p127f), all{};
  for (int n = 0; n < count; n += kLanes) {
    highest = max(highest, load(score + n));
    all += load(score + n);
  }
  const float best = maximum(highest), mean = sum(all) / static_cast<float>(count);
  for (float margin = share * (best - mean);; margin *= 0.8f) {
    const float least = min(best, best - margin);
    int chosen = 0;
    for (int n = 0; n < count; ++n) {
      out[chosen] = n;
      chosen += score[n] >= least;
    }
    if (chosen <= most) return chosen;
    if (least == best) return most;
  }
}

// For `share` in searches: no part of the codebook is passed over. Only for up to 2048 entries.
constexpr float kWhole = 1;

// Entries of D values. Neighbours are put together, in leaves of 8, branches of 8 leaves, and so on, by
// halving the book again and again where it is widest.
template <int D>
class Codebook {
 public:
  static constexpr int kLeaf = 8, kBranch = 8;
  static constexpr int kMostLeaves = 256;  // that are looked at, and branches of a level
  static constexpr int kMostTop = 64;      // parts of the highest level
  static constexpr int kMostPoints = kMostLeaves * kLeaf;
  static constexpr int kRoom = kMostLeaves * kBranch;  // for leaves while they are chosen

  // `values`: D of each entry. The number of entries is a power of two, at least 32. Books whose entries
  // nearly agree can share a tree as variants of one; without variants, there is one of the values
  // themselves.
  explicit Codebook(const std::vector<float>& values, const std::vector<std::vector<float>>& variants = {})
      : codes_(values.size() / D) {
    for (size_t n = 0; n < codes_.size(); ++n) codes_[n] = static_cast<uint32_t>(n);
    split(values, 0, codes_.size());
    leaves_ = static_cast<int>(codes_.size()) / kLeaf;
    for (const std::vector<float>& variant : variants) add_variant(variant);
    if (variants.empty()) add_variant(values);
    size_t part = kLeaf;
    for (int parts = leaves_; parts > 1; parts /= kBranch, part *= kBranch) {
      means_.emplace_back();
      fill(values, part, means_.back());
      if (parts <= kMostTop) break;
    }
    double squares = 0;
    for (const float v : values) squares += static_cast<double>(v) * static_cast<double>(v);
    typical_ = static_cast<float>(std::sqrt(squares / static_cast<double>(values.size())));
  }

  // The root of the mean square of all values.
  float typical() const { return typical_; }

  // The hull for scales between low and high. `wx` and `w` have D values. With Flip, an odd number of values
  // has the wrong sign, and the one that matters least is to change its sign. `share`: see select_best; parts
  // of the book are judged by their means.
  template <bool Flip>
  void search(const float* wx, const float* w, float low, float high, float share, Hull& hull) const {
    int leaves[kRoom];
    const int chosen = choose_leaves<Flip>(wx, w, low, high, share, leaves);
    search_leaves<Flip>(wx, w, low, high, leaves, chosen, 0, hull);
  }

  // The leaves that such a search looks at, and their number.
  template <bool Flip>
  int choose_leaves(const float* wx, const float* w, float low, float high, float share, int* leaves) const {
    if (share == kWhole) {
      for (int n = 0; n < leaves_; ++n) leaves[n] = n;
      return leaves_;
    }
    Lanes product[D], weight[D];
    splat_all(wx, product);
    splat_all(w, weight);
    // From the top, where all parts are looked at, always the children of those that were chosen.
    const size_t levels = means_.size();
    int chosen = 1, children = leaves_ >> 3 * (levels - 1);
    leaves[0] = 0;
    for (size_t level = levels; level-- > 0; children = kBranch) {
      float score[kRoom];
      int parent[kMostLeaves];
      for (int n = 0; n < chosen; ++n) {
        parent[n] = leaves[n];
        scores<Flip>(means_[level].data() + static_cast<size_t>(leaves[n] * children) * D, product, weight,
                     0.25f * (low + high), children, score + children * n);
      }
      chosen = select_best(score, children * chosen, share, kMostLeaves, leaves);
      for (int n = 0; n < chosen; ++n)
        leaves[n] = parent[leaves[n] / children] * children + leaves[n] % children;
    }
    return chosen;
  }

  // The hull of the entries of these leaves, in one of the variants.
  template <bool Flip>
  void search_leaves(const float* wx, const float* w, float low, float high, const int* leaves, int chosen,
                     size_t variant, Hull& hull) const {
    Lanes product[D], weight[D];
    splat_all(wx, product);
    splat_all(w, weight);
    const float* points = points_[variant].data();
    float a[kMostPoints], b[kMostPoints];
    const Lanes half_low = splat(0.5f * low), half_high = splat(0.5f * high);
    Lanes best_low = splat(-0x1p126f), best_high = best_low;
    Integers at_low{}, at_high{}, here{0, 1, 2, 3};
    for (int n = 0; n < chosen; ++n) {
      if (n + 4 < chosen) fetch(points, leaves[n + 4]);
      const float* p = points + static_cast<size_t>(leaves[n]) * (D * kLeaf);
      for (int i = 0; i < kLeaf; i += kLanes, p += D * kLanes, here += 4) {
        Lanes va, vb;
        products<Flip>(p, product, weight, va, vb);
        store(a + kLeaf * n + i, va);
        store(b + kLeaf * n + i, vb);
        const Lanes score_low = va - half_low * vb, score_high = va - half_high * vb;
        at_low = score_low > best_low ? here : at_low;
        at_high = score_high > best_high ? here : at_high;
        best_low = max(best_low, score_low);
        best_high = max(best_high, score_high);
      }
    }
    const auto vertex = [&](int n) IQK_LAMBDA {
      return Vertex{a[n], b[n], codes_[static_cast<size_t>(leaves[n / kLeaf] * kLeaf + n % kLeaf)]};
    };
    const auto best_of = [](Lanes score, Integers at) IQK_LAMBDA {
      int best = 0;
      for (int l = 1; l < kLanes; ++l)
        if (score[l] > score[best]) best = l;
      return at[best];
    };
    const Vertex first = vertex(best_of(best_low, at_low)), last = vertex(best_of(best_high, at_high));
    // Only points above the line from the first to the last can be vertices.
    Vertex above[kMostPoints + 1];
    int count = 1;
    above[0] = first;
    if (first.b > last.b) {
      const float slope = (first.a - last.a) / (first.b - last.b);
      const Lanes slopes = splat(slope), least = splat(first.a - slope * first.b);
      for (int i = 0; i < chosen * kLeaf; i += 2 * kLanes) {
        const Integers x = load(a + i) - slopes * load(b + i) > least;
        const Integers y = load(a + i + kLanes) - slopes * load(b + i + kLanes) > least;
        if (!any(x | y)) continue;
        for (int l = 0; l < kLanes; ++l)
          if (x[l] != 0) above[count++] = vertex(i + l);
        for (int l = 0; l < kLanes; ++l)
          if (y[l] != 0) above[count++] = vertex(i + kLanes + l);
      }
    }
    wrap(above, count, last, hull);
  }

 private:
  // a and b of four entries; p has four of each of their values.
  template <bool Flip>
  static IQK_MEMBER void products(const float* p, const Lanes* wx, const Lanes* w, Lanes& a, Lanes& b) {
    Lanes v = load(p), least = v * wx[0];
    a = least;
    b = v * w[0] * v;
    for (int j = 1; j < D; ++j) {
      v = load(p + kLanes * j);
      const Lanes product = v * wx[j];
      a += product;
      b += v * w[j] * v;
      if (Flip) least = min(least, product);
    }
    if (Flip) a -= least + least;
  }

  template <bool Flip>
  static IQK_MEMBER void scores(const float* p, const Lanes* wx, const Lanes* w, float half_scale, int count,
                                float* out) {
    for (int i = 0; i < count; i += kLanes, p += D * kLanes) {
      Lanes a, b;
      products<Flip>(p, wx, w, a, b);
      store(out + i, a - splat(half_scale) * b);
    }
  }

  static IQK_MEMBER void splat_all(const float* x, Lanes* out) {
    for (int j = 0; j < D; ++j) out[j] = splat(x[j]);
  }

  // Books are larger than the near caches.
  static void fetch(const float* points, int leaf) {
    const float* p = points + static_cast<size_t>(leaf) * (D * kLeaf);
    for (int i = 0; i < D * kLeaf; i += 16) __builtin_prefetch(p + i);
  }

  void add_variant(const std::vector<float>& values) {
    points_.emplace_back();
    fill(values, 1, points_.back());
  }

  static bool any(Integers mask) {
    int64_t halves[2];
    std::memcpy(halves, &mask, sizeof mask);
    return (halves[0] | halves[1]) != 0;
  }

  // Orders codes_[first, last) into leaves. All sums are of small multiples of powers of two, hence exact.
  void split(const std::vector<float>& values, size_t first, size_t last) {
    const auto begin = codes_.begin();
    if (last - first <= kLeaf) {
      std::sort(begin + static_cast<ptrdiff_t>(first), begin + static_cast<ptrdiff_t>(last));
      return;
    }
    size_t widest = 0;
    double width = -1;
    for (size_t j = 0; j < D; ++j) {
      double mean = 0, square = 0;
      for (size_t n = first; n < last; ++n) {
        const double v = static_cast<double>(values[codes_[n] * D + j]);
        mean += v;
        square += v * v;
      }
      const double spread = square - mean * mean / static_cast<double>(last - first);
      if (spread > width) {
        width = spread;
        widest = j;
      }
    }
    const size_t middle = (first + last) / 2;
    std::nth_element(begin + static_cast<ptrdiff_t>(first), begin + static_cast<ptrdiff_t>(middle),
                     begin + static_cast<ptrdiff_t>(last), [&](uint32_t x, uint32_t y) {
                       const float vx = values[x * D + widest], vy = values[y * D + widest];
                       return vx != vy ? vx < vy : x < y;
                     });
    split(values, first, middle);
    split(values, middle, last);
  }

  // The means of `part` successive entries, in fours.
  void fill(const std::vector<float>& values, size_t part, std::vector<float>& out) const {
    const size_t count = codes_.size() / part;
    out.assign(count * D, 0);
    for (size_t n = 0; n < count; ++n)
      for (size_t j = 0; j < D; ++j) {
        float sum = 0;
        for (size_t i = part * n; i < part * (n + 1); ++i) sum += values[codes_[i] * D + j];
        out[n / kLanes * (D * kLanes) + kLanes * j + n % kLanes] = sum / static_cast<float>(part);
      }
  }

  std::vector<uint32_t> codes_;  // by position
  int leaves_ = 0;
  float typical_ = 0;
  std::vector<std::vector<float>> points_;  // of each variant
  std::vector<std::vector<float>> means_;   // of leaves, of branches, and so on
};

}  // namespace iqk::encode

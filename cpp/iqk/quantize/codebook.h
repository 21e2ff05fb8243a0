// Nearest entries of a codebook for all scales at once. For an entry v of a vector of weights x, the error
// sum w (x - s v)^2 lies s (2 a - s b) below sum w x^2, with a = sum w x v and b = sum w v^2. Seen over s /
// 2, a - (s / 2) b is a line, so that the entries that are best for some scale are the vertices of the upper
// hull of the points (b, a): a handful of thousands. They are found once; every search over scales then is
// exact and cheap.
//
// Large codebooks are not looked at as a whole: a tree of boxes leads to the parts that are worth it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
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

// The vertices that lead from `first`, best for small scales, to `last`, among the points (b[n], a[n]) and
// these two: always the one that is overtaken by next. `count` is a multiple of 4; what only fills it up has
// a b as large as that of `first`. Where there are more vertices than fit, some before the last are left out.
template <class VertexAt>
IQK_INLINE void wrap(const float* a, const float* b, int count, const Vertex& first, const Vertex& last,
                     VertexAt vertex_at, Hull& hull) {
  Vertex v = first;
  hull.vertex[0] = v;
  hull.count = 1;
  while (v.b > last.b && hull.count < kMaxVertices - 1) {
    const Lanes va = splat(v.a), vb = splat(v.b);
    Lanes least = splat((v.a - last.a) / (v.b - last.b));
    Integers at{-1, -1, -1, -1}, here{0, 1, 2, 3};
    for (int n = 0; n < count; n += kLanes, here += kLanes) {
      const Lanes run = vb - load(b + n), slope = (va - load(a + n)) / run;
      const Integers flatter = (run > splat(0)) & (slope < least);
      least = flatter ? slope : least;
      at = flatter ? here : at;
    }
    const int next = at_largest(-least, at);
    v = hull.vertex[hull.count++] = next < 0 ? last : vertex_at(next);
  }
  if (v.b > last.b) hull.vertex[hull.count++] = last;
}

// The hull of given points, for s between low and high.
template <int Most>
IQK_INLINE void wrap_points(const Vertex (&points)[Most], int count, float low, float high, Hull& hull) {
  int first = 0, last = 0;
  for (int n = 1; n < count; ++n) {
    const auto better = [&](float s, int than) IQK_LAMBDA {
      return points[n].a - 0.5f * s * points[n].b > points[than].a - 0.5f * s * points[than].b;
    };
    if (better(low, first)) first = n;
    if (better(high, last)) last = n;
  }
  constexpr int kRoom = (Most + kLanes - 1) / kLanes * kLanes;
  float a[kRoom], b[kRoom];
  const int filled = (count + kLanes - 1) / kLanes * kLanes;
  for (int n = 0; n < filled; ++n) {
    a[n] = points[n < count ? n : first].a;
    b[n] = points[n < count ? n : first].b;
  }
  wrap(a, b, filled, points[first], points[last], [&](int n) IQK_LAMBDA { return points[n]; }, hull);
}

// Appends first + n for all marked lanes n; writes four places. No branch, as there is no telling which.
IQK_INLINE void append_where(Integers marked, int first, int* out, int& count) {
  int32_t minus[kLanes];
  store(minus, marked);
  unroll<kLanes>([&](auto n) IQK_LAMBDA {
    out[count] = first + n;
    count -= minus[n];
  });
}

// How far the mean of scores lies below the best.
IQK_INLINE float mean_below_best(const float* score, int count) {
  Lanes highest = splat(-0x1p127f), all{};
  for (int n = 0; n < count; n += kLanes) {
    highest = max(highest, load(score + n));
    all += load(score + n);
  }
  return maximum(highest) - sum(all) / static_cast<float>(count);
}

// The indices, ascending, of the scores that lie at most `margin` below the best. Where those are more than
// `most`, fewer. `count` is a multiple of 4, and `out` has room for as many.
IQK_INLINE int select_best(const float* score, int count, float margin, int most, int* out) {
  Lanes highest = splat(-0x1p127f);
  for (int n = 0; n < count; n += kLanes) highest = max(highest, load(score + n));
  const float best = maximum(highest);
  for (;; margin *= 0.8f) {
    const float least = min(best, best - margin);
    int chosen = 0;
    for (int n = 0; n < count; n += kLanes) append_where(load(score + n) >= splat(least), n, out, chosen);
    if (chosen <= most) return chosen;
    if (least == best) return most;
  }
}

// For `share` in searches: no part of the codebook is passed over. Only for up to 2048 entries. Other shares:
// parts of the codebook are looked at that promise at most so much less than the best one, as a share of what
// that is above the mean of all.
constexpr float kWhole = 1;

// Entries of D values. Neighbours are put together, in leaves of 8, branches of 8 leaves, and so on, by
// halving the book again and again where it is widest.
template <int D>
class Codebook {
 public:
  static constexpr int kLeaf = 8, kBranchShift = 3, kBranch = 1 << kBranchShift;
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
    for (const std::vector<float>& variant : variants) points_.push_back(in_fours(variant));
    if (variants.empty()) points_.push_back(in_fours(values));
    size_t part = kLeaf;
    for (int parts = leaves_; parts > 1; parts /= kBranch, part *= kBranch) {
      boxes_.push_back(boxes_of(values, part));
      if (parts > kMostTop) continue;
      while (1 << top_shift_ < parts) ++top_shift_;
      break;
    }
    double squares = 0;
    for (const float v : values) squares += static_cast<double>(v) * static_cast<double>(v);
    typical_ = static_cast<float>(std::sqrt(squares / static_cast<double>(values.size())));
  }

  // The root of the mean square of all values.
  float typical() const { return typical_; }

  // The hull for scales between low and high. `wx` and `w` have D values. With Flip, an odd number of values
  // has the wrong sign, and the one that matters least is to change its sign; `wx` and the entries are
  // magnitudes then. `share`: see kWhole.
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
    const Target target(wx, w, 0.5f * (low + high));
    // From the top, where all parts are looked at, always the children of those that were chosen.
    const size_t levels = boxes_.size();
    int chosen = 1, shift = top_shift_;  // a part has 2^shift children
    float margin = 0;
    leaves[0] = 0;
    for (size_t level = levels; level-- > 0; shift = kBranchShift) {
      const int children = 1 << shift;
      float score[kRoom];
      int parent[kMostLeaves];
      for (int n = 0; n < chosen; ++n) {
        parent[n] = leaves[n] << shift;
        bounds<Flip>(boxes_[level].data() + static_cast<size_t>(parent[n]) * 2 * D, target, children,
                     score + (n << shift));
      }
      // The smaller the boxes, the closer what they promise is to what they hold, also that of the best one.
      margin = level + 1 == levels ? share * mean_below_best(score, children) : margin * 1.25f;
      chosen = select_best(score, chosen << shift, margin, kMostLeaves, leaves);
      for (int n = 0; n < chosen; ++n) leaves[n] = parent[leaves[n] >> shift] + (leaves[n] & (children - 1));
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
    const int first_at = at_largest(best_low, at_low);
    const Vertex first = vertex(first_at), last = vertex(at_largest(best_high, at_high));
    // Only points above the line from the first to the last can be vertices.
    int above[kMostPoints + kLanes], count = 0;
    if (first.b > last.b) {
      const float slope = (first.a - last.a) / (first.b - last.b);
      const Lanes slopes = splat(slope), least = splat(first.a - slope * first.b);
      for (int i = 0; i < chosen * kLeaf; i += kLanes)
        append_where(load(a + i) - slopes * load(b + i) > least, i, above, count);
    }
    while (count % kLanes != 0) above[count++] = first_at;
    float above_a[kMostPoints + kLanes], above_b[kMostPoints + kLanes];
    for (int n = 0; n < count; ++n) {
      above_a[n] = a[above[n]];
      above_b[n] = b[above[n]];
    }
    wrap(above_a, above_b, count, first, last, [&](int n) IQK_LAMBDA { return vertex(above[n]); }, hull);
  }

 private:
  // a and b of four entries; p has four of each of their values.
  template <bool Flip>
  static IQK_MEMBER void products(const float* p, const Lanes* wx, const Lanes* w, Lanes& a, Lanes& b) {
    Lanes least = load(p) * wx[0];
    a = b = Lanes{};
    unroll<D>([&](auto j) IQK_LAMBDA {
      const Lanes v = load(p + kLanes * j), product = v * wx[j];
      a += product;
      b += v * w[j] * v;
      if (Flip) least = min(least, product);
    });
    if (Flip) a -= least + least;
  }

  // A vector and a scale: a - (scale / 2) b is a sum of v (wx - half_w v), each largest at v = best.
  struct Target {
    Target(const float* x, const float* w, float scale) {
      splat_all(x, wx);
      splat_all(w, half_w);
      unroll<D>([&](auto j) IQK_LAMBDA {
        best[j] = wx[j] / (half_w[j] * splat(scale));
        half_w[j] *= splat(0.5f * scale);
      });
    }
    Lanes wx[D], half_w[D], best[D];
  };

  // What the entries of parts reach at most, if each value could be chosen alone.
  template <bool Flip>
  static IQK_MEMBER void bounds(const float* boxes, const Target& t, int count, float* out) {
    for (int i = 0; i < count; i += kLanes, boxes += 2 * D * kLanes) {
      Lanes score{}, least = load(boxes) * t.wx[0];
      unroll<D>([&](auto j) IQK_LAMBDA {
        const Lanes low = load(boxes + 2 * kLanes * j), high = load(boxes + 2 * kLanes * j + kLanes);
        const Lanes v = max(min(t.best[j], high), low);
        score += v * (t.wx[j] - t.half_w[j] * v);
        if (Flip) least = min(least, low * t.wx[j]);
      });
      store(out + i, Flip ? score - (least + least) : score);
    }
  }

  static IQK_MEMBER void splat_all(const float* x, Lanes* out) {
    unroll<D>([&](auto j) IQK_LAMBDA { out[j] = splat(x[j]); });
  }

  // Books are larger than the near caches.
  static void fetch(const float* points, int leaf) {
    const float* p = points + static_cast<size_t>(leaf) * (D * kLeaf);
    for (int i = 0; i < D * kLeaf; i += 16) __builtin_prefetch(p + i);
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

  // The values of all entries by position, in fours.
  std::vector<float> in_fours(const std::vector<float>& values) const {
    std::vector<float> out(values.size());
    for (size_t n = 0; n < codes_.size(); ++n)
      for (size_t j = 0; j < D; ++j)
        out[n / kLanes * (D * kLanes) + kLanes * j + n % kLanes] = values[codes_[n] * D + j];
    return out;
  }

  // The boxes of `part` successive entries each, in fours: for each value the smallest and the largest.
  std::vector<float> boxes_of(const std::vector<float>& values, size_t part) const {
    std::vector<float> out(codes_.size() / part * 2 * D);
    for (size_t n = 0; n < codes_.size() / part; ++n)
      for (size_t j = 0; j < D; ++j) {
        float* low = &out[(n / kLanes * D + j) * 2 * kLanes + n % kLanes];
        float* high = low + kLanes;
        *low = *high = values[codes_[n * part] * D + j];
        for (size_t i = part * n + 1; i < part * (n + 1); ++i) {
          *low = min(*low, values[codes_[i] * D + j]);
          *high = max(*high, values[codes_[i] * D + j]);
        }
      }
    return out;
  }

  std::vector<uint32_t> codes_;  // by position
  int leaves_ = 0;
  int top_shift_ = 0;  // the highest level has 2^top_shift_ parts
  float typical_ = 0;
  std::vector<std::vector<float>> points_;  // of each variant
  std::vector<std::vector<float>> boxes_;   // of leaves, of branches, and so on
};

}  // namespace iqk::encode

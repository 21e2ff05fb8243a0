// IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S: entries of magnitudes for 8 or 4 weights, and signs. IQ1_S, IQ1_M:
// entries of -1, 0, 1 for 8 weights, shifted by an eighth.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/quantize/vector_search.h"

namespace iqk::encode {

// The values of a grid, whose entries hold them as bytes with a bias, in units of the integer scales.
template <class Entry>
std::vector<float> grid_values(const Entry* grid, int count, int bias, float unit, float shift = 0) {
  std::vector<float> values;
  for (int n = 0; n < count; ++n)
    for (size_t j = 0; j < sizeof(Entry); ++j)
      values.push_back(static_cast<float>(static_cast<int>(grid[n] >> 8 * j & 255) - bias) * unit + shift);
  return values;
}

// Bit j: weight j of 8 is negative.
IQK_INLINE int signs_of(const float* x) {
  int signs = 0;
  for (int j = 0; j < 8; ++j) signs |= static_cast<int>(float_bits(x[j]) >> 31) << j;
  return signs;
}
IQK_INLINE bool is_odd(int signs) { return (0x6996 >> ((signs ^ signs >> 4) & 15) & 1) != 0; }

// The signs of 8 weights with the values v, made even in number where it costs least.
template <class Value>
IQK_INLINE int even_signs(const float* x, const float* w, Value&& value) {
  int signs = signs_of(x);
  if (!is_odd(signs)) return signs;
  int cheapest = 0;
  float least = 0;
  for (int j = 0; j < 8; ++j) {
    const float cost = w[j] * (x[j] < 0 ? -x[j] : x[j]) * value(j);
    if (j > 0 && cost >= least) continue;
    least = cost;
    cheapest = j;
  }
  return signs ^ 1 << cheapest;
}

constexpr Magnitudes kOddTo31 = even_magnitudes(16, 1, 2, 0, 1), kOddTo15 = even_magnitudes(8, 1, 2, 0, 1);

// Two scales to a byte.
IQK_INLINE void put_scale_codes(const Choice* choices, int count, uint8_t* out) {
  for (int t = 0; t < count; t += 2)
    out[t / 2] = static_cast<uint8_t>(choices[t].scale | choices[t + 1].scale << 4);
}

// ---- 8 weights -------------------------------------------------------------------------------------------

template <bool EvenSigns, int Group>
struct Grid8 {
  Grid8(const uint64_t* entries, int count, float part)
      : grid(entries), share(part), book(grid_values(entries, count, kIq2Bias, 0.125f)) {}

  static constexpr int kGroup = Group, kVector = 8, kTables = 1;
  static constexpr float kLow = 0.85f, kHigh = 1.2f;
  float guess(const float* x, const float* w) const { return scale_by_levels<kGroup>(levels, x, w); }
  static const Magnitudes& magnitudes(int) { return kOddTo31; }
  void find_hulls(const float* x, const float* w, float low, float high, Hull* hull, int) const {
    float wx[8];
    weigh_magnitudes<8>(x, w, wx);
    if (EvenSigns && is_odd(signs_of(x)))
      book.template search<true>(wx, w, low, high, share, *hull);
    else
      book.template search<false>(wx, w, low, high, share, *hull);
  }
  int signs(const float* x, const float* w, uint32_t code) const {
    const uint64_t entry = grid[code];
    return even_signs(x, w, [&](int j) IQK_LAMBDA {
      return static_cast<float>(static_cast<int>(entry >> 8 * j & 255) - kIq2Bias);
    });
  }

  const uint64_t* grid;
  float share;
  FreeLevels<3> levels{{1, 3.125f, 5.375f}};
  Codebook<8> book;
};

struct IQ2_XXS : Grid8<true, 32> {
  IQ2_XXS() : Grid8(kIq2xxsGrid, 256, kWhole) {}
  static constexpr int kBytes = 66;

  void put(uint16_t d, const float* x, const float* w, const Choice* choices, const uint32_t* codes,
           uint8_t* out) const {
    write(out, d);
    for (int b = 0; b < 8; ++b) {
      uint32_t word = static_cast<uint32_t>(choices[b].scale) << 28;
      for (int l = 0; l < 4; ++l) {
        const int g = 4 * b + l;
        out[2 + 8 * b + l] = static_cast<uint8_t>(codes[g]);
        word |= static_cast<uint32_t>(signs(x + 8 * g, w + 8 * g, codes[g]) & 127) << 7 * l;
      }
      write(out + 6 + 8 * b, word);
    }
  }
};

struct IQ2_XS : Grid8<true, 16> {
  IQ2_XS() : Grid8(kIq2xsGrid, 512, 0.3f) {}
  static constexpr int kBytes = 74;

  void put(uint16_t d, const float* x, const float* w, const Choice* choices, const uint32_t* codes,
           uint8_t* out) const {
    write(out, d);
    for (int g = 0; g < 32; ++g) {
      const int field = signs(x + 8 * g, w + 8 * g, codes[g]) & 127;
      write(out + 2 + 2 * g, static_cast<uint16_t>(codes[g] | static_cast<uint32_t>(field) << 9));
    }
    put_scale_codes(choices, 16, out + 66);
  }
};

struct IQ2_S : Grid8<false, 16> {
  IQ2_S() : Grid8(kIq2sGrid, 1024, 0.3f) {}
  static constexpr int kBytes = 82;

  void put(uint16_t d, const float* x, const float*, const Choice* choices, const uint32_t* codes,
           uint8_t* out) const {
    write(out, d);
    for (int g = 0; g < 32; ++g) {
      out[2 + g] = static_cast<uint8_t>(codes[g]);
      out[34 + g] = static_cast<uint8_t>(signs_of(x + 8 * g));
      out[66 + g / 4] = static_cast<uint8_t>(out[66 + g / 4] | codes[g] >> 8 << g % 4 * 2);
    }
    put_scale_codes(choices, 16, out + 74);
  }
};

// ---- 4 weights -------------------------------------------------------------------------------------------

// Two entries share the signs of 8 weights: codes are pairs of entries.
struct IQ3_XXS {
  static constexpr int kBytes = 98, kGroup = 32, kVector = 8, kTables = 1;
  static constexpr float kLow = 0.9f, kHigh = 1.15f;
  static constexpr float kShare = 0.25f;
  float guess(const float* x, const float* w) const { return scale_by_levels<kGroup>(levels, x, w); }
  static const Magnitudes& magnitudes(int) { return kOddTo31; }
  void find_hulls(const float* x, const float* w, float low, float high, Hull* hull, int) const {
    float wx[8];
    weigh_magnitudes<8>(x, w, wx);
    Hull right[2], flipped[2];
    for (int h = 0; h < 2; ++h) book.search<false>(wx + 4 * h, w + 4 * h, low, high, kShare, right[h]);
    Vertex points[4 * kMaxVertices];
    int count = 0;
    if (is_odd(signs_of(x))) {
      for (int h = 0; h < 2; ++h) book.search<true>(wx + 4 * h, w + 4 * h, low, high, kShare, flipped[h]);
      merge(right[0], flipped[1], points, count);
      merge(flipped[0], right[1], points, count);
    } else {
      merge(right[0], right[1], points, count);
    }
    wrap_points(points, count, low, high, *hull);
  }

  void put(uint16_t d, const float* x, const float* w, const Choice* choices, const uint32_t* codes,
           uint8_t* out) const {
    write(out, d);
    for (int b = 0; b < 8; ++b) {
      uint32_t word = static_cast<uint32_t>(choices[b].scale) << 28;
      for (int l = 0; l < 4; ++l) {
        const int g = 4 * b + l;
        const uint32_t entries[2] = {codes[g] & 255, codes[g] >> 8};
        out[2 + 2 * g] = static_cast<uint8_t>(entries[0]);
        out[3 + 2 * g] = static_cast<uint8_t>(entries[1]);
        const int signs = even_signs(x + 8 * g, w + 8 * g, [&](int j) IQK_LAMBDA {
          return static_cast<float>(static_cast<int>(kIq3xxsGrid[entries[j / 4]] >> 8 * (j % 4) & 255) -
                                    kIq3xxsBias);
        });
        word |= static_cast<uint32_t>(signs & 127) << 7 * l;
      }
      write(out + 66 + 4 * b, word);
    }
  }

  // Adds the hull of sums of two.
  static void merge(const Hull& first, const Hull& second, Vertex* points, int& count) {
    int m = 0, n = 0;
    const auto here = [&] {
      const Vertex &p = first.vertex[m], &q = second.vertex[n];
      points[count++] = {p.a + q.a, p.b + q.b, p.code | q.code << 8};
    };
    const auto turn = [](const Hull& hull, int i) {
      const Vertex &p = hull.vertex[i], &q = hull.vertex[i + 1];
      return (p.a - q.a) / (p.b - q.b);
    };
    here();
    while (m + 1 < first.count || n + 1 < second.count) {
      if (n + 1 == second.count || (m + 1 < first.count && turn(first, m) < turn(second, n)))
        ++m;
      else
        ++n;
      here();
    }
  }

  FreeLevels<8> levels{{1, 3, 5, 7, 9, 11, 13, 15.5f}};
  Codebook<4> book{grid_values(kIq3xxsGrid, 256, kIq3xxsBias, 0.25f)};
};

struct IQ3_S {
  static constexpr int kBytes = 110, kGroup = 32, kVector = 4, kTables = 1;
  static constexpr float kLow = 0.9f, kHigh = 1.15f;
  static constexpr float kShare = 0.2f;
  float guess(const float* x, const float* w) const { return scale_by_levels<kGroup>(levels, x, w); }
  static const Magnitudes& magnitudes(int) { return kOddTo31; }
  void find_hulls(const float* x, const float* w, float low, float high, Hull* hull, int) const {
    float wx[4];
    weigh_magnitudes<4>(x, w, wx);
    book.search<false>(wx, w, low, high, kShare, *hull);
  }

  void put(uint16_t d, const float* x, const float*, const Choice* choices, const uint32_t* codes,
           uint8_t* out) const {
    write(out, d);
    for (int n = 0; n < 64; ++n) {
      out[2 + n] = static_cast<uint8_t>(codes[n]);
      out[66 + n / 8] = static_cast<uint8_t>(out[66 + n / 8] | codes[n] >> 8 << n % 8);
    }
    for (int g = 0; g < 32; ++g) out[74 + g] = static_cast<uint8_t>(signs_of(x + 8 * g));
    put_scale_codes(choices, 8, out + 106);
  }

  FreeLevels<8> levels{{1, 3, 5, 7, 9, 11, 13, 15}};
  Codebook<4> book{grid_values(kIq3sGrid, 512, kIq3sBias, 1)};
};

// ---- 8 ternary weights -----------------------------------------------------------------------------------

struct IQ1_S {
  static constexpr int kBytes = 50, kGroup = 32, kVector = 8, kTables = 2;
  static constexpr float kLow = 0.89f, kHigh = 1.13f;
  static constexpr float kShare = 0.16f;
  float guess(const float* x, const float* w) const { return scale_by_size<kGroup>(x, w, book.typical()); }
  static const Magnitudes& magnitudes(int) { return kOddTo15; }
  // The same leaves for both shifts.
  void find_hulls(const float* x, const float* w, float low, float high, Hull* hulls, int stride) const {
    float wx[8];
    for (int j = 0; j < 8; j += kLanes) store(wx + j, load(w + j) * load(x + j));
    int leaves[Codebook<8>::kRoom];
    const int chosen = book.choose_leaves<false>(wx, w, low, high, kShare, leaves);
    for (size_t table = 0; table < 2; ++table)
      book.search_leaves<false>(wx, w, low, high, leaves, chosen, table, hulls[table * stride]);
  }

  void put(uint16_t d, const float*, const float*, const Choice* choices, const uint32_t* codes,
           uint8_t* out) const {
    write(out, d);
    for (int b = 0; b < 8; ++b) {
      uint32_t high = static_cast<uint32_t>(choices[b].scale << 12 | choices[b].table << 15);
      for (int l = 0; l < 4; ++l) {
        out[2 + 4 * b + l] = static_cast<uint8_t>(codes[4 * b + l]);
        high |= codes[4 * b + l] >> 8 << 3 * l;
      }
      write(out + 34 + 2 * b, static_cast<uint16_t>(high));
    }
  }

  Codebook<8> book{grid_values(kIq1sGrid, 2048, kIq1sBias, 1),
                   {grid_values(kIq1sGrid, 2048, kIq1sBias, 1, 0.125f),
                    grid_values(kIq1sGrid, 2048, kIq1sBias, 1, -0.125f)}};
};

struct IQ1_M {
  static constexpr int kBytes = 56, kGroup = 16, kVector = 8, kTables = 1;
  static constexpr float kLow = 0.8f, kHigh = 1.25f;
  static constexpr float kShare = 0.2f;
  float guess(const float* x, const float* w) const { return scale_by_size<kGroup>(x, w, book.typical()); }
  static const Magnitudes& magnitudes(int) { return kOddTo15; }
  void find_hulls(const float* x, const float* w, float low, float high, Hull* hull, int) const {
    float wx[8];
    for (int j = 0; j < 8; j += kLanes) store(wx + j, load(w + j) * load(x + j));
    book.search<false>(wx, w, low, high, kShare, *hull);
  }

  // Bit 11 of a code is the shift.
  void put(uint16_t d, const float*, const float*, const Choice* choices, const uint32_t* codes,
           uint8_t* out) const {
    for (int g = 0; g < 32; ++g) {
      out[g] = static_cast<uint8_t>(codes[g]);
      out[32 + g / 2] = static_cast<uint8_t>(out[32 + g / 2] | codes[g] >> 8 << g % 2 * 4);
    }
    for (int c = 0; c < 4; ++c) {
      int word = (d >> 4 * c & 15) << 12;
      for (int r = 0; r < 4; ++r) word |= choices[4 * c + r].scale << 3 * r;
      write(out + 48 + 2 * c, static_cast<uint16_t>(word));
    }
  }

  static std::vector<float> both_shifts() {
    std::vector<float> values = grid_values(kIq1sGrid, 2048, kIq1sBias, 1, 0.125f);
    const std::vector<float> other = grid_values(kIq1sGrid, 2048, kIq1sBias, 1, -0.125f);
    values.insert(values.end(), other.begin(), other.end());
    return values;
  }
  Codebook<8> book{both_shifts()};
};

}  // namespace iqk::encode

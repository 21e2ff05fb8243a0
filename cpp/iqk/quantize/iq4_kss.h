// IQ4_KSS: as IQ4_KS, but the bits of the four codes of a word are even in number: where the nearest levels
// do not make them so, the weight for which it costs least takes the nearest level of the other parity.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/quantize/grouped_search.h"
#include "iqk/quantize/iqk_types.h"

namespace iqk::encode {

// 16 levels as TableLevels has them; of each cell also the nearest level among those whose codes have the
// other parity.
struct ParityLevels {
  explicit ParityLevels(const int8_t* levels)
      : low(levels[0]), high(levels[15]), bottom(bound(-255.5f)), top(bound(255.5f)) {
    for (int cell = 0; cell < 512; ++cell) {
      const int middle = 2 * (cell - 256) + 1;  // of the cell, times 4
      int best[2] = {-1, -1};
      for (int c = 0; c < 16; ++c) {
        int& nearest = best[parity(c)];
        if (nearest < 0 || distance(levels[c], middle) < distance(levels[nearest], middle)) nearest = c;
      }
      const bool odd = distance(levels[best[1]], middle) < distance(levels[best[0]], middle);
      for (int n = 0; n < 2; ++n) {
        code[n][cell] = static_cast<uint8_t>(best[odd != (n == 1)]);
        value[n][cell] = levels[code[n][cell]];
      }
    }
  }

  static int parity(int code) { return 0x6996 >> code & 1; }
  static int distance(int level, int middle) {
    return level * 4 < middle ? middle - level * 4 : level * 4 - middle;
  }

  // The codes of the four weights t of a word, and their levels.
  IQK_MEMBER Lanes choose(Lanes t, Lanes w, uint8_t* codes) const {
    const Integers cell = truncate(min(max(t + t, bottom), top) + splat(256));
    Lanes q{value[0][cell[0]], value[0][cell[1]], value[0][cell[2]], value[0][cell[3]]};
    int odd = 0;
    for (int l = 0; l < kLanes; ++l) {
      codes[l] = code[0][cell[l]];
      odd ^= codes[l];
    }
    if (parity(odd) == 0) return q;
    const Lanes other{value[1][cell[0]], value[1][cell[1]], value[1][cell[2]], value[1][cell[3]]};
    const Lanes cost = w * ((t - other) * (t - other) - (t - q) * (t - q));
    int cheapest = 0;
    for (int l = 1; l < kLanes; ++l)
      if (cost[l] < cost[cheapest]) cheapest = l;
    codes[cheapest] = code[1][cell[cheapest]];
    q[cheapest] = other[cheapest];
    return q;
  }

  float low, high;
  Lanes bottom, top;
  float value[2][512];
  uint8_t code[2][512];
};

// Word r of 32 weights has 2 r, 2 r + 16, 2 r + 1, 2 r + 17: of four weights from an even r on, and of the
// four 16 later, those of words r and r + 1.
IQK_INLINE Lanes even_word(const float* v) {
  return __builtin_shufflevector(load(v), load(v + 16), 0, 4, 1, 5);
}
IQK_INLINE Lanes odd_word(const float* v) {
  return __builtin_shufflevector(load(v), load(v + 16), 2, 6, 3, 7);
}

template <int N>
IQK_INLINE Fit fit(const ParityLevels& levels, const float* x, const float* w, float inverse) {
  static_assert(N == 32);
  Lanes product{}, square{};
  uint8_t codes[kLanes];
  const auto add = [&](Lanes v, Lanes weight) IQK_LAMBDA {
    const Lanes q = levels.choose(v * splat(inverse), weight, codes), wq = weight * q;
    product += wq * v;
    square += wq * q;
  };
  for (int i = 0; i < 16; i += kLanes) {
    add(even_word(x + i), even_word(w + i));
    add(odd_word(x + i), odd_word(w + i));
  }
  const Lanes both = sums(product, square);
  return {both[0], both[1]};
}

// Four codes of each word after the other.
template <int N>
IQK_INLINE void final_codes(const ParityLevels& levels, const float* x, const float* w, float inverse,
                            uint8_t* codes) {
  for (int i = 0; i < 16; i += kLanes) {
    levels.choose(even_word(x + i) * splat(inverse), even_word(w + i), codes + 2 * i);
    levels.choose(odd_word(x + i) * splat(inverse), odd_word(w + i), codes + 2 * i + kLanes);
  }
}

struct IQ4_KSS {
  static constexpr int kBytes = 128, kHeader = 4, kTables = 2;
  static constexpr ScaleRange kRange{-127, 127, 2};
  static constexpr Effort kEffort{{-14, 4, 9}, 1, 1, 1};
  ParityLevels levels[2] = {ParityLevels{kIq4k[0]}, ParityLevels{kIq4k[1]}};

  static void put(const Group* groups, const uint8_t* codes, uint8_t* out) {
    uint8_t heads[8];
    put_scale_bytes(groups, heads);
    for (int n = 0; n < 64; ++n, codes += 4, out += 2) {
      int word = codes[0] | codes[1] << 4 | codes[2] << 8 | codes[3] << 12;
      for (int shift = 1; shift < 16; shift *= 2) word ^= word >> shift;
      write(out, static_cast<uint16_t>(word | (heads[n / 8] >> n % 8 & 1)));
    }
  }
};

}  // namespace iqk::encode

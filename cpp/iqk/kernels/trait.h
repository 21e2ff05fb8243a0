// The vector side of a format: what its trait may say, the defaults, and what the kernels derive from it.
//
//   kVector              the format has vector code (else kernels take it through Natural, below)
//   order(v, x)          which weight 0..255 of the unit byte x of vector v is; a dword's four are neighbours
//   kMax                 largest code of unsigned codes; 0: signed codes
//   kOffset              code = value + offset
//   kAccumulators, accumulator(v)   which vectors may be summed before scaling: their dwords must have equal
//                        scales
//   kScales              scales in 256 weights: 8 or 16
//   kRowScale, row_scale(in)        a float applied once at the end of the row
//   kLaneScales, lane_scales(s)     the scales of the dword lanes at once, where there is one accumulator
//   kScalesAndMinima, scales_and_minima(s)    eight of each in one register
//   kShift, shifts(s)    one bit per scale group: values of marked groups are larger by kShift than
//                        code - kOffset
//   kVectorMinima, minima(s)        floats added to scale * value
//   kIndexWords, indices(in, out)   first pass over a unit; `in.index` then has the unit's words. With
//                        kIndexPairs indices(in, next, out), over two units at once
//   open(in) -> Group, row(group, Constant<r>) -> State   interleaved formats: the shared part once, then
//                        each row
//   kRowByRow            the rows of a group have nothing to share: each is walked on its own
//   kStreams             rows, far apart, that a product with one column takes side by side: 2 where memory
//                        is waited for, as each is a stream of its own; 1 where the decoding decides, and
//                        kLookupStreams where that depends on the instruction set. With 1, columns are padded
//                        rather than decoded for in parts
//   kLines               codes of eight or sixteen rows side by side, see kernels/gemv_rows.h
//   codes(state, put)    calls put(Constant<v>{}, Bytes) for each of the four vectors
//   kPartMax, kPartsBias, parts(state, put)   codes that are sums of four parts from 0 to kPartMax less
//                        kPartsBias: calls put(Constant<v>{}, a, b, c, d), a dword of which has the parts of
//                        byte 0, 1, 2 or 3 of that dword of vector v
//   scales(state)        Floats<kScales>, natural order
#pragma once

#include <type_traits>

#include "iqk/formats/format.h"

namespace IQK_NS {

struct VectorDefaults {
  static constexpr bool kVector = true;
  static constexpr int kMax = 0, kAccumulators = 1, kScales = 8, kIndexWords = 0, kStreams = 2;
  static constexpr int kVectors = 4, kPartMax = 0;
  static constexpr float kOffset = 0, kShift = 0;
  static constexpr bool kRowScale = false, kVectorMinima = false, kRowByRow = false, kLines = false;
  static constexpr bool kIndexPairs = false, kLaneScales = false, kScalesAndMinima = false;
  static constexpr int accumulator(int) { return 0; }
  IQK_INLINE In open(In in) { return in; }
  template <int R>
  IQK_INLINE In row(In in, Constant<R>) {
    return in;
  }
  IQK_INLINE float row_scale(In) { return 1.0f; }
};

// Any format through its plain decoder: codes in natural order, a scale and a minimum per 16. Small codes get
// an offset of their own: that of signed codes, 128, would cost them digits when it cancels.
template <class F>
struct Natural : F {
  static constexpr bool kVector = true;
  static constexpr int kMax = F::kLargest <= 63 ? 2 * F::kLargest : 0, kAccumulators = 4, kScales = 16,
                       kIndexWords = 0, kStreams = 1, kVectors = 4, kPartMax = 0;
  static constexpr float kOffset = kMax / 2, kShift = 0;
  static constexpr bool kRowScale = false, kVectorMinima = F::kMinima, kRowByRow = true, kLines = false,
                        kLaneScales = false, kScalesAndMinima = false;
  static constexpr int order(int v, int x) { return 64 * v + x; }
  static constexpr int accumulator(int v) { return v; }
  IQK_INLINE In open(In in) { return in; }
  static __attribute__((noinline)) void unpack_row(In in, Unit& u) { F::unpack(in, u); }
  IQK_INLINE Unit row(In in, int r) {
    Unit u;
    unpack_row({in.block, in.header, r}, u);
    return u;
  }
  IQK_INLINE float row_scale(In) { return 1.0f; }
  template <class Put>
  IQK_INLINE void codes(const Unit& u, Put put) {
    unroll<4>([&](auto v) IQK_LAMBDA {
      const Bytes q = load(u.q + 64 * v);
      if constexpr (kMax == 0)
        put(v, signed_codes(q));
      else
        put(v, q + splat(kMax / 2));
    });
  }
  IQK_INLINE Floats<16> scales(const Unit& u) { return fload<16>(u.scale); }
  IQK_INLINE Floats<16> minima(const Unit& u) { return fload<16>(u.minimum); }
};

template <class F, class = void>
struct HasVector {
  static constexpr bool value = false;
};
template <class F>
struct HasVector<F, decltype(static_cast<void>(F::kVector))> {
  static constexpr bool value = F::kVector;
};
template <class F>
using Vectorized = typename std::conditional<HasVector<F>::value, F, Natural<F>>::type;

// A format whose vectors need two or four accumulators, with dwords moved so that one is enough: for several
// columns, each of which has fewer sums to scale then.
template <class F>
struct Merged : F {
  static constexpr int kAccumulators = 1;
  static constexpr int accumulator(int) { return 0; }
  // Vector n of accumulator a.
  static constexpr int vector(int a, int n) {
    int v = 0;
    while (F::accumulator(v) != a || n-- > 0) ++v;
    return v;
  }
  // Which dword of which vector dword i of vector v is.
  struct Place {
    int vector, dword;
  };
  static constexpr Place place(int v, int i) {
    if (F::kAccumulators == 2) return {vector(i % 2, v / 2), i / 2 * 2 + v % 2};
    constexpr int kVectors[] = {0, 2, 1, 3}, kDwords[] = {0, 2, 1, 3};
    return {kVectors[i % 4], i / 4 * 4 + kDwords[v]};
  }
  static constexpr int order(int v, int x) {
    const Place from = place(v, x / 4);
    return F::order(from.vector, 4 * from.dword + x % 4);
  }
  // Whether that gives all vectors the same scales.
  static constexpr bool possible() {
    for (int i = 0; i < 16; ++i)
      for (int v = 0; v < 4; ++v)
        if (order(v, 4 * i) * F::kScales / 256 != order(0, 4 * i) * F::kScales / 256) return false;
    return true;
  }
  template <class State, class Put>
  IQK_INLINE void codes(const State& state, Put put) {
    Bytes x[4];
    F::codes(state, [&](auto v, Bytes codes) IQK_LAMBDA { x[v] = codes; });
    if constexpr (F::kAccumulators == 2) {
      unroll<2>([&](auto n) IQK_LAMBDA {
        constexpr int kN = decltype(n)::value;
        const Bytes a = x[vector(0, kN)], b = x[vector(1, kN)];
        put(Constant<2 * kN>{}, zip_even32(a, b));
        put(Constant<2 * kN + 1>{}, zip_odd32(a, b));
      });
    } else {
      const Bytes even02 = zip_even32(x[0], x[2]), odd02 = zip_odd32(x[0], x[2]),
                  even13 = zip_even32(x[1], x[3]), odd13 = zip_odd32(x[1], x[3]);
      put(Constant<0>{}, zip_lo64(even02, even13));
      put(Constant<1>{}, zip_hi64(even02, even13));
      put(Constant<2>{}, zip_lo64(odd02, odd13));
      put(Constant<3>{}, zip_hi64(odd02, odd13));
    }
  }
};
// What several columns are multiplied with.
template <class F, bool = kMerges && !F::kLines && (F::kAccumulators > 1)>
struct ForColumns {
  using Type = F;
};
template <class F>
struct ForColumns<F, true> {
  using Type = typename std::conditional<Merged<F>::possible(), Merged<F>, F>::type;
};

// Codes that are sums of four parts, multiplied part by part: for one column, as the products then do the
// adding up. There are 16 vectors then, and each activation is packed four times.
template <class F>
struct InParts : F {
  static constexpr int kVectors = 16, kMax = F::kPartMax;
  static constexpr float kOffset = F::kPartsBias;
  static constexpr int accumulator(int v) { return F::accumulator(v / 4); }
  static constexpr int order(int v, int x) { return F::order(v / 4, x / 4 * 4 + v % 4); }
  template <class State, class Put>
  IQK_INLINE void codes(const State& state, Put put) {
    F::parts(state, [&](auto v, Bytes a, Bytes b, Bytes c, Bytes d) IQK_LAMBDA {
      constexpr int kFirst = 4 * decltype(v)::value;
      put(Constant<kFirst>{}, a);
      put(Constant<kFirst + 1>{}, b);
      put(Constant<kFirst + 2>{}, c);
      put(Constant<kFirst + 3>{}, d);
    });
  }
};
// What one column is multiplied with.
template <class F>
using ForColumn = typename std::conditional<kMultipliesParts && F::kPartMax != 0, InParts<F>, F>::type;

// What follows from a trait.
template <class F>
struct Derived {
  static constexpr int kGroup = 256 / F::kScales;  // weights per scale
  static constexpr int kCopies = F::kVectors / 4;  // of the activations
  // Offset of the codes as the products see them.
  static constexpr float kBias = F::kOffset + (F::kMax == 0 ? kSignedBias : 0);
  // The whole part of the bias enters by the first values of integer sums: always in the panel, and in
  // products of rows where the instruction adds to its sums.
  static constexpr int kPanelBias = static_cast<int>(kBias + (kBias < 0 ? -0.5f : 0.5f));
  static constexpr bool kStarts = kIntegerStarts && !F::kLines;
  static constexpr int kStartBias = kStarts ? kPanelBias : 0;
  static constexpr float kTermBias = kBias - kStartBias;
  // Sums of several columns that fused kernels begin at kPanelStart: taken for floats they need no
  // conversion. The scales' multiples by kPanelZero must be exact.
  static constexpr bool kFloatStarts = kStarts && kFusedColumns == 8 && F::kAccumulators == 1;
  // Terms that are added per scale group: sum of activations times (minimum - bias * scale + shift * scale).
  static constexpr bool kTerms = kTermBias != 0 || F::kVectorMinima || F::kShift != 0;
  // Shifts that are all there is to add: their sums are multiplied by kShift in the end.
  static constexpr bool kOnlyShifts = F::kShift != 0 && kTermBias == 0 && !F::kVectorMinima;
  static_assert(!F::kScalesAndMinima ||
                (F::kVectorMinima && F::kScales == 8 && kTermBias == 0 && F::kShift == 0));

  // In the panel a whole shift is added to the codes themselves.
  static constexpr int kCodeShift = kBias == kPanelBias ? static_cast<int>(F::kShift) : 0;
  static constexpr bool kPanelTerms = F::kVectorMinima || kBias != kPanelBias || F::kShift != kCodeShift;

  // Scale number of dword lane of accumulator A.
  static constexpr int scale_of(int v, int lane) { return F::order(v, 4 * lane) / kGroup; }
  static constexpr int first_vector(int a) {
    int v = 0;
    while (F::accumulator(v) != a) ++v;
    return v;
  }
  // Vector v is the n-th of its accumulator.
  static constexpr int ordinal(int v) {
    int n = 0;
    for (int i = 0; i < v; ++i) n += F::accumulator(i) == F::accumulator(v);
    return n;
  }
  // Where vector v lies in memory: the vectors of an accumulator together.
  static constexpr int slot(int v) {
    return F::accumulator(v) * (F::kVectors / F::kAccumulators) + ordinal(v);
  }
  static constexpr int vector_in(int slot_number) {
    int v = 0;
    while (slot(v) != slot_number) ++v;
    return v;
  }
  static constexpr bool consistent() {
    for (int v = 0; v < F::kVectors; ++v)
      for (int lane = 0; lane < 16; ++lane) {
        if (scale_of(v, lane) != scale_of(first_vector(F::accumulator(v)), lane)) return false;
        for (int x = 1; x < 4; ++x)
          if (F::order(v, 4 * lane + x) != F::order(v, 4 * lane) + (kCopies == 1 ? x : 0)) return false;
      }
    return true;
  }
  static_assert(consistent(), "order, accumulator and scales do not fit together");
  template <int A>
  struct LaneMap {
    struct Table {
      int at[16];
      constexpr int operator[](int i) const { return at[i]; }
    };
    static constexpr Table make() {
      Table t{};
      for (int lane = 0; lane < 16; ++lane) t.at[lane] = scale_of(first_vector(A), lane);
      return t;
    }
    static constexpr Table at = make();
  };

  // The 64 lines (dwords) of a unit in the panel: lines of one scale group lie together.
  struct Lines {
    uint8_t position[64];  // of dword `lane` of slot s: position[16 s + lane]
    uint8_t dword[64];     // which four weights are there: the quarter of the first
  };
  static constexpr Lines make_lines() {
    Lines l{};
    int next[16] = {};
    for (int g = 0; g < F::kScales; ++g) next[g] = g * (64 / F::kScales);
    for (int s = 0; s < 4; ++s)
      for (int lane = 0; lane < 16; ++lane) {
        const int v = vector_in(s), position = next[scale_of(v, lane)]++;
        l.position[16 * s + lane] = static_cast<uint8_t>(position);
        l.dword[position] = static_cast<uint8_t>(F::order(v, 4 * lane) / 4);
      }
    return l;
  }
  static constexpr Lines lines = make_lines();
  // Packed activations of one unit and column for the GEMV: codes in the order of the slots, the
  // scales of the dword lanes of all accumulators, their first values where there are starts, the scales,
  // scale * sum of each group where there are terms; whole lines of the cache.
  struct Order {
    uint8_t dword[16 * F::kVectors];  // which four neighbours, counted in fours; which weight, of copies
  };
  static constexpr Order make_order() {
    Order o{};
    for (int i = 0; i < 16 * F::kVectors; ++i)
      o.dword[i] = static_cast<uint8_t>(F::order(vector_in(i / 16), 4 * (i % 16)) / (kCopies == 1 ? 4 : 1));
    return o;
  }
  static constexpr Order order = make_order();
  struct LaneScales {
    uint8_t at[16 * F::kAccumulators];
  };
  static constexpr LaneScales make_lane_scales() {
    LaneScales l{};
    for (int a = 0; a < F::kAccumulators; ++a)
      for (int lane = 0; lane < 16; ++lane)
        l.at[16 * a + lane] = static_cast<uint8_t>(scale_of(first_vector(a), lane));
    return l;
  }
  static constexpr LaneScales lane_scales = make_lane_scales();
  static constexpr int kActLanes = F::kLines ? 0 : 16 * F::kAccumulators;
  static constexpr int kActLaneScales = 64 * F::kVectors, kActStarts = kActLaneScales + 4 * kActLanes;
  static constexpr int kActScales = kActStarts + (kStarts ? 4 * kActLanes : 0);
  static constexpr int kActSums = kActScales + 4 * F::kScales;
  static constexpr int kActUnit = (kActScales + 4 * F::kScales * (kTerms ? 2 : 1) + 63) / 64 * 64;

  template <class State>
  IQK_INLINE Floats<F::kScales> terms(const State& s, Floats<F::kScales> scales) {
    static_assert(kTerms && !kOnlyShifts);
    Floats<F::kScales> t;
    if constexpr (F::kVectorMinima && kTermBias != 0)
      t = fma(scales, fsplat<F::kScales>(-kTermBias), F::minima(s));
    else if constexpr (F::kVectorMinima)
      t = F::minima(s);
    else
      t = scales * fsplat<F::kScales>(-kTermBias);
    if constexpr (F::kShift != 0) t = add_where(t, F::shifts(s), scales * fsplat<F::kScales>(F::kShift));
    return t;
  }
};

}  // namespace IQK_NS

// Decoding to float32 through a format's vector code: codes of a unit to memory in the vectors' order, then
// eight weights at a time (four where only so many are neighbours) to their place. The roundings are those of
// Unit.
#pragma once

#include "iqk/kernels/trait.h"
#include "iqk/kernels/unit_walk.h"

namespace IQK_NS {

// Weights that stay neighbours in all vectors: 8 or 4.
template <class F>
constexpr int neighbours() {
  for (int v = 0; v < 4; ++v)
    for (int x = 0; x < 64; ++x)
      if (F::order(v, x) != F::order(v, x / 8 * 8) + x % 8) return 4;
  return 8;
}

// Element A four times, then element B.
template <int A, int B>
IQK_INLINE Floats<8> two_of(const float* x) {
  if constexpr (A == B) return fsplat<8>(x[A]);
  const float both[8] = {x[A], x[A], x[A], x[A], x[B], x[B], x[B], x[B]};
  return fload<8>(both);
}

template <class F, class State>
IQK_INLINE void decode_state(const State& state, float row_scale, float* y) {
  using D = Derived<F>;
  constexpr int S = F::kScales, kRun = neighbours<F>();
  constexpr bool kUnsigned = F::kMax != 0 || kSignedBias != 0;
  alignas(64) uint8_t codes[256];
  alignas(64) float scales[S], values[S], minima[S];
  F::codes(state, [&](auto v, Bytes x) IQK_LAMBDA { store(codes + 64 * v, x); });
  Floats<S> scale = F::scales(state), offset = fsplat<S>(-D::kBias);
  if constexpr (F::kRowScale) scale = scale * fsplat<S>(row_scale);
  if constexpr (F::kShift != 0) offset = add_where(offset, F::shifts(state), fsplat<S>(F::kShift));
  fstore(scales, scale);
  fstore(values, offset);
  if constexpr (F::kVectorMinima) fstore(minima, F::minima(state));
  unroll<4>([&](auto v) IQK_LAMBDA {
    unroll<8>([&](auto chunk) IQK_LAMBDA {
      constexpr int kAt = F::order(decltype(v)::value, 8 * decltype(chunk)::value);
      constexpr int kSecond = F::order(decltype(v)::value, 8 * decltype(chunk)::value + 4);
      constexpr int kGroup = kAt / D::kGroup, kNext = kSecond / D::kGroup;
      const Small eight = small_load8(codes + 64 * v + 8 * chunk);
      Floats<8> q = kUnsigned ? floats_u8<8>(eight) : floats_i8<8>(eight);
      if constexpr (D::kBias != 0 || F::kShift != 0) q = q + two_of<kGroup, kNext>(values);
      Floats<8> x = two_of<kGroup, kNext>(scales) * q;
      if constexpr (F::kVectorMinima) x = x + two_of<kGroup, kNext>(minima);
      if constexpr (kRun == 8) {
        fstore(y + kAt, x);
      } else {
        float both[8];
        fstore(both, x);
        std::memcpy(y + kAt, both, 4 * sizeof(float));
        std::memcpy(y + kSecond, both + 4, 4 * sizeof(float));
      }
    });
  });
}

template <class F>
void decode_vectors(const DecodeArgs& a) {
  const GroupWalk& w = a.weights;
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  alignas(64) uint8_t tail[F::kUnit];
  alignas(64) uint16_t index[F::kIndexWords ? F::kIndexWords : 1];
  for (int64_t group = 0; group < a.groups; ++group) {
    const GroupPlace<F> place = group_place<F>(w, group);
    if (w.tail_bytes) copy_tail<F>(place.units, w, tail);
    for (int64_t u = 0; u < units; ++u) {
      In in{u < w.full_units ? place.units + u * F::kUnit : tail, place.header, 0, index};
      if constexpr (F::kIndexWords != 0) F::indices(in, index);
      auto shared = F::open(in);
      unroll<F::kRows>([&](auto r) IQK_LAMBDA {
        const float row_scale = F::row_scale(In{place.units, place.header, r, nullptr});
        float* y = a.out + (group * F::kRows + r) * a.k + 256 * u;
        if (u < w.full_units) {
          decode_state<F>(F::row(shared, r), row_scale, y);
        } else {
          float rest[256];
          decode_state<F>(F::row(shared, r), row_scale, rest);
          std::memcpy(y, rest, static_cast<size_t>(a.k - 256 * u) * sizeof(float));
        }
      });
    }
  }
}

}  // namespace IQK_NS

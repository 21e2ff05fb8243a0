// Decoding to float32, and the product in plain C++: the scalar tier, the reference of all others.
#pragma once

#include "iqk/kernels/arguments.h"
#include "iqk/kernels/unit_walk.h"

namespace IQK_NS {

// Float formats' own values, where they are not scale * q + minimum.
template <class F, class = void>
struct HasDecode {
  static constexpr bool value = false;
};
template <class F>
struct HasDecode<F, decltype(static_cast<void>(&F::decode))> {
  static constexpr bool value = true;
};

template <class F>
IQK_INLINE void decode_unit(In in, float* y) {
  if constexpr (HasDecode<F>::value) {
    F::decode(in, y);
  } else {
    Unit u;
    F::unpack(in, u);
    for (int t = 0; t < 16; ++t)
      for (int i = 16 * t; i < 16 * t + 16; ++i) {
        const float product = u.scale[t] * static_cast<float>(u.q[i]);
        y[i] = F::kMinima ? product + u.minimum[t] : product;
      }
  }
}

template <class F>
void decode(const DecodeArgs& a) {
  const GroupWalk& w = a.weights;
  alignas(64) uint8_t tail[F::kUnit];
  for (int64_t group = 0; group < a.groups; ++group) {
    const GroupPlace<F> place = group_place<F>(w, group);
    for (int r = 0; r < F::kRows; ++r) {
      float* y = a.out + (group * F::kRows + r) * a.k;
      for (int64_t u = 0; u < w.full_units; ++u)
        decode_unit<F>(In{place.units + u * F::kUnit, place.header, r, nullptr}, y + 256 * u);
      if (w.tail_bytes) {
        float rest[256];
        copy_tail<F>(place.units, w, tail);
        decode_unit<F>(In{tail, place.header, r, nullptr}, rest);
        std::memcpy(y + 256 * w.full_units, rest,
                    static_cast<size_t>(a.k - 256 * w.full_units) * sizeof(float));
      }
    }
  }
}

template <class F>
void plain_product(const PlainArgs& a) {
  const GroupWalk& w = a.weights;
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  alignas(64) uint8_t tail[F::kUnit];
  for (int64_t group = 0; group < a.groups; ++group) {
    const GroupPlace<F> place = group_place<F>(w, group);
    if (w.tail_bytes) copy_tail<F>(place.units, w, tail);
    for (int r = 0; r < F::kRows; ++r) {
      float* y = a.out + group * F::kRows + r;
      for (int64_t c = 0; c < a.columns; ++c) y[c * a.out_stride] = 0;
      for (int64_t n = 0; n < units; ++n) {
        Unit u;
        F::unpack(In{n < w.full_units ? place.units + n * F::kUnit : tail, place.header, r, nullptr}, u);
        for (int64_t c = 0; c < a.columns; ++c) {
          const int8_t* x = a.codes + (c * units + n) * 256;
          const float* d = a.scales + (c * units + n) * 8;
          float total = 0;
          for (int t = 0; t < 16; ++t) {
            int product = 0, sum = 0;
            for (int i = 16 * t; i < 16 * t + 16; ++i) {
              product += u.q[i] * x[i];
              sum += x[i];
            }
            // Scales first: a large one of weights and a small one of activations keep all sums finite.
            total += d[t / 2] * u.scale[t] * static_cast<float>(product);
            if (F::kMinima) total += d[t / 2] * u.minimum[t] * static_cast<float>(sum);
          }
          y[c * a.out_stride] += total;
        }
      }
    }
  }
}

}  // namespace IQK_NS

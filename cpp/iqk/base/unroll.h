// Compile-time loops: traits and kernels index vectors and accumulators by constants, so that they stay in
// registers.
#pragma once

#include <utility>

#include "iqk/base/inline.h"

namespace iqk {

template <int N>
struct Constant {
  static constexpr int value = N;
  constexpr operator int() const { return N; }
};

template <class F, int... I>
IQK_INLINE void unroll_impl(F&& f, std::integer_sequence<int, I...>) {
  (f(Constant<I>{}), ...);
}
// Calls f(Constant<0>{}) .. f(Constant<N - 1>{}).
template <int N, class F>
IQK_INLINE void unroll(F&& f) {
  unroll_impl(f, std::make_integer_sequence<int, N>{});
}

}  // namespace iqk

// Behind the parameter list of a lambda: its body belongs to the kernel that it is written in.
#define IQK_LAMBDA __attribute__((always_inline))

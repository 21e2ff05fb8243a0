// Compile-time loops: traits and kernels index vectors and accumulators by constants, so that they stay in
// registers.
#pragma once

#include "iqk/base/inline.h"

namespace iqk {

template <int N>
struct Constant {
  static constexpr int value = N;
  constexpr operator int() const { return N; }
};

// Calls f(Constant<0>{}) .. f(Constant<N - 1>{}). Spelled out instead of folded over a sequence: most of the
// time the compiler copies such bodies from function to function, and each function between is one more.
template <int N, int First = 0, class F>
IQK_INLINE void unroll(F&& f) {
  if constexpr (N > First) f(Constant<First>{});
  if constexpr (N > First + 1) f(Constant<First + 1>{});
  if constexpr (N > First + 2) f(Constant<First + 2>{});
  if constexpr (N > First + 3) f(Constant<First + 3>{});
  if constexpr (N > First + 4) f(Constant<First + 4>{});
  if constexpr (N > First + 5) f(Constant<First + 5>{});
  if constexpr (N > First + 6) f(Constant<First + 6>{});
  if constexpr (N > First + 7) f(Constant<First + 7>{});
  if constexpr (N > First + 8) unroll<N, First + 8>(f);
}

}  // namespace iqk

// Behind the parameter list of a lambda: its body belongs to the kernel that it is written in.
#define IQK_LAMBDA __attribute__((always_inline))

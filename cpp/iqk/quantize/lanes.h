// Four floats at a time, in the vector extension that GCC and Clang share: the baseline of every CPU has such
// registers. Sums keep four partial results on all machines, so that all machines round alike.
#pragma once

#include <cstdint>
#include <cstring>

#include "iqk/base/inline.h"

namespace iqk::encode {

using Lanes = float __attribute__((vector_size(16)));
using Integers = int32_t __attribute__((vector_size(16)));
constexpr int kLanes = 4;

IQK_INLINE Lanes load(const float* p) {
  Lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
IQK_INLINE void store(float* p, Lanes v) { std::memcpy(p, &v, sizeof v); }
IQK_INLINE void store(int32_t* p, Integers v) { std::memcpy(p, &v, sizeof v); }
IQK_INLINE Lanes splat(float x) { return Lanes{x, x, x, x}; }

IQK_INLINE float min(float a, float b) { return a < b ? a : b; }
IQK_INLINE float max(float a, float b) { return a > b ? a : b; }
IQK_INLINE Lanes min(Lanes a, Lanes b) { return a < b ? a : b; }
IQK_INLINE Lanes max(Lanes a, Lanes b) { return a > b ? a : b; }
// Hides a constant: of one that it knows, GCC makes three instructions where min and max are one. For use
// outside loops.
IQK_INLINE Lanes bound(float x) {
  __asm__("" : "+m"(x));
  return splat(x);
}
// To the nearest integer, ties to even; |v| <= 2^22.
IQK_INLINE Lanes round_even(Lanes v) {
  const Lanes shift = splat(0x1.8p23f);
  return (v + shift) - shift;
}
// Towards zero.
IQK_INLINE Integers truncate(Lanes v) { return __builtin_convertvector(v, Integers); }
IQK_INLINE Lanes to_floats(Integers v) { return __builtin_convertvector(v, Lanes); }

IQK_INLINE float sum(Lanes v) { return (v[0] + v[2]) + (v[1] + v[3]); }
// The sums of two, and of four, vectors.
IQK_INLINE Lanes sums(Lanes a, Lanes b) {
  const Lanes pairs = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  return pairs + __builtin_shufflevector(pairs, pairs, 2, 3, 0, 1);
}
IQK_INLINE Lanes sums(Lanes a, Lanes b, Lanes c, Lanes d) {
  const Lanes first = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Lanes second = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return __builtin_shufflevector(first, second, 0, 1, 4, 5) +
         __builtin_shufflevector(first, second, 2, 3, 6, 7);
}
// Of four results: that with the largest score.
IQK_INLINE int32_t at_largest(Lanes score, Integers at) {
  const Lanes other = __builtin_shufflevector(score, score, 2, 3, 0, 1);
  at = other > score ? __builtin_shufflevector(at, at, 2, 3, 0, 1) : at;
  score = max(other, score);
  const Integers rest = __builtin_shufflevector(at, at, 1, 0, 3, 2);
  return (__builtin_shufflevector(score, score, 1, 0, 3, 2) > score ? rest : at)[0];
}
IQK_INLINE float minimum(Lanes v) { return min(min(v[0], v[1]), min(v[2], v[3])); }
IQK_INLINE float maximum(Lanes v) { return max(max(v[0], v[1]), max(v[2], v[3])); }

}  // namespace iqk::encode

// Walking over the units of a group of rows.
#pragma once

#include "iqk/formats/format.h"
#include "iqk/kernels/arguments.h"

namespace IQK_NS {

template <class F>
struct GroupPlace {
  const uint8_t* header;
  const uint8_t* units;
};
template <class F>
IQK_INLINE GroupPlace<F> group_place(const GroupWalk& w, int64_t group) {
  const uint8_t* p = w.data + group * w.group_bytes;
  return {w.header ? w.header : p, p + F::kHeader * F::kRows};
}

// Asks for as many bytes as a unit has, see GroupWalk::ahead.
template <class F>
IQK_INLINE void fetch_ahead(const uint8_t* unit, ptrdiff_t ahead) {
  if (ahead != 0)
    unroll<(F::kUnit + 63) / 64>([&](auto n) IQK_LAMBDA { __builtin_prefetch(unit + ahead + 64 * n); });
}

// Units from one on, of which the first `full` are in place; then comes the tail.
template <class F>
struct UnitsFrom {
  const uint8_t* first;
  const uint8_t* tail;
  int64_t full;
  const uint8_t* header;
  IQK_MEMBER const uint8_t* at(int64_t n) const { return n < full ? first + n * F::kUnit : tail; }
  IQK_MEMBER In in(int64_t n) const { return {at(n), header, 0, nullptr}; }
};
// The first pass over `count` units; `index` has room for an even number of them. A function of its own,
// because its tables take many registers.
template <class F>
__attribute__((noinline)) void make_indices(UnitsFrom<F> units, int64_t count, uint16_t* index) {
  if constexpr (F::kIndexPairs) {
    for (int64_t n = 0; n < count; n += 2)
      F::indices(units.in(n), units.in(n + 1 < count ? n + 1 : n), index + n * F::kIndexWords);
  } else {
    for (int64_t n = 0; n < count; ++n) F::indices(units.in(n), index + n * F::kIndexWords);
  }
}

// Copies a short last unit to `to`, zeros behind: reading it there is safe.
template <class F>
IQK_INLINE void copy_tail(const uint8_t* units, const GroupWalk& w, uint8_t* to) {
  std::memcpy(to, units + w.full_units * F::kUnit, static_cast<size_t>(w.tail_bytes));
  std::memset(to + w.tail_bytes, 0, static_cast<size_t>(F::kUnit - w.tail_bytes));
}

}  // namespace IQK_NS

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

// Copies a short last unit to `to`, zeros behind: reading it there is safe.
template <class F>
IQK_INLINE void copy_tail(const uint8_t* units, const GroupWalk& w, uint8_t* to) {
  std::memcpy(to, units + w.full_units * F::kUnit, static_cast<size_t>(w.tail_bytes));
  std::memset(to + w.tail_bytes, 0, static_cast<size_t>(F::kUnit - w.tail_bytes));
}

}  // namespace IQK_NS

// Decoded rows to float32, with the roundings of Unit.
#pragma once

#include "iqk/kernels/rows.h"

namespace IQK_NS {

// One unit of a row. Of eight codes all or, where Run is 4, each four are neighbours.
template <bool Unsigned, int Run>
IQK_INLINE void floats_of_unit(const RowSource& source, const RowBuffers& from, float* y) {
  const int per_scale = source.scales == 8 ? 5 : 4;  // as a power of two
  for (int i = 0; i < 256; i += 8) {
    const Small codes = small_load8(from.codes + i);
    Floats<8> q = Unsigned ? floats_u8<8>(codes) : floats_i8<8>(codes);
    const int at = 4 * source.order[i / 4], second = 4 * source.order[i / 4 + 1];
    const auto both = [&](const float* x) IQK_LAMBDA {
      return Run == 8 ? fsplat<8>(x[at >> per_scale])
                      : fsplat_two(x + (at >> per_scale), x + (second >> per_scale));
    };
    q = q + (source.shift ? both(from.offsets) : fsplat<8>(-source.bias));
    Floats<8> x = both(from.scales) * q;
    if (source.minima) x = x + both(from.minima);
    if constexpr (Run == 8)
      fstore(y + at, x);
    else
      fstore_two(y + at, y + second, x);
  }
}

void floats_of_rows(const RowSource& source, const DecodeArgs& a) {
  const GroupWalk& w = a.weights;
  const int64_t units = w.full_units + (w.tail_bytes != 0);
  constexpr int kMostRows = 16;
  alignas(64) uint8_t codes[kMostRows * 256];
  alignas(64) float numbers[3][kMostRows * 16];
  const RowBuffers rows{codes, numbers[0], numbers[1], numbers[2], nullptr, nullptr, 1};
  const auto one_unit = source.unsigned_codes
                            ? (source.runs_of_eight ? floats_of_unit<true, 8> : floats_of_unit<true, 4>)
                            : (source.runs_of_eight ? floats_of_unit<false, 8> : floats_of_unit<false, 4>);
  for (int64_t group = 0; group < a.groups; ++group)
    for (int64_t u = 0; u < units; ++u) {
      source.decode(w, group, u, 1, rows);
      for (int r = 0; r < source.rows; ++r) {
        float* y = a.out + (group * source.rows + r) * a.k + 256 * u;
        if (u < w.full_units) {
          one_unit(source, source.from(rows, r), y);
        } else {
          float rest[256];
          one_unit(source, source.from(rows, r), rest);
          std::memcpy(y, rest, static_cast<size_t>(a.k - 256 * u) * sizeof(float));
        }
      }
    }
}

}  // namespace IQK_NS

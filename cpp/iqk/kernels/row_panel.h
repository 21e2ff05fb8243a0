// Decoded rows to a panel tile: lines of four columns of all rows, lines of one scale group together.
#pragma once

#include "iqk/kernels/unpack_panel.h"

namespace IQK_NS {

void panel_of_rows(const RowSource& source, const UnpackArgs& a) {
  static constexpr uint8_t kInOrder[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  constexpr ptrdiff_t kLine = 4 * kPanelRows;
  constexpr int kUnits = 2;  // of UnpackArgs
  const int scales = source.scales, rows = source.rows;
  const int64_t last = (a.rows - 1) / rows;
  for (int vector = 0; vector < kPanelVectors; ++vector) {
    alignas(64) uint8_t codes[16 * kUnits * 256];
    alignas(64) float numbers[3][16 * kUnits * 16];
    const RowBuffers all{codes, numbers[0], numbers[1], numbers[2], nullptr, a.units};
    for (int row = 0; row < 16; row += rows) {
      const int64_t group = (16 * vector + row) / rows;
      source.decode(a.weights, group < last ? group : last, a.unit, a.units, source.from(all, row * a.units));
    }
    for (int u = 0; u < a.units; ++u)
      unroll<4>([&](auto v) IQK_LAMBDA {
        transpose16(codes + u * 256 + 64 * v, a.units * 256, a.codes + u * 64 * kLine + 64 * vector,
                    source.line + 16 * v, kLine);
      });
    // 16 dwords hold the scales of one unit (16 each) or of two (8 each).
    const auto transpose = [&](float* x, float* to) {
      for (int part = 0; part < a.units * scales; part += 16)
        transpose16(reinterpret_cast<const uint8_t*>(x + part), a.units * 4 * scales,
                    reinterpret_cast<uint8_t*>(to + part * kPanelRows + 16 * vector), kInOrder, kLine);
    };
    transpose(all.scales, a.scales);
    if (source.terms) {
      make_terms(source, all, 16 * a.units * scales, all.minima);
      transpose(all.minima, a.terms);
    }
  }
}

}  // namespace IQK_NS

// Decoded rows to a panel tile: lines of four columns of all rows, lines of one scale group together.
#pragma once

#include "iqk/kernels/transpose.h"
#include "iqk/kernels/unpack_panel.h"

namespace IQK_NS {

void panel_of_rows(const RowSource& source, const UnpackArgs& a) {
  constexpr ptrdiff_t kLine = 4 * kPanelRows;
  constexpr int kUnits = 2;  // of UnpackArgs
  const int scales = source.scales, rows = source.rows, lines = 64 / scales;
  const int64_t last = (a.rows - 1) / rows;
  for (int vector = 0; vector < kPanelVectors; ++vector) {
    alignas(64) uint8_t codes[16 * kUnits * 256];
    alignas(64) float numbers[4][16 * kUnits * 16];
    const RowBuffers all{codes, numbers[0], numbers[1], numbers[2], nullptr, numbers[3], a.units};
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
    const auto transpose = [&](const float* x, uint8_t* to, ptrdiff_t line) {
      for (int part = 0; part < a.units * scales; part += 16)
        transpose16(reinterpret_cast<const uint8_t*>(x + part), a.units * 4 * scales, to + part * line, line);
    };
    const auto numbers_of_tile = [vector](float* x) { return reinterpret_cast<uint8_t*>(x + 16 * vector); };
    if (source.row_scale)
      for (int i = 0; i < 16 * a.units * scales; i += 8)
        fstore(all.scales + i, panel_scales(fload<8>(all.scales + i)));
    transpose(all.scales, numbers_of_tile(a.scales), kLine);
    if (source.panel_terms) {
      make_terms(source, all, 16 * a.units * scales, source.panel_rest, all.minima);
      transpose(all.minima, numbers_of_tile(a.terms), kLine);
    }
    if (source.code_shift) {
      alignas(64) uint8_t shifts[kUnits * 16 * 64];
      transpose(all.shifts, shifts, 64);
      uint8_t* line = a.codes + 64 * vector;
      for (int g = 0; g < a.units * scales; ++g) {
        const Bytes shift = load(shifts + 64 * g);
        for (int i = 0; i < lines; ++i, line += kLine) store(line, load(line) + shift);
      }
    }
  }
}

}  // namespace IQK_NS

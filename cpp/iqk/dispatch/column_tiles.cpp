#include "iqk/dispatch/column_tiles.h"

#include <algorithm>
#include <cstring>

#include "iqk/activations/pack.h"

namespace iqk {

namespace {

constexpr int kPlainColumns = 64;  // columns that the scalar tier multiplies a decoded row with

struct Cut {
  int columns, valid, width;
};
// The next tile where `left` columns are left.
Cut next_tile(const Product& p, Path path, int64_t left) {
  const auto up_to = [&](int columns, int width = 0) {
    return Cut{columns, static_cast<int>(std::min<int64_t>(columns, left)), width};
  };
  switch (path) {
    case Path::kGemv: {
      const FormatKernels& f = p.format();
      const int64_t columns = left >= f.eight_from              ? std::max<int64_t>(8, left)
                              : left < 4 && left >= f.four_from ? 4
                                                                : left;
      int width = 0;
      while (kGemvColumns[width] > columns) ++width;
      return up_to(kGemvColumns[width], width);
    }
    case Path::kPanel: {
      const PanelKernels& kernels = *p.format().panel;
      int width = 0;
      while (width + 1 < kPanelWidths && kernels.columns[width + 1] >= left) ++width;
      return up_to(kernels.columns[width], width);
    }
    case Path::kTiles:
    case Path::kFloatTiles:
      return up_to(kTileColumns);
    case Path::kFloatPanel:
      return up_to(p.isa->kernels->float_columns);
    case Path::kFloatGemv: {
      const int columns = static_cast<int>(std::min<int64_t>(kGemvColumns[0], left));
      return {columns, columns, 0};
    }
    default: {
      const int columns = static_cast<int>(std::min<int64_t>(kPlainColumns, left));
      return {columns, columns, 0};
    }
  }
}

// Bytes of a unit of some columns, 0 where they are not packed by units.
ptrdiff_t unit_bytes(const Product& p, Path path, int64_t columns) {
  switch (path) {
    case Path::kGemv:
      return p.format().gemv_order(columns).unit() * columns;
    case Path::kPanel:
      return p.format().panel_order.unit(static_cast<int>(columns));
    case Path::kTiles:
      return kTileSteps * 64 * columns;
    case Path::kFloatTiles:  // all columns, then what those lose
      return 2 * kTileSteps * 64 * columns;
    default:
      return 0;
  }
}

size_t tile_bytes(const Product& p, Path path, int columns) {
  const Weights& w = *p.weights[0];
  const size_t units = static_cast<size_t>(units_of(w)), count = static_cast<size_t>(columns);
  switch (path) {
    case Path::kGemv:
    case Path::kPanel:
    case Path::kTiles:
    case Path::kFloatTiles:
      return static_cast<size_t>(unit_bytes(p, path, columns)) * units;
    case Path::kFloatPanel:
    case Path::kFloatGemv:
      return static_cast<size_t>(padded_k(w)) * sizeof(float) * count;
    default:
      return units * (256 + 8 * sizeof(float)) * count;
  }
}

// Quantizes the columns of a tile; sets a flag per column, whether it is finite.
Activations quantize_tile(const Product& p, const ColumnTile& tile, int8_t* codes, float* scales,
                          bool* finite) {
  const Weights& w = *p.weights[0];
  const int64_t units = units_of(w);
  for (int c = 0; c < tile.valid; ++c)
    finite[c] = p.isa->kernels->quantize(
        {p.x + p.x_places.at(tile.first + c) * w.k, w.k, codes + c * units * 256, scales + c * units * 8});
  return {codes, scales, units};
}

size_t quantized_bytes(const Weights& w, int columns) {
  return static_cast<size_t>(columns * units_of(w)) * (256 + 8 * sizeof(float));
}

// Float columns one after the other, zeros behind each.
void pack_float_gemv(const Product& p, const ColumnTile& tile, float* to) {
  const int64_t k = p.weights[0]->k, stride = padded_k(*p.weights[0]);
  for (int c = 0; c < tile.valid; ++c, to += stride) {
    std::memcpy(to, p.x + p.x_places.at(tile.first + c) * k, static_cast<size_t>(k) * sizeof(float));
    std::memset(to + k, 0, static_cast<size_t>(stride - k) * sizeof(float));
  }
}

// Float columns side by side, zero columns behind the last.
void pack_float_panel(const Product& p, const ColumnTile& tile, float* to) {
  const int64_t k = p.weights[0]->k;
  if (tile.valid < tile.columns || padded_k(*p.weights[0]) != k)
    std::memset(to, 0, static_cast<size_t>(padded_k(*p.weights[0]) * tile.columns) * sizeof(float));
  for (int c = 0; c < tile.valid; ++c) {
    const float* x = p.x + p.x_places.at(tile.first + c) * k;
    for (int64_t i = 0; i < k; ++i) to[i * tile.columns + c] = x[i];
  }
}

// Columns in bfloat16, zeros behind the last. `order`: or null, for the natural one. `low`: or null, for what
// they lose.
void pack_wide(const Product& p, const ColumnTile& tile, const uint8_t* order, uint8_t* to, uint8_t* low,
               bool* finite) {
  const Weights& w = *p.weights[0];
  for (int64_t u = 0; u < units_of(w) && tile.valid < kTileColumns; ++u) {
    std::memset(to + u * tile.unit, 0, kTileSteps * kStepBytes);
    if (low) std::memset(low + u * tile.unit, 0, kTileSteps * kStepBytes);
  }
  for (int c = 0; c < tile.valid; ++c)
    finite[c] = p.isa->tiles->pack({p.x + p.x_places.at(tile.first + c) * w.k, w.k, order, to + 4 * c,
                                    low ? low + 4 * c : nullptr, tile.unit});
}

}  // namespace

void cut_columns(const Product& p, const std::vector<Share>& wave, ColumnTiles& cut) {
  cut.tiles.clear();
  cut.passes.clear();
  cut.shares.clear();
  cut.bytes = 0;
  for (const Share& share : wave) {
    SharePlan plan{choose_path(*p.weights[0], share.batch, *p.isa), cut.passes.size(), 0, 0, 0};
    for (int64_t done = 0; done < share.count && plan.path != Path::kFloatPlain;) {
      const int64_t count = std::min(kPassColumns, share.count - done);
      Pass pass{cut.shares.size(), cut.tiles.size(), 0, share.first + done, count, 0};
      // Of tiles the units of all columns of a pass lie together.
      const bool wide = takes_tiles(plan.path);
      const size_t begin = cut.bytes;
      const int64_t padded = (count + kTileColumns - 1) / kTileColumns * kTileColumns;
      for (int64_t c = 0; c < count;) {
        const Cut next = next_tile(p, plan.path, count - c);
        cut.tiles.push_back({pass.first + c, next.columns, next.valid, next.width,
                             wide ? begin + static_cast<size_t>(unit_bytes(p, Path::kTiles, c)) : cut.bytes,
                             unit_bytes(p, plan.path, wide ? padded : next.columns)});
        cut.bytes += tile_bytes(p, plan.path, next.columns);
        c += next.valid;
        pass.sums += next.columns;
      }
      pass.end_tile = cut.tiles.size();
      cut.passes.push_back(pass);
      done += count;
      ++plan.passes;
    }
    cut.shares.push_back(plan);
  }
}

void pack_tile(const Product& p, Path path, const ColumnTile& tile, uint8_t* to, uint8_t* worker,
               bool* finite) {
  const Weights& w = *p.weights[0];
  switch (path) {
    case Path::kFloatGemv:
      std::memset(finite, 1, static_cast<size_t>(tile.valid));  // floats hold whatever there is
      return pack_float_gemv(p, tile, reinterpret_cast<float*>(to));
    case Path::kFloatPanel:
      std::memset(finite, 1, static_cast<size_t>(tile.valid));
      return pack_float_panel(p, tile, reinterpret_cast<float*>(to));
    case Path::kTiles:
      return pack_wide(p, tile, p.format().rows->order, to, nullptr, finite);
    case Path::kFloatTiles:
      return pack_wide(p, tile, nullptr, to, to + tile.unit / 2, finite);
    case Path::kPlain:
      worker = to;
      break;
    default:
      break;
  }
  const int64_t codes = tile.valid * units_of(w) * 256;
  const Activations x = quantize_tile(p, tile, reinterpret_cast<int8_t*>(worker),
                                      reinterpret_cast<float*>(worker + codes), finite);
  for (int64_t u = 0; u < x.units && path == Path::kGemv; ++u, to += tile.unit)
    pack_gemv(x, p.format().gemv_order(tile.columns), u, 0, tile.columns, tile.valid, to);
  for (int64_t u = 0; u < x.units && path == Path::kPanel; ++u, to += tile.unit)
    pack_panel(x, p.format().panel_order, u, 0, tile.columns, tile.valid, to);
}

size_t pack_bytes(const Product& p) {
  const PanelKernels* panel = p.format().panel;
  return panel ? quantized_bytes(*p.weights[0], std::max(panel->columns[0], kGemvColumns[0])) : 0;
}

size_t packed_column_bytes(const Weights& w, const Isa& isa) {
  const FormatKernels& f = isa.find(*w.type);
  if (!w.type->tier) return static_cast<size_t>(units_of(w)) * 256 * sizeof(float);
  if (f.plain) return quantized_bytes(w, 1);
  const int panel = isa.tiles ? kTileSteps * 64 : f.panel_order.unit(1);
  return static_cast<size_t>(std::max({f.column_order.unit(), f.columns_order.unit(), panel}) * units_of(w));
}

}  // namespace iqk

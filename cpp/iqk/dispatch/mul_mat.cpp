// The product: activations quantized once, then tiles of rows over the threads.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "iqk/activations/pack.h"
#include "iqk/base/buffer.h"
#include "iqk/base/pool.h"
#include "iqk/dispatch/dispatch.h"

namespace iqk {

namespace {

// Scratch memory of a calling thread, for itself and its workers: kept, so that a product in a loop does not
// allocate.
struct Scratch {
  AlignedBuffer codes, scales, packed, tile;
};
Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

// A product under way.
struct Product {
  const Weights& w;
  const float* x;
  int64_t batch;
  float* out;
  Choice choice;
  GroupWalk walk;
  Activations activations;
};

GroupWalk from_group(const GroupWalk& walk, int64_t group) {
  GroupWalk w = walk;
  w.data += group * walk.group_bytes;
  return w;
}

// Rows of a tile: some for every thread many times over, and about `bytes` of weights.
int64_t tile_groups(const Product& p, int64_t groups, int64_t bytes) {
  const int64_t by_size = std::max<int64_t>(1, bytes / std::max<ptrdiff_t>(1, p.walk.group_bytes));
  const int64_t by_threads =
      p.choice.threads == 1 ? groups : (groups + 16 * p.choice.threads - 1) / (16 * p.choice.threads);
  return std::max<int64_t>(1, std::min(by_size, by_threads));
}

// Quantizes all columns; returns whether all of x is finite. `finite` has a flag per column.
bool quantize_columns(Product& p, Scratch& s, std::unique_ptr<bool[]>& finite) {
  const int64_t units = (p.w.k + 255) / 256;
  int8_t* codes = s.codes.reserve_array<int8_t>(static_cast<size_t>(p.batch * units * 256));
  float* scales = s.scales.reserve_array<float>(static_cast<size_t>(p.batch * units * 8));
  p.activations = {codes, scales, units};
  finite.reset(new bool[static_cast<size_t>(p.batch)]);
  const auto quantize = p.choice.isa->kernels->quantize;
  bool* flags = finite.get();
  parallel_for(p.batch * p.w.k < (1 << 15) ? 1 : p.choice.threads, p.batch, [&](int64_t column, int) {
    flags[column] =
        quantize({p.x + column * p.w.k, p.w.k, codes + column * units * 256, scales + column * units * 8});
  });
  return std::all_of(flags, flags + p.batch, [](bool f) { return f; });
}

void run_plain(const Product& p) {
  const int64_t groups = p.w.rows / p.w.type->interleave, step = tile_groups(p, groups, 1 << 16);
  parallel_for(p.choice.threads, (groups + step - 1) / step, [&](int64_t tile, int) {
    const int64_t group = tile * step;
    p.choice.format->plain({from_group(p.walk, group), std::min(step, groups - group), p.activations.codes,
                            p.activations.scales, p.batch, p.out + group * p.w.type->interleave, p.w.rows});
  });
}

void run_gemv(const Product& p, Scratch& s) {
  const FormatKernels& f = *p.choice.format;
  const int64_t units = p.activations.units;
  // Columns in groups of 4, 2 and 1, packed one group behind the other.
  const size_t unit_bytes = static_cast<size_t>(f.order.gemv_unit());
  uint8_t* packed = s.packed.reserve_array<uint8_t>(unit_bytes * static_cast<size_t>(p.batch * units));
  const auto width_at = [&](int64_t column) {
    int width = 0;
    while (kGemvColumns[width] > p.batch - column) ++width;
    return width;
  };
  for (int64_t c = 0; c < p.batch; c += kGemvColumns[width_at(c)]) {
    const int columns = kGemvColumns[width_at(c)];
    for (int64_t u = 0; u < units; ++u)
      pack_gemv(p.activations, f.order, u, c, columns,
                packed + unit_bytes * static_cast<size_t>(c * units + u * columns));
  }
  const int rows = p.w.type->interleave;
  const int64_t groups = p.w.rows / rows, step = tile_groups(p, groups, 1 << 17);
  parallel_for(p.choice.threads, (groups + step - 1) / step, [&](int64_t tile, int) {
    const int64_t group = tile * step, count = std::min(step, groups - group);
    for (int64_t c = 0; c < p.batch;) {
      const int width = width_at(c);
      f.gemv[width]({from_group(p.walk, group), count, packed + unit_bytes * static_cast<size_t>(c * units),
                     p.out + c * p.w.rows + group * rows, p.w.rows});
      c += kGemvColumns[width];
    }
  });
}

// The columns of a product cut into tiles of the widths that a panel kernel has.
struct ColumnTile {
  int64_t first;
  int columns, valid, width;
  size_t offset;  // of its packed activations
};
std::vector<ColumnTile> cut_columns(const PanelKernels& kernels, const ActivationOrder& order, int64_t batch,
                                    int64_t units) {
  std::vector<ColumnTile> tiles;
  size_t offset = 0;
  for (int64_t c = 0; c < batch;) {
    const int64_t left = batch - c;
    int width = 0;
    while (width + 1 < kPanelWidths && kernels.columns[width + 1] >= left) ++width;
    const int columns = kernels.columns[width], valid = static_cast<int>(std::min<int64_t>(columns, left));
    tiles.push_back({c, columns, valid, width, offset});
    offset += static_cast<size_t>(order.panel_unit(columns)) * static_cast<size_t>(units);
    c += valid;
  }
  return tiles;
}

constexpr int kPanelUnits = 2;        // of one tile of weights: 512 columns
constexpr int64_t kPanelBatch = 576;  // columns of x per pass: their sums stay in the second-level cache

void run_panel(const Product& p, Scratch& s) {
  const FormatKernels& f = *p.choice.format;
  const IsaKernels& isa = *p.choice.isa->kernels;
  const int64_t units = p.activations.units;
  const std::vector<ColumnTile> tiles = cut_columns(*f.panel, f.order, p.batch, units);
  const ColumnTile& last = tiles.back();
  uint8_t* packed = s.packed.reserve_array<uint8_t>(
      last.offset + static_cast<size_t>(f.order.panel_unit(last.columns)) * static_cast<size_t>(units));
  parallel_for(p.choice.threads, static_cast<int64_t>(tiles.size()), [&](int64_t t, int) {
    const ColumnTile& tile = tiles[static_cast<size_t>(t)];
    for (int64_t u = 0; u < units; ++u)
      pack_panel(p.activations, f.order, u, tile.first, tile.columns, tile.valid,
                 packed + tile.offset +
                     static_cast<size_t>(u) * static_cast<size_t>(f.order.panel_unit(tile.columns)));
  });

  const int64_t per_pass = kPanelBatch / f.panel->columns[0];
  const int64_t passes = (static_cast<int64_t>(tiles.size()) + per_pass - 1) / per_pass;
  const int64_t row_tiles = (p.w.rows + isa.panel_rows - 1) / isa.panel_rows;
  const size_t floats = static_cast<size_t>(isa.panel_rows);
  // Of each worker: codes, scales and terms of one tile of weights, then the sums of all columns.
  const size_t codes = floats * 4 * 64 * kPanelUnits, scales = floats * 16 * kPanelUnits;
  const size_t sums = floats * static_cast<size_t>(kPanelBatch + f.panel->columns[0]);
  const size_t worker_bytes = codes + (2 * scales + sums) * sizeof(float);
  uint8_t* workers = s.tile.reserve_array<uint8_t>(worker_bytes * static_cast<size_t>(p.choice.threads));
  parallel_for(p.choice.threads, row_tiles * passes, [&](int64_t index, int worker) {
    const int64_t row = index / passes * isa.panel_rows, first = index % passes * per_pass;
    const int64_t end = std::min<int64_t>(first + per_pass, static_cast<int64_t>(tiles.size()));
    uint8_t* memory = workers + worker_bytes * static_cast<size_t>(worker);
    float* numbers = reinterpret_cast<float*>(memory + codes);
    float* out = numbers + 2 * scales;
    std::memset(out, 0, sums * sizeof(float));
    const int valid_rows = static_cast<int>(std::min<int64_t>(isa.panel_rows, p.w.rows - row));
    const GroupWalk walk = from_group(p.walk, row / p.w.type->interleave);
    for (int64_t u = 0; u < units; u += kPanelUnits) {
      const int count = static_cast<int>(std::min<int64_t>(kPanelUnits, units - u));
      f.unpack({walk, u, count, valid_rows, memory, numbers, numbers + scales});
      float* to = out;
      for (int64_t t = first; t < end; ++t) {
        const ColumnTile& tile = tiles[static_cast<size_t>(t)];
        const uint8_t* x = packed + tile.offset +
                           static_cast<size_t>(u) * static_cast<size_t>(f.order.panel_unit(tile.columns));
        f.panel->run[tile.width]({memory, numbers, numbers + scales, x, count, to});
        to += floats * static_cast<size_t>(tile.columns);
      }
    }
    const float* from = out;
    for (int64_t t = first; t < end; ++t) {
      const ColumnTile& tile = tiles[static_cast<size_t>(t)];
      for (int c = 0; c < tile.valid; ++c)
        std::memcpy(p.out + (tile.first + c) * p.w.rows + row, from + floats * static_cast<size_t>(c),
                    static_cast<size_t>(valid_rows) * sizeof(float));
      from += floats * static_cast<size_t>(tile.columns);
    }
  });
}

// x as rows that may be read up to a multiple of 16.
const float* padded_columns(const Product& p, Scratch& s, int64_t stride) {
  if (stride == p.w.k) return p.x;
  float* to = s.packed.reserve_array<float>(static_cast<size_t>(p.batch * stride));
  for (int64_t c = 0; c < p.batch; ++c) {
    std::memcpy(to + c * stride, p.x + c * p.w.k, static_cast<size_t>(p.w.k) * sizeof(float));
    std::memset(to + c * stride + p.w.k, 0, static_cast<size_t>(stride - p.w.k) * sizeof(float));
  }
  return to;
}

void run_float_gemv(const Product& p, Scratch& s) {
  const int64_t stride = (p.w.k + 15) / 16 * 16, step = tile_groups(p, p.w.rows, 1 << 17);
  const float* x = padded_columns(p, s, stride);
  parallel_for(p.choice.threads, (p.w.rows + step - 1) / step, [&](int64_t tile, int) {
    const int64_t row = tile * step;
    p.choice.format->float_gemv({p.walk.data + row * p.walk.group_bytes, p.walk.group_bytes,
                                 std::min(step, p.w.rows - row), p.w.k, x, stride, p.batch, p.out + row,
                                 p.w.rows});
  });
}

void run_float_panel(const Product& p, Scratch& s) {
  const int64_t k = (p.w.k + 15) / 16 * 16, width = p.choice.isa->kernels->float_columns;
  const int64_t tiles = (p.batch + width - 1) / width;
  float* packed = s.packed.reserve_array<float>(static_cast<size_t>(tiles * width * k));
  parallel_for(p.choice.threads, tiles, [&](int64_t t, int) {
    float* to = packed + t * k * width;
    for (int64_t i = 0; i < k; ++i)
      for (int64_t c = 0; c < width; ++c) {
        const int64_t column = t * width + c;
        to[i * width + c] = i < p.w.k && column < p.batch ? p.x[column * p.w.k + i] : 0;
      }
  });
  const int64_t sums = tiles * width * 16;
  float* workers = s.tile.reserve_array<float>(static_cast<size_t>(sums * p.choice.threads));
  parallel_for(p.choice.threads, (p.w.rows + 15) / 16, [&](int64_t tile, int worker) {
    const int64_t row = tile * 16;
    p.choice.format->float_panel(
        {p.walk.data + row / p.w.type->interleave * p.walk.group_bytes, p.walk.group_bytes,
         std::min<int64_t>(16, p.w.rows - row), p.w.k, nullptr, 0, p.batch, p.out + row, p.w.rows},
        packed, workers + sums * worker);
  });
}

// Rows decoded to float32 and multiplied in double: the scalar tier of float formats, and columns with a NaN
// or an infinity, which int8 cannot hold.
void run_decoded(const Product& p, Scratch& s, const bool* skip) {
  const int rows = p.w.type->interleave;
  float* workers = s.tile.reserve_array<float>(static_cast<size_t>(rows * p.w.k * p.choice.threads));
  parallel_for(p.choice.threads, p.w.rows / rows, [&](int64_t group, int worker) {
    float* decoded = workers + rows * p.w.k * worker;
    p.choice.format->decode({from_group(p.walk, group), 1, p.w.k, decoded});
    for (int64_t c = 0; c < p.batch; ++c) {
      if (skip && skip[c]) continue;
      const float* x = p.x + c * p.w.k;
      for (int r = 0; r < rows; ++r) {
        double total = 0;
        for (int64_t i = 0; i < p.w.k; ++i)
          total += static_cast<double>(decoded[r * p.w.k + i]) * static_cast<double>(x[i]);
        p.out[c * p.w.rows + group * rows + r] = static_cast<float>(total);
      }
    }
  });
}

}  // namespace

void mul_mat(const Weights& w, const float* x, int64_t batch, float* out, int threads) {
  matrix_bytes(*w.type, w.rows, w.k);  // refuses bad shapes
  Product p{w, x, batch, out, choose(w, batch, threads), walk_groups(w), {}};
  Scratch& s = scratch();
  switch (p.choice.path) {
    case Path::kNone:
      return;
    case Path::kFloatPlain:
      return run_decoded(p, s, nullptr);
    case Path::kFloatGemv:
      return run_float_gemv(p, s);
    case Path::kFloatPanel:
      return run_float_panel(p, s);
    default:
      break;
  }
  std::unique_ptr<bool[]> finite;
  const bool all_finite = quantize_columns(p, s, finite);
  if (p.choice.path == Path::kPlain)
    run_plain(p);
  else if (p.choice.path == Path::kGemv)
    run_gemv(p, s);
  else
    run_panel(p, s);
  if (!all_finite) run_decoded(p, s, finite.get());
}

void dequantize(const Weights& w, float* out, int threads) {
  matrix_bytes(*w.type, w.rows, w.k);
  if (w.rows == 0 || w.k == 0) return;
  const Choice choice = choose(w, 16, threads);
  const GroupWalk walk = walk_groups(w);
  const int rows = w.type->interleave;
  const int64_t groups = w.rows / rows, step = std::max<int64_t>(1, (1 << 15) / (rows * w.k));
  parallel_for(choice.threads, (groups + step - 1) / step, [&](int64_t tile, int) {
    const int64_t group = tile * step;
    choice.format->decode(
        {from_group(walk, group), std::min(step, groups - group), w.k, out + group * rows * w.k});
  });
}

}  // namespace iqk

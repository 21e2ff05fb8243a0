#include "iqk/dispatch/product.h"

#include <algorithm>
#include <cstring>

#include "iqk/activations/pack.h"
#include "iqk/base/pool.h"

namespace iqk {

namespace {

constexpr int kPanelUnits = 2;            // of one tile of weights: 512 columns
constexpr int kFloatPanelRows = 16;       // rows of a float panel tile
constexpr int64_t kManyColumns = 32;      // from here on the product takes longer than the unpacking
constexpr int kPlainColumns = 64;         // columns that the scalar tier multiplies a decoded row with
constexpr int64_t kMostSums = 1 << 14;    // floats, where the height of tiles is free
constexpr int64_t kTileBytes = 1 << 17;   // of weights, where the height of tiles is free
constexpr int64_t kSerialWork = 1 << 15;  // floats that one thread packs alone

int64_t units_of(const Weights& w) { return (w.k + 255) / 256; }
int64_t padded_k(const Weights& w) { return (w.k + 15) / 16 * 16; }

// ---- Cutting the columns of a wave into tiles and passes
// ------------------------------------------------------------

struct Cut {
  int columns, valid, width;
};
// The next tile where `left` columns are left.
Cut next_tile(const Product& p, Path path, int64_t left) {
  const auto up_to = [&](int columns) {
    return Cut{columns, static_cast<int>(std::min<int64_t>(columns, left)), 0};
  };
  switch (path) {
    case Path::kGemv: {
      int width = 0;
      while (kGemvColumns[width] > left) ++width;
      return {kGemvColumns[width], kGemvColumns[width], width};
    }
    case Path::kPanel: {
      const PanelKernels& kernels = *p.format().panel;
      int width = 0;
      while (width + 1 < kPanelWidths && kernels.columns[width + 1] >= left) ++width;
      Cut cut = up_to(kernels.columns[width]);
      cut.width = width;
      return cut;
    }
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

size_t tile_bytes(const Product& p, Path path, int columns) {
  const Weights& w = *p.weights[0];
  const ActivationOrder& order = p.format().order;
  const size_t units = static_cast<size_t>(units_of(w)), count = static_cast<size_t>(columns);
  switch (path) {
    case Path::kGemv:
      return static_cast<size_t>(order.gemv_unit()) * units * count;
    case Path::kPanel:
      return static_cast<size_t>(order.panel_unit(columns)) * units;
    case Path::kFloatPanel:
    case Path::kFloatGemv:
      return static_cast<size_t>(padded_k(w)) * sizeof(float) * count;
    default:
      return units * (256 + 8 * sizeof(float)) * count;
  }
}

// Fills s.tiles, s.passes and s.plans; returns the bytes of the packed activations.
size_t cut_columns(const Product& p, const std::vector<Share>& wave, Scratch& s) {
  s.tiles.clear();
  s.passes.clear();
  s.plans.clear();
  size_t offset = 0;
  for (const Share& share : wave) {
    SharePlan plan{choose_path(*p.weights[0], share.batch, *p.isa), s.passes.size(), 0, 0, 0, 0};
    if (plan.path != Path::kFloatPlain)
      for (int64_t done = 0; done < share.count;) {
        const int64_t count = std::min(kPassColumns, share.count - done);
        Pass pass{s.plans.size(), s.tiles.size(), 0, share.first + done, count, 0};
        for (int64_t c = 0; c < count;) {
          const Cut cut = next_tile(p, plan.path, count - c);
          s.tiles.push_back({pass.first + c, cut.columns, cut.valid, cut.width, offset});
          offset += tile_bytes(p, plan.path, cut.columns);
          c += cut.valid;
          pass.sums += cut.columns;
        }
        pass.end_tile = s.tiles.size();
        s.passes.push_back(pass);
        done += count;
        ++plan.passes;
      }
    s.plans.push_back(plan);
  }
  return offset;
}

// ---- Packing
// ----------------------------------------------------------------------------------------------------------

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

// `worker`: memory for the quantized columns of a tile.
void pack_tile(const Product& p, Path path, const ColumnTile& tile, uint8_t* to, uint8_t* worker,
               bool* finite) {
  const Weights& w = *p.weights[0];
  const ActivationOrder& order = p.format().order;
  switch (path) {
    case Path::kFloatGemv:
      std::memset(finite, 1, static_cast<size_t>(tile.valid));  // floats hold whatever there is
      return pack_float_gemv(p, tile, reinterpret_cast<float*>(to));
    case Path::kFloatPanel:
      std::memset(finite, 1, static_cast<size_t>(tile.valid));
      return pack_float_panel(p, tile, reinterpret_cast<float*>(to));
    case Path::kPlain:
      worker = to;
      break;
    default:
      break;
  }
  const int64_t codes = tile.valid * units_of(w) * 256;
  const Activations x = quantize_tile(p, tile, reinterpret_cast<int8_t*>(worker),
                                      reinterpret_cast<float*>(worker + codes), finite);
  if (path == Path::kGemv) pack_gemv(x, order, tile.columns, to);
  if (path == Path::kPanel) pack_panel(x, order, tile.columns, tile.valid, to);
}

// ---- Multiplying tiles of rows
// ----------------------------------------------------------------------------------------

// How high tiles of rows are: fixed by the panel, or such that there are some for every thread many times
// over, of about kTileBytes of weights. All tiles of a product that accumulates are equal, multiples of every
// panel.
int64_t tile_height(const Product& p, Path path, int64_t matrices, int64_t columns) {
  if (path == Path::kPanel) return p.isa->kernels->panel_rows;
  if (path == Path::kFloatPanel) return kFloatPanelRows;
  const Weights& w = *p.weights[0];
  const int64_t rows = w.type->interleave, groups = w.rows / rows;
  const int64_t by_size = kTileBytes / std::max<int64_t>(1, walk_groups(w).group_bytes);
  const int64_t by_sums = kMostSums / (rows * columns);
  const int64_t by_threads =
      p.threads == 1 ? groups : (groups * matrices + 16 * p.threads - 1) / (16 * p.threads);
  return std::max<int64_t>(1, std::min({by_size, by_sums, by_threads})) * rows;
}

// Memory of one worker: a panel of each matrix, and the sums.
struct Workspace {
  size_t codes, numbers;  // bytes of a panel's codes, floats of its scales (and of its terms)
  size_t sums;            // floats of one matrix
  size_t bytes(int matrices) const {
    return static_cast<size_t>(matrices) * (codes + (2 * numbers + sums) * sizeof(float));
  }
};
struct WorkerMemory {
  uint8_t* codes[2];
  float *scales[2], *terms[2], *sums[2];
  WorkerMemory(const Workspace& space, int matrices, uint8_t* memory) {
    for (int m = 0; m < matrices; ++m) {
      codes[m] = memory + static_cast<size_t>(m) * space.bytes(1);
      scales[m] = reinterpret_cast<float*>(codes[m] + space.codes);
      terms[m] = scales[m] + space.numbers;
      sums[m] = terms[m] + space.numbers;
    }
  }
};

class Driver {
 public:
  Driver(const Product& p, const std::vector<Share>& wave, Scratch& s) : p_(p), wave_(wave), s_(s) {
    for (int m = 0; m < p.matrices; ++m) walks_[m] = walk_groups(*p.weights[m]);
  }

  void run() {
    const size_t packed = cut_columns(p_, wave_, s_);
    plan_rows();
    // Everything is allocated before the threads start.
    base_ = wave_.front().first;
    const int64_t columns = wave_.back().first + wave_.back().count - base_;
    finite_ = s_.finite.reserve_array<bool>(static_cast<size_t>(columns));
    packed_ = s_.packed.reserve_array<uint8_t>(packed);
    const size_t threads = static_cast<size_t>(p_.threads);
    const int widest = p_.format().panel ? std::max(p_.format().panel->columns[0], kGemvColumns[0]) : 0;
    pack_bytes_ = quantized_bytes(w(), widest);
    const size_t decode_bytes =
        static_cast<size_t>(p_.matrices * w().type->interleave * w().k) * sizeof(float);
    worker_bytes_ = (std::max({space_.bytes(p_.matrices), pack_bytes_, decode_bytes}) + 63) / 64 * 64;
    workers_ = s_.workers.reserve_array<uint8_t>(worker_bytes_ * threads);

    std::memset(finite_, 0, static_cast<size_t>(columns));
    const int64_t tiles = static_cast<int64_t>(s_.tiles.size());
    parallel_for(columns * w().k < kSerialWork ? 1 : p_.threads, tiles,
                 [&](int64_t tile, int worker) { pack(static_cast<size_t>(tile), worker); });
    if (p_.epilogue.kind == Epilogue::Kind::kAccumulate)
      parallel_for(p_.threads, (w().rows + height_ - 1) / height_, [&](int64_t tile, int worker) {
        const int64_t row = tile * height_, end = std::min(row + height_, w().rows);
        for (const Pass& pass : s_.passes) multiply_rows(pass, row, end, worker);
      });
    else
      parallel_for(p_.threads, tasks_, [&](int64_t task, int worker) { multiply_task(task, worker); });
    if (!std::all_of(finite_, finite_ + columns, [](bool f) { return f; }))
      parallel_for(p_.threads, w().rows / w().type->interleave,
                   [&](int64_t group, int worker) { multiply_decoded(group, worker); });
  }

 private:
  const Weights& w() const { return *p_.weights[0]; }
  uint8_t* memory(int worker) const { return workers_ + worker_bytes_ * static_cast<size_t>(worker); }

  GroupWalk walk_from(int m, int64_t matrix, int64_t row) const {
    GroupWalk walk = walks_[m];
    walk.data += matrix * p_.weights[m]->stride + row / w().type->interleave * walk.group_bytes;
    return walk;
  }

  // Heights of tiles, tasks, and the memory that they take.
  void plan_rows() {
    const int64_t panel_rows = std::max(p_.isa->kernels->panel_rows, kFloatPanelRows);
    const int64_t matrices = static_cast<int64_t>(wave_.size());
    for (SharePlan& plan : s_.plans) {
      plan.first_task = tasks_;
      if (plan.passes == 0) continue;
      int64_t columns = 0;
      for (size_t i = 0; i < plan.passes; ++i)
        columns = std::max(columns, s_.passes[plan.first_pass + i].sums);
      plan.height = tile_height(p_, plan.path, matrices, columns);
      height_ = std::max(height_, (plan.height + panel_rows - 1) / panel_rows * panel_rows);
      plan.tiles = (w().rows + plan.height - 1) / plan.height;
      tasks_ += plan.tiles * static_cast<int64_t>(plan.passes);
      if (plan.path == Path::kPanel) {
        space_.codes = static_cast<size_t>(plan.height) * 4 * 64 * kPanelUnits;
        space_.numbers = static_cast<size_t>(plan.height) * 16 * kPanelUnits;
      } else if (plan.path == Path::kFloatPanel) {
        // Its own sums, beside the results.
        space_.numbers = std::max(space_.numbers, static_cast<size_t>(plan.height * columns));
      }
      space_.sums = std::max(space_.sums, static_cast<size_t>((plan.height * columns + 15) / 16 * 16));
    }
  }

  void pack(size_t index, int worker) {
    const ColumnTile& tile = s_.tiles[index];
    const auto pass = std::upper_bound(s_.passes.begin(), s_.passes.end(), index,
                                       [](size_t t, const Pass& a) { return t < a.end_tile; });
    pack_tile(p_, s_.plans[pass->share].path, tile, packed_ + tile.offset, memory(worker),
              finite_ + (tile.first - base_));
  }

  // Tasks of a share: all passes of its first tile of rows, then of the next.
  void multiply_task(int64_t task, int worker) {
    const auto after = std::upper_bound(s_.plans.begin(), s_.plans.end(), task,
                                        [](int64_t t, const SharePlan& a) { return t < a.first_task; });
    const SharePlan& plan = *(after - 1);
    const int64_t at = task - plan.first_task, passes = static_cast<int64_t>(plan.passes);
    const int64_t row = at / passes * plan.height;
    multiply_rows(s_.passes[plan.first_pass + static_cast<size_t>(at % passes)], row,
                  std::min(row + plan.height, w().rows), worker);
  }

  // Rows [row, end) with the columns of a pass.
  void multiply_rows(const Pass& pass, int64_t row, int64_t end, int worker) {
    const SharePlan& plan = s_.plans[pass.share];
    const WorkerMemory to(space_, p_.matrices, memory(worker));
    const int64_t matrix = wave_[pass.share].matrix;
    for (; row < end; row += plan.height) {
      const int64_t rows = std::min(plan.height, end - row);
      const int64_t stride = multiply_tile(plan.path, pass, matrix, row, rows, to);
      for (int64_t c = 0; c < pass.valid; ++c)
        if (finite_[pass.first + c - base_])
          p_.epilogue.finish(matrix, pass.first + c, row, rows, to.sums[0] + c * stride,
                             p_.matrices == 2 ? to.sums[1] + c * stride : nullptr);
    }
  }

  // Puts sums[column][stride] to to.sums; returns the stride.
  int64_t multiply_tile(Path path, const Pass& pass, int64_t matrix, int64_t row, int64_t rows,
                        const WorkerMemory& to) {
    if (path == Path::kPanel) return multiply_panel(pass, matrix, row, rows, to);
    if (path == Path::kFloatPanel) return multiply_float_panel(pass, matrix, row, rows, to);
    for (size_t t = pass.first_tile; t < pass.end_tile; ++t) {
      const ColumnTile& tile = s_.tiles[t];
      for (int m = 0; m < p_.matrices; ++m)
        multiply_few(path, tile, walk_from(m, matrix, row), rows,
                     to.sums[m] + (tile.first - pass.first) * rows);
    }
    return rows;
  }

  // Kernels of few columns: all of a tile at once.
  void multiply_few(Path path, const ColumnTile& tile, const GroupWalk& walk, int64_t rows, float* sums) {
    const FormatKernels& f = p_.format();
    const uint8_t* x = packed_ + tile.offset;
    const int64_t groups = rows / w().type->interleave;
    if (path == Path::kGemv) {
      f.gemv[tile.width]({walk, groups, x, sums, rows});
    } else if (path == Path::kPlain) {
      const int8_t* codes = reinterpret_cast<const int8_t*>(x);
      const float* scales = reinterpret_cast<const float*>(codes + tile.valid * units_of(w()) * 256);
      f.plain({walk, groups, codes, scales, tile.valid, sums, rows});
    } else {
      f.float_gemv({walk.data, walk.group_bytes, rows, w().k, reinterpret_cast<const float*>(x),
                    padded_k(w()), tile.valid, sums, rows});
    }
  }

  int64_t multiply_float_panel(const Pass& pass, int64_t matrix, int64_t row, int64_t rows,
                               const WorkerMemory& to) {
    const float* x = reinterpret_cast<const float*>(packed_ + s_.tiles[pass.first_tile].offset);
    for (int m = 0; m < p_.matrices; ++m) {
      const GroupWalk walk = walk_from(m, matrix, row);
      p_.format().float_panel(
          {walk.data, walk.group_bytes, rows, w().k, nullptr, 0, pass.valid, to.sums[m], kFloatPanelRows}, x,
          to.scales[m]);
    }
    return kFloatPanelRows;
  }

  // Of many columns the panels of up and gate lie side by side: a tile of activations is in the first-level
  // cache for both. With few columns the unpacking decides, and that is faster with the rows of one matrix in
  // sequence.
  int64_t multiply_panel(const Pass& pass, int64_t matrix, int64_t row, int64_t rows,
                         const WorkerMemory& to) {
    const int together = pass.valid < kManyColumns ? 1 : p_.matrices;
    for (int m = 0; m < p_.matrices; m += together) {
      for (int i = m; i < m + together; ++i)
        std::memset(to.sums[i], 0,
                    static_cast<size_t>(pass.sums * p_.isa->kernels->panel_rows) * sizeof(float));
      for (int64_t u = 0; u < units_of(w()); u += kPanelUnits)
        add_units(pass, matrix, row, static_cast<int>(rows), u, m, m + together, to);
    }
    return p_.isa->kernels->panel_rows;
  }

  // Adds the products of matrices [m, end) over units [u, u + kPanelUnits).
  void add_units(const Pass& pass, int64_t matrix, int64_t row, int rows, int64_t u, int m, int end,
                 const WorkerMemory& to) {
    const FormatKernels& f = p_.format();
    const int count = static_cast<int>(std::min<int64_t>(kPanelUnits, units_of(w()) - u));
    for (int i = m; i < end; ++i)
      f.unpack({walk_from(i, matrix, row), u, count, rows, to.codes[i], to.scales[i], to.terms[i]});
    int64_t at = 0;
    for (size_t t = pass.first_tile; t < pass.end_tile; ++t) {
      const ColumnTile& tile = s_.tiles[t];
      const uint8_t* x = packed_ + tile.offset + u * f.order.panel_unit(tile.columns);
      for (int i = m; i < end; ++i)
        f.panel->run[tile.width]({to.codes[i], to.scales[i], to.terms[i], x, count, to.sums[i] + at});
      at += p_.isa->kernels->panel_rows * tile.columns;
    }
  }

  // Rows decoded to float32 and multiplied in double: the scalar tier of float formats, and columns with a
  // NaN or an infinity, which int8 cannot hold.
  void multiply_decoded(int64_t group, int worker) {
    const int rows = w().type->interleave;
    const int64_t k = w().k, row = group * rows;
    float* decoded = reinterpret_cast<float*>(memory(worker));
    for (const Share& share : wave_) {
      const bool* finite = finite_ + (share.first - base_);
      if (std::all_of(finite, finite + share.count, [](bool f) { return f; })) continue;
      for (int m = 0; m < p_.matrices; ++m)
        p_.format().decode({walk_from(m, share.matrix, row), 1, k, decoded + m * rows * k});
      for (int64_t c = 0; c < share.count; ++c) {
        if (finite[c]) continue;
        const float* x = p_.x + p_.x_places.at(share.first + c) * k;
        float sums[2][16];
        for (int r = 0; r < p_.matrices * rows; ++r) {
          double total = 0;
          for (int64_t i = 0; i < k; ++i)
            total += static_cast<double>(decoded[r * k + i]) * static_cast<double>(x[i]);
          sums[r / rows][r % rows] = static_cast<float>(total);
        }
        p_.epilogue.finish(share.matrix, share.first + c, row, rows, sums[0], sums[1]);
      }
    }
  }

  const Product& p_;
  const std::vector<Share>& wave_;
  Scratch& s_;
  GroupWalk walks_[2];
  int64_t base_ = 0;  // position of the wave's first column
  bool* finite_ = nullptr;
  uint8_t *packed_ = nullptr, *workers_ = nullptr;
  size_t pack_bytes_ = 0, worker_bytes_ = 0;
  Workspace space_{0, 0, 0};
  int64_t tasks_ = 0, height_ = 1;
};

}  // namespace

Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

size_t packed_column_bytes(const Weights& w, const Isa& isa) {
  const FormatKernels& f = isa.find(*w.type);
  if (!w.type->tier) return static_cast<size_t>(padded_k(w)) * sizeof(float);
  if (f.plain) return quantized_bytes(w, 1);
  return static_cast<size_t>(f.order.panel_unit(1)) * static_cast<size_t>(units_of(w));
}

void multiply(const Product& p, const std::vector<Share>& wave, Scratch& s) { Driver(p, wave, s).run(); }

}  // namespace iqk

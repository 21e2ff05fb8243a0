#include "iqk/dispatch/product.h"

#include <algorithm>
#include <cstring>

#include "iqk/base/cpu.h"
#include "iqk/base/denormals.h"
#include "iqk/base/pool.h"

namespace iqk {

namespace {

constexpr int kPanelUnits = 2;           // of one tile of weights: 512 columns
constexpr int64_t kManyColumns = 32;     // from here on the product takes longer than the unpacking
constexpr int64_t kMostSums = 1 << 14;   // floats, where the height of tiles is free
constexpr int64_t kTileBytes = 1 << 17;  // of weights, where the height of tiles is free
constexpr int64_t kMostPanels = 4;       // of a tile: they share the activations in the second-level cache
constexpr int64_t kMostWidePanels = 12;  // the same in bfloat16
constexpr int64_t kWidePanels = 4;       // of these as many are made at a time
constexpr int64_t kWideBytes = 2 * kTileSteps * kPanelTiles * kStepBytes;  // of one, in two parts
constexpr int64_t kSerialWork = 1 << 15;  // floats that one thread packs alone

// How high tiles of rows are: one or several panels, or of about kTileBytes of weights, such that there are
// some for every thread many times over.
int64_t tile_height(const Product& p, Path path, int64_t matrices, int64_t columns) {
  const Weights& w = *p.weights[0];
  if (path == Path::kPanel || path == Path::kFloatPanel || takes_tiles(path)) {
    const int64_t rows = path == Path::kFloatPanel ? p.isa->kernels->float_rows : p.isa->kernels->panel_rows;
    const int64_t panels = (w.rows + rows - 1) / rows;
    const int64_t most = takes_tiles(path) ? kMostWidePanels : kMostPanels;
    const int64_t by_threads = columns < kManyColumns && path != Path::kTiles ? 1
                               : p.threads == 1                               ? most
                                                : panels * matrices / (16 * p.threads);
    return std::max<int64_t>(1, std::min(most, by_threads)) * rows;
  }
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
  size_t wide, partial;   // bytes of panels in bfloat16 and floats of their sums, for one matrix at a time
  size_t bytes(int matrices) const {
    return wide + partial * sizeof(float) + static_cast<size_t>(matrices) * matrix_bytes();
  }
  size_t matrix_bytes() const { return codes + (2 * numbers + sums) * sizeof(float); }
};
struct WorkerMemory {
  uint8_t* codes[2];
  float *scales[2], *terms[2], *sums[2];
  uint8_t* wide;
  float* partial;
  WorkerMemory(const Workspace& space, int matrices, uint8_t* memory)
      : codes{},
        scales{},
        terms{},
        sums{},
        wide(memory),
        partial(reinterpret_cast<float*>(memory + space.wide)) {
    memory += space.wide + space.partial * sizeof(float);
    for (int m = 0; m < matrices; ++m) {
      codes[m] = memory + static_cast<size_t>(m) * space.matrix_bytes();
      scales[m] = reinterpret_cast<float*>(codes[m] + space.codes);
      terms[m] = scales[m] + space.numbers;
      sums[m] = terms[m] + space.numbers;
    }
  }
};

class Driver {
 public:
  Driver(const Product& p, const std::vector<Share>& wave, Scratch& s)
      : p_(p), wave_(wave), s_(s), float_tiles_(p.isa->find_tiles(*p.weights[0]->type)) {
    for (int m = 0; m < p.matrices; ++m) walks_[m] = walk_groups(*p.weights[m]);
  }

  void run() {
    cut_columns(p_, wave_, s_.cut);
    plan_rows();
    // Everything is allocated before the threads start.
    base_ = wave_.front().first;
    const int64_t columns = wave_.back().first + wave_.back().count - base_;
    finite_ = s_.finite.reserve_array<bool>(static_cast<size_t>(columns));
    packed_ = s_.packed.reserve_array<uint8_t>(s_.cut.bytes);
    const size_t threads = static_cast<size_t>(p_.threads);
    const size_t decode_bytes =
        static_cast<size_t>(p_.matrices * w().type->interleave * w().k) * sizeof(float);
    worker_bytes_ = (std::max({space_.bytes(p_.matrices), pack_bytes(p_), decode_bytes}) + 63) / 64 * 64;
    workers_ = s_.workers.reserve_array<uint8_t>(worker_bytes_ * threads);

    std::memset(finite_, 0, static_cast<size_t>(columns));
    const int64_t tiles = static_cast<int64_t>(s_.cut.tiles.size());
    parallel_for(columns * w().k < kSerialWork ? 1 : p_.threads, tiles,
                 [&](int64_t tile, int worker) { pack(static_cast<size_t>(tile), worker); });
    // Columns of the same token add to the same rows: those belong to one thread for all matrices.
    if (p_.epilogue.kind == Epilogue::Kind::kAccumulate)
      parallel_for(p_.threads, (w().rows + height_ - 1) / height_, [&](int64_t tile, int worker) {
        const int64_t row = tile * height_, end = std::min(row + height_, w().rows);
        for (const Pass& pass : s_.cut.passes) multiply_rows(pass, row, end, worker);
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
    const int64_t panel_rows = std::max({1, p_.isa->kernels->panel_rows, p_.isa->kernels->float_rows});
    const int64_t matrices = static_cast<int64_t>(wave_.size());
    for (SharePlan& plan : s_.cut.shares) {
      plan.first_task = tasks_;
      if (plan.passes == 0) continue;
      int64_t columns = 0;
      for (size_t i = 0; i < plan.passes; ++i)
        columns = std::max(columns, s_.cut.passes[plan.first_pass + i].sums);
      plan.height = tile_height(p_, plan.path, matrices, columns);
      height_ = std::max(height_, (plan.height + panel_rows - 1) / panel_rows * panel_rows);
      tasks_ += (w().rows + plan.height - 1) / plan.height * static_cast<int64_t>(plan.passes);
      if (takes_tiles(plan.path)) {
        space_.wide = kWidePanels * kWideBytes;
        const int64_t panels = plan.height / p_.isa->kernels->panel_rows;
        space_.partial =
            std::max(space_.partial, static_cast<size_t>(panels * tile_sums(columns / kTileColumns)));
      }
      if (plan.path == Path::kPanel) {
        space_.codes = static_cast<size_t>(panel_rows) * 4 * 64 * kPanelUnits;
        space_.numbers = std::max(space_.numbers, static_cast<size_t>(panel_rows) * 16 * kPanelUnits);
      }
      space_.sums = std::max(space_.sums, static_cast<size_t>((plan.height * columns + 15) / 16 * 16));
    }
  }

  void pack(size_t index, int worker) {
    const ColumnTile& tile = s_.cut.tiles[index];
    const auto pass = std::upper_bound(s_.cut.passes.begin(), s_.cut.passes.end(), index,
                                       [](size_t t, const Pass& a) { return t < a.end_tile; });
    pack_tile(p_, s_.cut.shares[pass->share].path, tile, packed_ + tile.offset, memory(worker),
              finite_ + (tile.first - base_));
  }

  // Tasks of a share: all passes of its first tile of rows, then of the next.
  void multiply_task(int64_t task, int worker) {
    const auto after = std::upper_bound(s_.cut.shares.begin(), s_.cut.shares.end(), task,
                                        [](int64_t t, const SharePlan& a) { return t < a.first_task; });
    const SharePlan& plan = *(after - 1);
    const int64_t at = task - plan.first_task, passes = static_cast<int64_t>(plan.passes);
    const int64_t row = at / passes * plan.height;
    multiply_rows(s_.cut.passes[plan.first_pass + static_cast<size_t>(at % passes)], row,
                  std::min(row + plan.height, w().rows), worker);
  }

  // Rows [row, end) with the columns of a pass.
  void multiply_rows(const Pass& pass, int64_t row, int64_t end, int worker) {
    const SharePlan& plan = s_.cut.shares[pass.share];
    const WorkerMemory to(space_, p_.matrices, memory(worker));
    const int64_t matrix = wave_[pass.share].matrix;
    for (; row < end; row += plan.height) {
      const int64_t rows = std::min(plan.height, end - row);
      const int64_t stride = multiply_tile(plan.path, pass, matrix, row, rows, to);
      p_.epilogue.finish(matrix, pass.first, pass.valid, finite_ + (pass.first - base_), row, rows,
                         to.sums[0], to.sums[1], stride);
    }
  }

  // Puts sums[column][stride] to to.sums; returns the stride.
  int64_t multiply_tile(Path path, const Pass& pass, int64_t matrix, int64_t row, int64_t rows,
                        const WorkerMemory& to) {
    const FlushDenormals flush(w().type->tier != nullptr);  // activations are rounded much coarser
    if (path == Path::kPanel) return multiply_panel(pass, matrix, row, rows, to);
    if (takes_tiles(path)) return multiply_wide_panels(pass, matrix, row, rows, to);
    if (path == Path::kFloatPanel) return multiply_float_panel(pass, matrix, row, rows, to);
    for (size_t t = pass.first_tile; t < pass.end_tile; ++t) {
      const ColumnTile& tile = s_.cut.tiles[t];
      for (int m = 0; m < p_.matrices; ++m)
        multiply_few(path, tile, walk_from(m, matrix, row), rows,
                     to.sums[m] + (tile.first - pass.first) * rows);
    }
    return rows;
  }

  // Kernels of few columns: all of a tile at once.
  void multiply_few(Path path, const ColumnTile& tile, GroupWalk walk, int64_t rows, float* sums) {
    const FormatKernels& f = p_.format();
    walk.ahead = cpu_fetch_distance();
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
                    padded_k(w()), tile.valid, sums, rows, walk.ahead});
    }
  }

  int64_t multiply_float_panel(const Pass& pass, int64_t matrix, int64_t row, int64_t rows,
                               const WorkerMemory& to) {
    const float* x = reinterpret_cast<const float*>(packed_ + s_.cut.tiles[pass.first_tile].offset);
    const int64_t height = p_.isa->kernels->float_rows, stride = (rows + height - 1) / height * height;
    for (int m = 0; m < p_.matrices; ++m) {
      const GroupWalk walk = walk_from(m, matrix, row);
      p_.format().float_panel(
          {walk.data, walk.group_bytes, rows, w().k, nullptr, 0, pass.valid, to.sums[m], stride, 0}, x);
    }
    return stride;
  }

  // Of many columns the panels of up and gate lie side by side: a tile of activations is in the first-level
  // cache for both. With few columns the unpacking decides, and that is faster with the rows of one matrix in
  // sequence.
  int64_t multiply_panel(const Pass& pass, int64_t matrix, int64_t row, int64_t rows,
                         const WorkerMemory& to) {
    const int together = pass.valid < kManyColumns ? 1 : p_.matrices;
    const int64_t height = p_.isa->kernels->panel_rows, stride = (rows + height - 1) / height * height;
    for (int m = 0; m < p_.matrices; m += together) {
      for (int i = m; i < m + together; ++i)
        std::memset(to.sums[i], 0, static_cast<size_t>(pass.sums * stride) * sizeof(float));
      for (int64_t u = 0; u < units_of(w()); u += kPanelUnits) {
        const int count = static_cast<int>(std::min<int64_t>(kPanelUnits, units_of(w()) - u));
        for (int64_t part = 0; part < rows; part += height) {
          for (int i = m; i < m + together; ++i) {
            GroupWalk walk = walk_from(i, matrix, row + part);
            walk.ahead = ahead_of(row, rows, u, part, kPanelUnits);
            p_.format().unpack({walk, u, count, static_cast<int>(std::min(height, rows - part)), to.codes[i],
                                to.scales[i], to.terms[i]});
          }
          add_panels(pass, u, count, m, m + together, to, part, stride);
        }
      }
    }
    return stride;
  }

  // How far behind a panel's weights, units from u on of the rows from row + part on, those of the next one
  // lie, in a tile that ends at row + rows: pieces too short for the hardware to foresee.
  int64_t ahead_of(int64_t row, int64_t rows, int64_t u, int64_t part, int units) const {
    const int64_t height = p_.isa->kernels->panel_rows;
    const bool last_part = part + height >= rows, last = last_part && u + units >= units_of(w());
    return last        ? distance(row + part, u, row + rows, 0)
           : last_part ? distance(row + part, u, row, u + units)
                       : distance(row + part, u, row + part + height, u);
  }

  // Adds the products of a panel of matrices [m, end) to the sums from row `at` on.
  void add_panels(const Pass& pass, int64_t u, int count, int m, int end, const WorkerMemory& to, int64_t at,
                  int64_t stride) {
    const PanelKernels& panel = *p_.format().panel;
    const uint8_t* const packed = packed_;
    const ColumnTile* const last = s_.cut.tiles.data() + pass.end_tile;
    for (const ColumnTile* tile = s_.cut.tiles.data() + pass.first_tile; tile != last; ++tile) {
      const uint8_t* x = packed + tile->offset + u * tile->unit;
      const auto run = panel.run[tile->width];
      const ColumnTile* const next = tile + 1 == last ? tile : tile + 1;
      const uint8_t* next_x = packed + next->offset + u * next->unit;
      const int64_t next_at = at + (next - tile) * stride * tile->columns;
      for (int i = m; i < end; ++i)
        run({to.codes[i], to.scales[i], to.terms[i], x, count, to.sums[i] + at, stride, next_x,
             to.sums[i] + next_at});
      at = next_at;
    }
  }

  // The same by tiles, of bfloat16: some panels are made, then multiplied, as tiles are slow to begin.
  int64_t multiply_wide_panels(const Pass& pass, int64_t matrix, int64_t row, int64_t rows,
                               const WorkerMemory& to) {
    const int64_t height = p_.isa->kernels->panel_rows, stride = (rows + height - 1) / height * height;
    if (w().k == 0)  // no first panel
      for (int m = 0; m < p_.matrices; ++m)
        std::memset(to.sums[m], 0, static_cast<size_t>(pass.sums * stride) * sizeof(float));
    p_.isa->tiles->begin();
    for (int m = 0; m < p_.matrices; ++m)
      for (int64_t u = 0; u < units_of(w()); ++u)
        for (int64_t part = 0; part < rows; part += kWidePanels * height) {
          const int64_t end = std::min(part + kWidePanels * height, rows);
          for (int64_t at = part; at < end; at += height)
            widen(m, matrix, row, rows, u, at, to.wide + (at - part) / height * kWideBytes);
          for (int64_t at = part; at < end; at += height)
            add_wide_panel(pass, to.wide + (at - part) / height * kWideBytes, u, to.sums[m] + at, stride,
                           to.partial + at / height * tile_sums(pass.sums / kTileColumns));
        }
    p_.isa->tiles->end();
    return stride;
  }

  // Unit u of the panel from row + part on of matrix m, in a tile of `rows` rows.
  void widen(int m, int64_t matrix, int64_t row, int64_t rows, int64_t u, int64_t part, uint8_t* to) {
    GroupWalk walk = walk_from(m, matrix, row + part);
    const int64_t valid = std::min<int64_t>(p_.isa->kernels->panel_rows, rows - part);
    if (float_tiles_) {
      float_tiles_->widen({walk.data, walk.group_bytes, valid, w().k, u, to, to + kWideBytes / 2});
    } else {
      walk.ahead = ahead_of(row, rows, u, part, 1);
      p_.isa->tiles->widen({p_.format().rows, walk, u, valid, to});
    }
  }

  // Adds the products of a panel with all columns. Float weights and their columns are sums of two; the
  // product of what bfloat16 has lost of both is less than they lose even so.
  void add_wide_panel(const Pass& pass, const uint8_t* panel, int64_t u, float* sums, int64_t stride,
                      float* partial) {
    const ColumnTile& tile = s_.cut.tiles[pass.first_tile];
    const uint8_t* x = packed_ + tile.offset + u * tile.unit;
    const bool first = u == 0, last = u + 1 == units_of(w());
    const auto add = [&](const uint8_t* weights, const uint8_t* columns, bool begins, bool ends) {
      p_.isa->tiles->multiply({weights, columns, static_cast<int>(pass.sums / kTileColumns), partial, sums,
                               stride, begins, ends});
    };
    add(panel, x, first, last && !float_tiles_);
    if (!float_tiles_) return;
    add(panel, x + tile.unit / 2, false, last && float_tiles_->parts == 1);
    if (float_tiles_->parts == 2) add(panel + kWideBytes / 2, x, false, last);
  }

  // Bytes from unit u of a row to another unit of another row, 0 where that row does not exist.
  int64_t distance(int64_t row, int64_t u, int64_t to_row, int64_t to_u) const {
    if (to_row >= w().rows) return 0;
    const Type& type = *w().type;
    const int64_t unit = 256 / type.block_weights * type.block_bytes * type.interleave;
    return (to_row - row) / type.interleave * walks_[0].group_bytes + (to_u - u) * unit;
  }

  // Rows decoded to float32 and multiplied in double: the scalar tier of float formats, and columns with a
  // NaN, an infinity or a number too large for the scales of int8.
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
        const bool computed = true;
        p_.epilogue.finish(share.matrix, share.first + c, 1, &computed, row, rows, sums[0], sums[1], rows);
      }
    }
  }

  const Product& p_;
  const std::vector<Share>& wave_;
  Scratch& s_;
  const FloatTiles* const float_tiles_;  // null for codes
  GroupWalk walks_[2];
  int64_t base_ = 0;  // position of the wave's first column
  bool* finite_ = nullptr;
  uint8_t *packed_ = nullptr, *workers_ = nullptr;
  size_t worker_bytes_ = 0;
  Workspace space_{0, 0, 0, 0, 0};
  int64_t tasks_ = 0, height_ = 1;
};

}  // namespace

Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

void multiply(const Product& p, const std::vector<Share>& wave, Scratch& s) { Driver(p, wave, s).run(); }

}  // namespace iqk

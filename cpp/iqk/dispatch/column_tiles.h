// A product, and its columns cut into tiles that are packed as the kernels take them.
#pragma once

#include "iqk/dispatch/columns.h"
#include "iqk/dispatch/dispatch.h"
#include "iqk/dispatch/epilogue.h"

namespace iqk {

// A call's product of one matrix per share, or of two (up and gate) whose type and shape agree, in one pass.
struct Product {
  const Weights* weights[2];
  int matrices;    // 1 or 2
  const float* x;  // columns of K
  Places x_places;
  Epilogue epilogue;
  const Isa* isa;
  int threads;

  const FormatKernels& format() const { return isa->find(*weights[0]->type); }
};

// Some columns as the kernels take them: a tile of activations packed together.
struct ColumnTile {
  int64_t first;       // position
  int columns, valid;  // as packed, and of them real
  int width;           // which kernel
  size_t offset;       // in the packed activations
  ptrdiff_t unit;      // bytes from one unit to the next, where it is packed by units
};
// The columns of one pass over rows of a matrix.
struct Pass {
  size_t share;
  size_t first_tile, end_tile;
  int64_t first, valid;  // columns
  int64_t sums;          // columns of sums, padding included
};
// A share of a wave: its kernel and its passes, and from the driver how its rows are cut into tiles, each
// with all passes a number of tasks.
struct SharePlan {
  Path path;
  size_t first_pass, passes;
  int64_t height;
  int64_t first_task;
};
// All of a wave.
struct ColumnTiles {
  std::vector<SharePlan> shares;
  std::vector<Pass> passes;
  std::vector<ColumnTile> tiles;
  size_t bytes;  // of the packed activations
};
void cut_columns(const Product& p, const std::vector<Share>& wave, ColumnTiles& cut);

// Quantizes and packs a tile. `worker`: pack_bytes() of scratch memory. `finite`: a flag per column, false
// where int8 cannot hold it.
void pack_tile(const Product& p, Path path, const ColumnTile& tile, uint8_t* to, uint8_t* worker,
               bool* finite);
size_t pack_bytes(const Product& p);

// Packed activations of one column, at most.
size_t packed_column_bytes(const Weights& w, const Isa& isa);

inline int64_t units_of(const Weights& w) { return (w.k + 255) / 256; }
inline int64_t padded_k(const Weights& w) { return (w.k + 15) / 16 * 16; }  // of float columns

}  // namespace iqk

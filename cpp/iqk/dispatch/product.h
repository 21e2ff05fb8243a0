// The driver of all products: shares of columns are quantized and packed, then tiles of rows of all their
// matrices go to the threads.
#pragma once

#include "iqk/base/buffer.h"
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
};
// The columns of one pass over rows of a matrix.
struct Pass {
  size_t share;
  size_t first_tile, end_tile;
  int64_t first, valid;  // columns
  int64_t sums;          // columns of sums, padding included
};
// A share in a wave: its kernel, its passes, how its rows are cut and where its tiles of rows begin.
struct SharePlan {
  Path path;
  size_t first_pass, passes;
  int64_t height, tiles;  // rows of a tile, number of tiles
  int64_t first_task;
};

// Memory of a calling thread, for itself and its workers: kept, so that calls in a loop do not allocate.
struct Scratch {
  AlignedBuffer packed, workers, finite, intermediate;
  std::vector<ColumnTile> tiles;
  std::vector<Pass> passes;
  std::vector<SharePlan> plans;
  std::vector<Share> wave, whole;
  Routing routing;
};
Scratch& scratch();

// Scratch memory of one column of x, at most.
size_t packed_column_bytes(const Weights& w, const Isa& isa);
// Of a wave, for its packed activations; one pass may take more.
constexpr size_t kWaveBytes = size_t{32} << 20;

// Multiplies the shares of a wave, whose positions follow each other.
void multiply(const Product& p, const std::vector<Share>& wave, Scratch& s);

}  // namespace iqk

// The driver of all products: the columns of a wave of shares are quantized and packed, then tiles of rows of
// all their matrices go to the threads.
#pragma once

#include "iqk/base/buffer.h"
#include "iqk/dispatch/column_tiles.h"

namespace iqk {

// Memory of a calling thread, for itself and its workers: kept, so that calls in a loop do not allocate.
struct Scratch {
  AlignedBuffer packed, workers, finite, intermediate;
  ColumnTiles cut;
  std::vector<Share> wave, whole;
  Routing routing;
};
Scratch& scratch();

// Packed activations of a wave; one pass may take more.
constexpr size_t kWaveBytes = size_t{32} << 20;

// Multiplies the shares of a wave, whose positions follow each other.
void multiply(const Product& p, const std::vector<Share>& wave, Scratch& s);

}  // namespace iqk

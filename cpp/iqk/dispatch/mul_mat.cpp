// Products of one matrix, and decoding.
#include <algorithm>

#include "iqk/base/pool.h"
#include "iqk/dispatch/product.h"

namespace iqk {

void mul_mat(const Weights& w, const float* x, int64_t batch, float* out, int threads) {
  matrix_bytes(*w.type, w.rows, w.k);  // refuses bad shapes
  if (batch == 0 || w.rows == 0) return;
  Scratch& s = scratch();
  s.whole.assign(1, {0, 0, batch, batch});
  Epilogue store;
  store.out = out;
  store.rows = w.rows;
  const Isa& isa = current_isa();
  const Product p{{&w, nullptr}, 1, x, {}, store, &isa, useful_threads(w, batch, threads)};
  for_each_wave(s.whole, packed_column_bytes(w, isa), kWaveBytes, s.wave,
                [&](const std::vector<Share>& wave) { multiply(p, wave, s); });
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
    GroupWalk part = walk;
    part.data += group * walk.group_bytes;
    choice.format->decode({part, std::min(step, groups - group), w.k, out + group * rows * w.k});
  });
}

}  // namespace iqk

// Products of float formats: dot products row by row for few columns, tiles of 16 rows for many.
#pragma once

#include "iqk/formats/floats.h"
#include "iqk/formats/vectors.h"
#include "iqk/kernels/arguments.h"
#include "iqk/kernels/transpose.h"

namespace IQK_NS {

// Columns are zero padded to a multiple of 16; so is the last step of a row, from a copy.
template <class F, int C>
IQK_INLINE void float_rows(const FloatArgs& a) {
  constexpr int kStep = 16 * F::kBytes;
  const int64_t full = a.k / 16;
  const int rest = static_cast<int>(a.k % 16);
  for (int64_t r = 0; r < a.rows; ++r) {
    const uint8_t* p = a.data + r * a.group_bytes;
    alignas(64) uint8_t tail[kStep] = {};
    if (rest) std::memcpy(tail, p + full * kStep, static_cast<size_t>(rest * F::kBytes));
    constexpr int kChains = C == 1 ? 4 : C == 2 ? 2 : 1;
    Floats<16> sums[C][kChains];
    unroll<C>([&](auto c)
                  IQK_LAMBDA { unroll<kChains>([&](auto n) IQK_LAMBDA { sums[c][n] = fsplat<16>(0.0f); }); });
    int64_t i = 0;
    for (; i + kChains <= full; i += kChains) {
      if (F::kBytes < 4 && a.ahead != 0)  // whole floats come as fast without
        unroll<(kChains * kStep + 63) / 64>(
            [&](auto n) IQK_LAMBDA { __builtin_prefetch(p + i * kStep + a.ahead + 64 * n); });
      unroll<kChains>([&](auto n) IQK_LAMBDA {
        const Floats<16> w = F::vector(p + (i + n) * kStep);
        unroll<C>([&](auto c) IQK_LAMBDA {
          sums[c][n] = fma(w, fload<16>(a.x + c * a.x_stride + 16 * (i + n)), sums[c][n]);
        });
      });
    }
    for (; i < full + (rest != 0); ++i) {
      const Floats<16> w = F::vector(i < full ? p + i * kStep : tail);
      unroll<C>([&](auto c) IQK_LAMBDA {
        sums[c][0] = fma(w, fload<16>(a.x + c * a.x_stride + 16 * i), sums[c][0]);
      });
    }
    unroll<C>([&](auto c) IQK_LAMBDA {
      unroll<kChains - 1>([&](auto n) IQK_LAMBDA { sums[c][0] = sums[c][0] + sums[c][n + 1]; });
      a.out[c * a.out_stride + r] = sum(sums[c][0]);
    });
  }
}

template <class F>
void float_gemv(const FloatArgs& a) {
  FloatArgs part = a;
  for (int64_t c = 0; c < a.columns;) {
    const int64_t left = a.columns - c;
    part.x = a.x + c * a.x_stride;
    part.out = a.out + c * a.out_stride;
    if (left >= 4)
      float_rows<F, 4>(part);
    else if (left >= 2)
      float_rows<F, 2>(part);
    else
      float_rows<F, 1>(part);
    c += left >= 4 ? 4 : left >= 2 ? 2 : 1;
  }
}

constexpr int kFloatDepth = 256;  // columns of weights in one panel
constexpr int kFloatRows = 16 * kFloatVectors;

// 16 rows from `row` on of `depth` (a multiple of 16) columns from `from` on: `panel` has a line of
// kFloatRows rows per column. Rows behind the last repeat it.
template <class F>
IQK_INLINE void float_panel_lines(const FloatArgs& a, int64_t row, int64_t from, int depth, float* panel) {
  const int64_t last = (a.rows - 1) / F::kRows;
  const auto group = [&](int64_t r) {
    return a.data + (r / F::kRows < last ? r / F::kRows : last) * a.group_bytes;
  };
  if constexpr (F::kRows == 16) {
    // 64 bytes are two columns: the lower and the upper halves of the dwords are the upper halves of floats.
    static constexpr BytePattern kLowerHalves =
        byte_pattern([](int, int y) { return y % 4 < 2 ? 128 : y - 2; });
    const uint8_t* p = group(row) + 32 * from;
    const int64_t left = a.k - from;
    for (int i = 0; i < depth; i += 2) {
      const Bytes x = i < left ? load(p + 32 * i) : splat(0);
      store(panel + kFloatRows * i, lookup(x, load(kLowerHalves)));
      store(panel + kFloatRows * (i + 1), x & splat32(0xffff0000));
    }
  } else {
    for (int i = 0; i < depth; i += 16) {
      alignas(64) float block[256];
      const int64_t left = a.k - from - i;
      for (int r = 0; r < 16; ++r) {
        const uint8_t* p = group(row + r) + (from + i) * F::kBytes;
        alignas(64) uint8_t tail[16 * F::kBytes] = {};
        if (left < 16) {
          std::memcpy(tail, p, static_cast<size_t>(left * F::kBytes));
          p = tail;
        } else if (left >= 2 * kFloatDepth && i * F::kBytes % 64 == 0) {
          // Of the next panel: too short a piece for the hardware to foresee.
          __builtin_prefetch(p + kFloatDepth * F::kBytes);
        }
        fstore(block + 16 * r, F::vector(p));
      }
      transpose16(reinterpret_cast<const uint8_t*>(block), 64,
                  reinterpret_cast<uint8_t*>(panel + kFloatRows * i), 4 * kFloatRows);
    }
  }
}

// sums[column * stride + row] += panel * x for kFloatRows rows and C columns; x packed
// [depth][kFloatColumns].
template <int C>
void float_tile(const float* panel, const float* x, int depth, float* sums, ptrdiff_t stride) {
  constexpr int V = kFloatVectors;
  Floats<16> acc[C][V];
  unroll<C>([&](auto c) IQK_LAMBDA {
    unroll<V>([&](auto v) IQK_LAMBDA { acc[c][v] = fload<16>(sums + c * stride + 16 * v); });
  });
  for (int i = 0; i < depth; ++i) {
    Floats<16> w[V];
    unroll<V>([&](auto v) IQK_LAMBDA { w[v] = fload<16>(panel + kFloatRows * i + 16 * v); });
    unroll<C>([&](auto c) IQK_LAMBDA {
      const Floats<16> one = fsplat<16>(x[kFloatColumns * i + c]);
      unroll<V>([&](auto v) IQK_LAMBDA { acc[c][v] = fma(w[v], one, acc[c][v]); });
    });
  }
  unroll<C>([&](auto c) IQK_LAMBDA {
    unroll<V>([&](auto v) IQK_LAMBDA { fstore(sums + c * stride + 16 * v, acc[c][v]); });
  });
}

// Some rows with all columns; `out` has room for the columns of whole tiles and for a multiple of kFloatRows
// rows. `packed`: x as [column tile][k padded to 16][kFloatColumns], zero columns behind the last.
template <class F>
void float_panel(const FloatArgs& a, const float* packed) {
  const auto tile = [](int64_t columns) {
    return columns == 1 ? float_tile<1> : columns == 2 ? float_tile<2> : float_tile<kFloatColumns>;
  };
  alignas(64) float panel[kFloatRows * kFloatDepth];
  const int64_t k = (a.k + 15) / 16 * 16, tiles = (a.columns + kFloatColumns - 1) / kFloatColumns;
  std::memset(a.out, 0, static_cast<size_t>(tiles * kFloatColumns * a.out_stride) * sizeof(float));
  for (int64_t from = 0; from < k; from += kFloatDepth) {
    const int depth = static_cast<int>(k - from < kFloatDepth ? k - from : kFloatDepth);
    for (int64_t row = 0; row < a.rows; row += kFloatRows) {
      for (int v = 0; v < kFloatVectors; ++v)
        float_panel_lines<F>(a, row + 16 * v, from, depth, panel + 16 * v);
      for (int64_t t = 0; t < tiles; ++t)
        tile(a.columns - t * kFloatColumns)(panel, packed + (t * k + from) * kFloatColumns, depth,
                                            a.out + t * kFloatColumns * a.out_stride + row, a.out_stride);
    }
  }
}

}  // namespace IQK_NS

// Products of panels in bfloat16 by tiles of 16 x 16 sums: four of them at a time, of two tiles of weights
// with two of activations, so that each tile that is loaded serves two products. The sums of a step are
// float32; nothing is scaled behind it.
#pragma once

#include "iqk/formats/floats.h"
#include "iqk/kernels/unpack_panel.h"

namespace IQK_NS {

// Bfloat16 cuts off 16 bits. With this factor it loses as much as it gains, and numbers of few bits stay what
// they are.
constexpr float kCutOff = 1.0028f;

// Rounded to 15 bits: multiples up to 511 are exact, so that codes of value 0 stay 0.
IQK_INLINE Floats<16> short_scale(Floats<16> x) {
  const Floats<16> minus = fsplat<16>(-1.0f), y = x * fsplat<16>(513.0f);
  return fma(fma(x, minus, y), minus, y);
}

// The nearest bfloat16, and that of what is left.
IQK_INLINE void store_bfloats(Floats<16> x, uint8_t* to, uint8_t* low) {
  store_bfloat(to, x);
  store_bfloat(low, fma(load_bf16(to), fsplat<16>(-1.0f), x));
}

bool pack_tile_column(const BfloatArgs& a) {
  const int64_t units = (a.k + 255) / 256;
  // Infinite where bfloat16 is, by rounding, too.
  const Floats<16> limit = fsplat<16>(1.01f), zero = fsplat<16>(0.0f);
  Floats<16> seen = zero;
  for (int64_t u = 0; u < units; ++u) {
    alignas(64) float rest[256] = {};
    const float* x = a.x + 256 * u;
    if (a.k - 256 * u < 256) {
      std::memcpy(rest, x, static_cast<size_t>(a.k - 256 * u) * sizeof(float));
      x = rest;
    }
    alignas(64) uint8_t bytes[512], low[512];
    for (int i = 0; i < 16; ++i) {
      const Floats<16> y = fload<16>(x + 16 * i);
      seen = fma(y * limit, zero, seen);
      store_bfloats(y, bytes + 32 * i, low + 32 * i);
    }
    const auto put = [&](uint8_t* to, const uint8_t* from) {
      for (int line = 0; line < 64; ++line)
        std::memcpy(to + u * a.unit + line / 8 * kStepBytes + line % 8 * 8, from + 8 * a.order[line], 8);
    };
    put(a.to, bytes);
    if (a.low) put(a.low, low);
  }
  if (sum(seen) == 0) return true;
  for (int64_t u = 0; u < units; ++u)
    for (int s = 0; s < kTileSteps; ++s) {
      std::memset(a.to + u * a.unit + s * kStepBytes, 0, 64);
      if (a.low) std::memset(a.low + u * a.unit + s * kStepBytes, 0, 64);
    }
  return false;
}

void widen_panel(const WidenArgs& a) {
  const uint8_t* codes = a.codes;
  const float *scales = a.scales, *terms = a.terms;
  const int lines = 64 / a.groups;
  uint8_t* to = a.to;
  int line = 0;  // of its tile: of four weights, two lines there
  for (int g = 0; g < a.units * a.groups; ++g) {
    Floats<16> scale[kPanelVectors], base[kPanelVectors];
    unroll<kPanelVectors>([&](auto v) IQK_LAMBDA {
      scale[v] = short_scale(fload<16>(scales + 16 * v) * fsplat<16>(kCutOff));
      const Floats<16> bias = fsplat<16>(-kWidened - a.bias);
      base[v] =
          terms ? fma(scale[v], bias, fload<16>(terms + 16 * v) * fsplat<16>(kCutOff)) : scale[v] * bias;
    });
    for (int n = 0; n < lines; ++n, codes += 4 * kPanelRows)
      unroll<kPanelVectors>([&](auto v) IQK_LAMBDA {
        widen_codes(load(codes + 64 * v), scale[v], base[v], to + v * kStepBytes + (line + n) * 128);
      });
    line += lines;
    if (line == 8) {
      line = 0;
      to += kPanelVectors * kStepBytes;
    }
    scales += kPanelRows;
    if (terms) terms += kPanelRows;
  }
}

// 16 rows of 32 weights of a float format, in one or two parts.
template <class F, int Parts>
IQK_INLINE void widen_rows(const WidenFloatArgs& a, int64_t row, int64_t from, uint8_t* to, uint8_t* low) {
  static constexpr uint8_t kInOrder[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const int64_t left = a.k - from, last = (a.rows - 1) / F::kRows;
  const auto group = [&](int64_t r) {
    return a.data + (r / F::kRows < last ? r / F::kRows : last) * a.group_bytes;
  };
  if constexpr (F::kRows == 16) {  // tiles already
    const int64_t pairs = left < 0 ? 0 : left < 32 ? left / 2 : 16;
    if (pairs != 0) std::memcpy(to, group(row) + 32 * from, static_cast<size_t>(64 * pairs));
    std::memset(to + 64 * pairs, 0, static_cast<size_t>(64 * (16 - pairs)));
  } else {
    alignas(64) uint8_t numbers[16 * 64], rests[16 * 64];
    for (int r = 0; r < 16; ++r) {
      const uint8_t* p = group(row + r) + from * F::kBytes;
      alignas(64) uint8_t tail[32 * F::kBytes] = {};
      if (left < 32) {
        if (left > 0) std::memcpy(tail, p, static_cast<size_t>(left * F::kBytes));
        p = tail;
      } else if (left >= 2 * 256) {
        __builtin_prefetch(p + 256 * F::kBytes);  // of the next panel: too short a piece for the hardware
      }
      if constexpr (Parts == 1) {
        static_assert(F::kBytes == 2);
        store(numbers + 64 * r, load(p));
      } else {
        unroll<2>([&](auto half) IQK_LAMBDA {
          store_bfloats(F::vector(p + 16 * half * F::kBytes), numbers + 64 * r + 32 * half,
                        rests + 64 * r + 32 * half);
        });
      }
    }
    transpose16(numbers, 64, to, kInOrder, 64);
    if constexpr (Parts == 2) transpose16(rests, 64, low, kInOrder, 64);
  }
}
template <class F, int Parts>
void widen_floats(const WidenFloatArgs& a) {
  for (int s = 0; s < kTileSteps; ++s)
    for (int v = 0; v < kPanelVectors; ++v) {
      const int at = (s * kPanelVectors + v) * kStepBytes;
      widen_rows<F, Parts>(a, 16 * v, a.from + 32 * s, a.to + at, Parts == 2 ? a.low + at : nullptr);
    }
}

// Which tiles hold sums, activations and weights.
constexpr int kSumTiles = 0, kActivationTiles = 4, kWeightTiles = 6;

// C tiles of columns.
template <int C>
IQK_INLINE void multiply_columns(const TileArgs& a, const uint8_t* x, float* out) {
  const ptrdiff_t stride = a.out_stride * static_cast<ptrdiff_t>(sizeof(float));
  const auto each_sum = [&](auto f) IQK_LAMBDA {
    unroll<C>([&](auto c) IQK_LAMBDA {
      unroll<kPanelVectors>([&](auto v) IQK_LAMBDA {
        f(Constant<kSumTiles + 2 * decltype(c)::value + decltype(v)::value>{},
          out + c * kTileColumns * a.out_stride + 16 * v);
      });
    });
  };
  if (a.first)
    each_sum([&](auto tile, float*) IQK_LAMBDA { clear_tile<decltype(tile)::value>(); });
  else
    each_sum([&](auto tile, float* at) IQK_LAMBDA { load_tile<decltype(tile)::value>(at, stride); });
  const uint8_t* weights = a.weights;
  for (int u = 0; u < a.units; ++u, x += a.x_unit)
    for (int s = 0; s < kTileSteps; ++s, weights += kPanelVectors * kStepBytes) {
      unroll<kPanelVectors>([&](auto v) IQK_LAMBDA {
        load_tile<kWeightTiles + decltype(v)::value>(weights + v * kStepBytes, 64);
      });
      unroll<C>([&](auto c) IQK_LAMBDA {
        load_tile<kActivationTiles + decltype(c)::value>(x + (c * kTileSteps + s) * kStepBytes, 64);
        unroll<kPanelVectors>([&](auto v) IQK_LAMBDA {
          add_tile_products<kSumTiles + 2 * decltype(c)::value + decltype(v)::value,
                            kActivationTiles + decltype(c)::value, kWeightTiles + decltype(v)::value>();
        });
      });
    }
  each_sum([&](auto tile, float* at) IQK_LAMBDA { store_tile<decltype(tile)::value>(at, stride); });
}

void multiply_tiles(const TileArgs& a) {
  const uint8_t* x = a.x;
  float* out = a.out;
  int tile = 0;
  for (; tile + 2 <= a.column_tiles; tile += 2) {
    multiply_columns<2>(a, x, out);
    x += 2 * kTileSteps * kStepBytes;
    out += 2 * kTileColumns * a.out_stride;
  }
  if (tile < a.column_tiles) multiply_columns<1>(a, x, out);
}

// Operations done: two per multiply-add. What is in the tiles does not matter.
double tile_loop(int64_t iterations) {
  begin_tiles();
  for (int64_t i = 0; i < iterations; ++i)
    unroll<4>([&](auto n) IQK_LAMBDA {
      constexpr int kN = decltype(n)::value;
      add_tile_products<kSumTiles + kN, kActivationTiles + kN / 2, kWeightTiles + kN % 2>();
    });
  end_tiles();
  return 2 * 4 * 16.0 * 16 * 32 * static_cast<double>(iterations);
}

}  // namespace IQK_NS

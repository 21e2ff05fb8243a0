// Products of panels in bfloat16 by tiles of 16 x 16 sums: four of them at a time, of two tiles of weights
// with two of activations, so that each tile that is loaded serves two products. The sums of a step are
// float32; nothing is scaled behind it.
#pragma once

#include "iqk/formats/floats.h"
#include "iqk/kernels/arguments.h"
#include "iqk/kernels/transpose.h"

namespace IQK_NS {

// Bfloat16 cuts off 16 bits. With this factor it loses as much as it gains, and numbers of few bits stay what
// they are.
constexpr float kCutOff = 1.0028f;

// Rounded to 15 bits: multiples up to 511 are exact, so that codes of value 0 stay 0.
template <int N>
IQK_INLINE Floats<N> short_scale(Floats<N> x) {
  const Floats<N> minus = fsplat<N>(-1.0f), y = x * fsplat<N>(513.0f);
  return fma(fma(x, minus, y), minus, y);
}

// The nearest bfloat16, and that of what is left.
IQK_INLINE void store_bfloats(Floats<16> x, uint8_t* to, uint8_t* low) {
  store_bfloat(to, x);
  store_bfloat(low, fma(load_bf16(to), fsplat<16>(-1.0f), x));
}

bool pack_tile_column(const BfloatArgs& a) {
  const int64_t units = (a.k + 255) / 256;
  uint8_t pairs[128];  // of neighbours in a unit, by step and place there
  for (int i = 0; i < 128; ++i)
    pairs[i] = static_cast<uint8_t>(a.order ? 2 * a.order[i / 32 * 16 + i % 16] + i / 16 % 2 : i);
  // Infinite where bfloat16 is, by rounding, too.
  const Floats<16> limit = fsplat<16>(1.01f), zero = fsplat<16>(0.0f);
  Floats<16> seen = zero;
  const auto put = [&](uint8_t* to, const uint8_t* numbers) {
    for (int i = 0; i < 128; ++i) std::memcpy(to + 64 * i, numbers + 4 * pairs[i], 4);
  };
  alignas(64) uint8_t numbers[512], low[512];
  for (int64_t u = 0; u < units; ++u) {
    alignas(64) float rest[256];
    const float* x = a.x + 256 * u;
    if (a.k - 256 * u < 256) {
      std::memset(rest, 0, sizeof rest);
      std::memcpy(rest, x, static_cast<size_t>(a.k - 256 * u) * sizeof(float));
      x = rest;
    }
    for (int i = 0; i < 16; ++i) {
      const Floats<16> y = fload<16>(x + 16 * i);
      seen = fma(y * limit, zero, seen);
      if (a.low)
        store_bfloats(y, numbers + 32 * i, low + 32 * i);
      else
        store_bfloat(numbers + 32 * i, y);
    }
    put(a.to + u * a.unit, numbers);
    if (a.low) put(a.low + u * a.unit, low);
  }
  if (sum(seen) == 0) return true;
  std::memset(numbers, 0, sizeof numbers);
  for (int64_t u = 0; u < units; ++u) {
    put(a.to + u * a.unit, numbers);
    if (a.low) put(a.low + u * a.unit, numbers);
  }
  return false;
}

// Where row r of tile t has its numbers of a step.
IQK_INLINE uint8_t* row_of_step(uint8_t* panel, int step, int t, int r) {
  return panel + (step * kPanelTiles + t) * kStepBytes + 64 * r;
}

// Decoded row r of a tile, of S scales.
template <int S>
IQK_INLINE void widen_row(const RowSource& source, const RowBuffers& from, const Bytes (&groups)[4], int t,
                          int r, uint8_t* to) {
  const int at = S * r;
  const Floats<S> scale = short_scale(fload<S>(from.scales + at) * fsplat<S>(kCutOff));
  const Floats<S> offset = source.shift ? fload<S>(from.offsets + at) : fsplat<S>(-source.bias);
  Floats<S> base = scale * (offset + fsplat<S>(-kWidened));
  if (source.minima) base = fma(fload<S>(from.minima + at), fsplat<S>(kCutOff), base);
  unroll<4>([&](auto v) IQK_LAMBDA {
    widen_codes(load(from.codes + 256 * r + 64 * v), pick(scale, groups[v]), pick(base, groups[v]),
                row_of_step(to, 2 * v, t, r), row_of_step(to, 2 * v + 1, t, r));
  });
}
template <int S>
IQK_INLINE void widen_tile(const RowSource& source, const RowBuffers& from, int t, uint8_t* to) {
  alignas(64) uint32_t at[64];  // the scales of the dwords of codes
  for (int i = 0; i < 64; ++i) at[i] = source.order[i] / (64u / S);
  const Bytes groups[4] = {load(at), load(at + 16), load(at + 32), load(at + 48)};
  for (int r = 0; r < 16; ++r) widen_row<S>(source, from, groups, t, r, to);
}

void widen_rows(const WidenArgs& a) {
  const RowSource& source = *a.source;
  const int64_t last = (a.rows - 1) / source.rows;
  alignas(64) uint8_t codes[16 * 256];
  alignas(64) float numbers[3][16 * 16];
  const RowBuffers all{codes, numbers[0], numbers[1], numbers[2], nullptr, nullptr, 1};
  for (int t = 0; t < kPanelTiles; ++t) {
    for (int row = 0; row < 16; row += source.rows) {
      const int64_t group = (16 * t + row) / source.rows;
      source.decode(a.weights, group < last ? group : last, a.unit, 1, source.from(all, row));
    }
    source.scales == 8 ? widen_tile<8>(source, all, t, a.to) : widen_tile<16>(source, all, t, a.to);
  }
}

// A unit of a float format, in one or two parts.
template <class F, int Parts>
void widen_floats(const WidenFloatArgs& a) {
  const int64_t last = (a.rows - 1) / F::kRows;
  for (int t = 0; t < kPanelTiles; ++t)
    for (int row = 0; row < 16; row += F::kRows) {
      const int64_t group = (16 * t + row) / F::kRows;
      const uint8_t* const data = a.data + (group < last ? group : last) * a.group_bytes;
      for (int s = 0; s < kTileSteps; ++s) {
        const int64_t from = 256 * a.unit + 32 * s, left = a.k - from;
        constexpr int kBytes = F::kBytes * F::kRows;  // of a column
        const uint8_t* p = data + from * kBytes;
        alignas(64) uint8_t tail[32 * kBytes];
        if (left < 32) {
          std::memset(tail, 0, sizeof tail);
          if (left > 0) std::memcpy(tail, p, static_cast<size_t>(left * kBytes));
          p = tail;
        } else if (left >= 2 * 256) {
          __builtin_prefetch(p + 256 * kBytes);  // of the next panel: too short a piece for the hardware
        }
        if constexpr (F::kRows == 16) {  // pairs of all rows
          transpose16(p, 64, row_of_step(a.to, s, t, 0), 64);
        } else if constexpr (Parts == 1) {
          store(row_of_step(a.to, s, t, row), load(p));
        } else {
          unroll<2>([&](auto half) IQK_LAMBDA {
            store_bfloats(F::vector(p + 16 * half * kBytes), row_of_step(a.to, s, t, row) + 32 * half,
                          row_of_step(a.low, s, t, row) + 32 * half);
          });
        }
      }
    }
}

// Which tiles hold sums, of all weights with a tile of activations after the other, weights and activations.
constexpr int kSumTiles = 0, kWeightTiles = 4, kActivationTiles = 6;

// Two tiles of columns from tile `first` on, or one, of which the odd steps then have sums of their own: a
// product waits for the one before it that adds to the same sums.
template <int C>
IQK_INLINE void multiply_columns(const TileArgs& a, int first) {
  float* const sums = a.sums + first * kPanelTiles * 256;
  const auto each_sum = [&](auto f) IQK_LAMBDA {
    unroll<2 * kPanelTiles>(
        [&](auto n) IQK_LAMBDA { f(Constant<kSumTiles + decltype(n)::value>{}, sums + 256 * n); });
  };
  if (a.first)
    each_sum([&](auto tile, float*) IQK_LAMBDA { clear_tile<decltype(tile)::value>(); });
  else
    each_sum([&](auto tile, float* at) IQK_LAMBDA { load_tile<decltype(tile)::value>(at, 64); });
  const uint8_t* weights = a.weights;
  const uint8_t* x = a.x + first * kTileSteps * kStepBytes;
  constexpr int kSteps = 3 - C;
  for (int s = 0; s < kTileSteps; s += kSteps)
    unroll<kSteps>([&](auto step) IQK_LAMBDA {
      unroll<kPanelTiles>([&](auto t) IQK_LAMBDA {
        load_tile<kWeightTiles + decltype(t)::value>(weights + t * kStepBytes, 64);
      });
      unroll<C>([&](auto c) IQK_LAMBDA {
        load_tile<kActivationTiles + decltype(c)::value>(x + c * kTileSteps * kStepBytes, 64);
        unroll<kPanelTiles>([&](auto t) IQK_LAMBDA {
          constexpr int kColumn = C == 2 ? decltype(c)::value : decltype(step)::value;
          add_tile_products<kSumTiles + kPanelTiles * kColumn + decltype(t)::value,
                            kWeightTiles + decltype(t)::value, kActivationTiles + decltype(c)::value>();
        });
      });
      weights += kPanelTiles * kStepBytes;
      x += kStepBytes;
    });
  each_sum([&](auto tile, float* at) IQK_LAMBDA { store_tile<decltype(tile)::value>(at, 64); });
  if (!a.last) return;
  for (int n = 0; n < C * kPanelTiles; ++n) {
    float* const rows = sums + 256 * n;
    if constexpr (C == 1)
      for (int i = 0; i < 256; i += 16)
        fstore(rows + i, fload<16>(rows + i) + fload<16>(rows + kPanelTiles * 256 + i));
    float* const out = a.out + kTileColumns * (first + n / kPanelTiles) * a.out_stride + n % kPanelTiles * 16;
    transpose16(reinterpret_cast<const uint8_t*>(rows), 64, reinterpret_cast<uint8_t*>(out),
                a.out_stride * static_cast<ptrdiff_t>(sizeof(float)));
  }
}

void multiply_tiles(const TileArgs& a) {
  int tile = 0;
  for (; tile + 2 <= a.column_tiles; tile += 2) multiply_columns<2>(a, tile);
  if (tile < a.column_tiles) multiply_columns<1>(a, tile);
}

// Operations done: two per multiply-add. What is in the tiles does not matter.
double tile_loop(int64_t iterations) {
  begin_tiles();
  for (int64_t i = 0; i < iterations; ++i)
    unroll<4>([&](auto n) IQK_LAMBDA {
      constexpr int kN = decltype(n)::value;
      add_tile_products<kSumTiles + kN, kWeightTiles + kN % 2, kActivationTiles + kN / 2>();
    });
  end_tiles();
  return 2 * 4 * 16.0 * 16 * 32 * static_cast<double>(iterations);
}

}  // namespace IQK_NS

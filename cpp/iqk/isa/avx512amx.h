// Tiles of AMX with bfloat16, beside AVX-512 with VBMI and BF16. Definitions: generic_tiles.h.
//
// Assembly, because compilers take the numbers of tiles as literals only, and GCC 12 does not see that they
// read memory.
#pragma once

#include "iqk/isa/avx512vbmi.h"

namespace IQK_NS {

constexpr float kWidened = 256.0f;

// The bits of 256 with the code behind them are 256 + code; of what is made of that the upper halves are
// bfloat16.
IQK_INLINE void widen_codes(Bytes codes, Floats<16> scale, Floats<16> base, void* to, void* next) {
  constexpr int kAndOr = 0xea;  // vpternlog: (x & y) | z
  const __m512i field = _mm512_set1_epi32(0x7f8000), one = _mm512_set1_epi32(0x43800000);
  const auto number = [&](__m512i shifted) IQK_LAMBDA {
    const __m512i bits = _mm512_ternarylogic_epi32(shifted, field, one, kAndOr);
    return _mm512_castps_si512(_mm512_fmadd_ps(_mm512_castsi512_ps(bits), scale.v, base.v));
  };
  const auto pair = [](__m512i first, __m512i second) IQK_LAMBDA {
    return Bytes{_mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(first, 16), second)};
  };
  store(to, pair(number(_mm512_slli_epi32(codes.v, 15)), number(_mm512_slli_epi32(codes.v, 7))));
  store(next, pair(number(_mm512_srli_epi32(codes.v, 1)), number(_mm512_srli_epi32(codes.v, 9))));
}
template <int N>
IQK_INLINE Floats<16> pick(Floats<N> x, Bytes from) {
  return {_mm512_permutexvar_ps(from.v, widest(x))};
}
IQK_INLINE void store_bfloat(void* to, Floats<16> x) {
  __m256i y;
  asm("vcvtneps2bf16 %[x], %[y]" : [y] "=v"(y) : [x] "v"(x.v));
  _mm256_storeu_si256(static_cast<__m256i*>(to), y);
}

// ---- Tiles -----------------------------------------------------------------------------------------------

IQK_INLINE void begin_tiles() {
  static constexpr struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } kShape = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
  static_assert(sizeof kShape == 64);
  asm volatile("ldtilecfg %[shape]" ::[shape] "m"(kShape));
}
IQK_INLINE void end_tiles() { asm volatile("tilerelease"); }
template <int Tile>
IQK_INLINE void clear_tile() {
  asm volatile("tilezero %%tmm%c[tile]" ::[tile] "i"(Tile));
}
template <int Tile>
IQK_INLINE void load_tile(const void* p, ptrdiff_t stride) {
  asm volatile(
      "tileloadd (%[p],%[stride],1), %%tmm%c[tile]" ::[p] "r"(p), [stride] "r"(stride), [tile] "i"(Tile)
      : "memory");
}
template <int Tile>
IQK_INLINE void store_tile(void* p, ptrdiff_t stride) {
  asm volatile(
      "tilestored %%tmm%c[tile], (%[p],%[stride],1)" ::[p] "r"(p), [stride] "r"(stride), [tile] "i"(Tile)
      : "memory");
}
template <int Sums, int Weights, int X>
IQK_INLINE void add_tile_products() {
  asm volatile("tdpbf16ps %%tmm%c[x], %%tmm%c[weights], %%tmm%c[sums]" ::[weights] "i"(Weights), [x] "i"(X),
               [sums] "i"(Sums));
}
static constexpr char kTileInstruction[] = "tdpbf16ps";

}  // namespace IQK_NS

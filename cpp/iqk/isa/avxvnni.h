// AVX2 with AVX-VNNI: 256-bit vpdpbusd, which takes unsigned codes. Definitions: generic.h.
#pragma once

#include "iqk/isa/avx2_vectors.h"
#include "iqk/isa/peak_x86.h"

namespace IQK_NS {

constexpr int kSignedBias = 128;
constexpr bool kIntegerStarts = true;
constexpr int kRowsAtOnce = 1;
constexpr int kFusedColumns = 4;
constexpr bool kMerges = true;
constexpr bool kMultipliesParts = true;
constexpr bool kWholeFloats = false;
constexpr bool kLooksUpPairs = false;
constexpr int kLookupStreams = 1;
constexpr bool kPadColumn = false;
constexpr int kPanelVectors = 1;
constexpr int kPanelColumns = 6;
constexpr int kSignedColumns = 6;
constexpr int kFloatVectors = 1;
constexpr int kFloatColumns = 6;
constexpr int kPanelCodes[] = {0};
constexpr int kRowCodes[] = {0};

IQK_INLINE Bytes signed_codes(Bytes x) { return x ^ splat(128); }

// IQK_EVEX: the encoding of AVX-512 VNNI, to test this header on CPUs that have only that one.
IQK_INLINE __m256i dot4(__m256i sum, __m256i codes, __m256i activations) {
#ifdef IQK_EVEX
  return _mm256_dpbusd_epi32(sum, codes, activations);
#else
  return _mm256_dpbusd_avx_epi32(sum, codes, activations);
#endif
}

template <int Max>
struct Acc {
  __m256i a, b;
  IQK_MEMBER void start() { a = b = _mm256_setzero_si256(); }
  IQK_MEMBER void start(const uint8_t* first) {
    const Bytes x = load(first);
    a = x.a;
    b = x.b;
  }
  template <int N>
  IQK_MEMBER void add(Bytes codes, Bytes activations) {
    a = dot4(a, codes.a, activations.a);
    b = dot4(b, codes.b, activations.b);
  }
  IQK_MEMBER Ints finish() const { return {a, b}; }
};

template <int Max>
struct PanelAcc {
  using Line = Bytes;
  Acc<Max> acc;
  IQK_INLINE Line prepare(const uint8_t* line) { return load(line); }
  IQK_MEMBER void start(const uint8_t* first) { acc.a = acc.b = load_dword256(first); }
  IQK_INLINE __m256i four(const uint8_t* activations) { return load_dword256(activations); }
  template <int N>
  IQK_MEMBER void add(const Line& line, __m256i activations) {
    acc.template add<N>(line, {activations, activations});
  }
  IQK_MEMBER Ints finish() const { return acc.finish(); }
};

static constexpr char kInt8Instruction[] = "vpdpbusd ymm";
constexpr double kInt8PeakOperations = 12 * 64, kFloatPeakOperations = 12 * 16;
IQK_INLINE void int8_peak_step() {
#ifdef IQK_EVEX
  IQK_TWELVE_CHAINS("", "%{evex%} vpdpbusd %%ymm14, %%ymm15, %%ymm\\r");
#else
  IQK_TWELVE_CHAINS("", "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm\\r");
#endif
}
IQK_INLINE void float_peak_step() { IQK_FLOAT_CHAINS("ymm"); }

}  // namespace IQK_NS

// Products on AVX2: vpmaddubsw and vpmaddwd. Definitions: generic.h.
#pragma once

#include "iqk/isa/avx2_vectors.h"
#include "iqk/isa/peak_x86.h"

namespace IQK_NS {

constexpr int kSignedBias = 0;
constexpr bool kIntegerStarts = false;
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
constexpr int kSignedColumns = 4;
constexpr int kFloatVectors = 1;
constexpr int kFloatColumns = 6;
constexpr int kPanelCodes[] = {15, 31, 127, 0};
constexpr int kRowCodes[] = {31, 63, 127, 0};

IQK_INLINE Bytes signed_codes(Bytes x) { return x; }
IQK_INLINE __m256i add_pairs(__m256i words) { return _mm256_madd_epi16(words, _mm256_set1_epi16(1)); }

// vpmaddubsw saturates: a sum of two products is at most 254 Max, and so many of them fit 16 bits.
constexpr int sums_in_words(int max) { return 32767 / (254 * max); }

template <int Max>
struct Acc {
  static_assert(Max > 0 && sums_in_words(Max) >= 1, "codes too large for vpmaddubsw");
  static constexpr int kFit = sums_in_words(Max);
  __m256i wa, wb;  // 16-bit sums not yet widened
  __m256i a, b;    // 32-bit sums; adding to the zeros of start() costs nothing after inlining
  IQK_MEMBER void start() { a = b = _mm256_setzero_si256(); }
  IQK_MEMBER void widen() {
    a = _mm256_add_epi32(a, add_pairs(wa));
    b = _mm256_add_epi32(b, add_pairs(wb));
  }
  template <int N>
  IQK_MEMBER void add(Bytes codes, Bytes activations) {
    const __m256i xa = _mm256_maddubs_epi16(codes.a, activations.a),
                  xb = _mm256_maddubs_epi16(codes.b, activations.b);
    if constexpr (N % kFit == 0) {
      if constexpr (N > 0) widen();
      wa = xa;
      wb = xb;
    } else {
      wa = _mm256_add_epi16(wa, xa);
      wb = _mm256_add_epi16(wb, xb);
    }
  }
  IQK_MEMBER Ints finish() {
    widen();
    return {a, b};
  }
};

// Signed codes: |code| times the activation with the code's sign: 2 * 128 * 127 = 32512 fits.
template <>
struct Acc<0> {
  __m256i a, b;
  IQK_MEMBER void start() { a = b = _mm256_setzero_si256(); }
  template <int N>
  IQK_MEMBER void add(Bytes codes, Bytes activations) {
    const auto product = [](__m256i c, __m256i x) {
      return add_pairs(_mm256_maddubs_epi16(_mm256_abs_epi8(c), _mm256_sign_epi8(x, c)));
    };
    a = _mm256_add_epi32(a, product(codes.a, activations.a));
    b = _mm256_add_epi32(b, product(codes.b, activations.b));
  }
  IQK_MEMBER Ints finish() const { return {a, b}; }
};

// In the panel each column's step is one piece of assembler: GCC otherwise loads all broadcasts first and
// spills sums.
using FourBytes = const uint8_t[4];

template <int Max>
struct PanelAcc {
  using Line = Bytes;
  static constexpr int kFit = sums_in_words(Max);
  static constexpr bool kWords = kFit >= 4;  // else every product is widened at once
  Acc<Max> acc;
  const uint8_t* start_at;  // the 16-bit sums leave no register for the first values
  IQK_INLINE Line prepare(const uint8_t* line) { return load(line); }
  IQK_MEMBER void start(const uint8_t* first) {
    if constexpr (kWords) {
      acc.start();
      start_at = first;
    } else {
      acc.a = acc.b = load_dword256(first);
    }
  }
  IQK_INLINE const uint8_t* four(const uint8_t* activations) { return activations; }
  template <int N>
  IQK_MEMBER void add(const Line& line, const uint8_t* activations) {
    FourBytes& four = *reinterpret_cast<FourBytes*>(activations);
    __m256i x, t;
    if constexpr (!kWords) {
      const __m256i one = _mm256_set1_epi16(1);
      asm("vpbroadcastd %[four], %[x]\n\t"
          "vpmaddubsw %[x], %[la], %[x]\n\t"
          "vpmaddwd %[one], %[x], %[x]\n\t"
          "vpaddd %[x], %[a], %[a]\n\t"
          "vpbroadcastd %[four], %[x]\n\t"
          "vpmaddubsw %[x], %[lb], %[x]\n\t"
          "vpmaddwd %[one], %[x], %[x]\n\t"
          "vpaddd %[x], %[b], %[b]"
          : [a] "+x"(acc.a), [b] "+x"(acc.b), [x] "=&x"(x)
          : [la] "x"(line.a), [lb] "x"(line.b), [one] "x"(one), [four] "m"(four));
    } else if constexpr (N % kFit == 0) {
      if constexpr (N > 0) acc.widen();
      asm("vpbroadcastd %[four], %[b]\n\t"
          "vpmaddubsw %[b], %[la], %[a]\n\t"
          "vpmaddubsw %[b], %[lb], %[b]"
          : [a] "=&x"(acc.wa), [b] "=&x"(acc.wb)
          : [la] "x"(line.a), [lb] "x"(line.b), [four] "m"(four));
    } else {
      asm("vpbroadcastd %[four], %[x]\n\t"
          "vpmaddubsw %[x], %[la], %[t]\n\t"
          "vpmaddubsw %[x], %[lb], %[x]\n\t"
          "vpaddw %[t], %[a], %[a]\n\t"
          "vpaddw %[x], %[b], %[b]"
          : [a] "+x"(acc.wa), [b] "+x"(acc.wb), [x] "=&x"(x), [t] "=&x"(t)
          : [la] "x"(line.a), [lb] "x"(line.b), [four] "m"(four));
    }
  }
  IQK_MEMBER Ints finish() {
    if constexpr (!kWords) return {acc.a, acc.b};
    const Ints sums = acc.finish();
    const __m256i first = load_dword256(start_at);
    return {_mm256_add_epi32(sums.a, first), _mm256_add_epi32(sums.b, first)};
  }
};

// Signed codes: the activations take their signs.
template <>
struct PanelAcc<0> {
  struct Line {
    Bytes magnitude, code;
  };
  __m256i a, b;
  IQK_INLINE Line prepare(const uint8_t* line) {
    const Bytes x = load(line);
    return {abs8(x), x};
  }
  IQK_MEMBER void start(const uint8_t* first) { a = b = load_dword256(first); }
  IQK_INLINE const uint8_t* four(const uint8_t* activations) { return activations; }
  template <int N>
  IQK_MEMBER void add(const Line& line, const uint8_t* activations) {
    FourBytes& four = *reinterpret_cast<FourBytes*>(activations);
    const __m256i one = _mm256_set1_epi16(1);
    __m256i x, t;
    asm("vpbroadcastd %[four], %[x]\n\t"
        "vpsignb %[ca], %[x], %[t]\n\t"
        "vpsignb %[cb], %[x], %[x]\n\t"
        "vpmaddubsw %[t], %[ma], %[t]\n\t"
        "vpmaddubsw %[x], %[mb], %[x]\n\t"
        "vpmaddwd %[one], %[t], %[t]\n\t"
        "vpmaddwd %[one], %[x], %[x]\n\t"
        "vpaddd %[t], %[a], %[a]\n\t"
        "vpaddd %[x], %[b], %[b]"
        : [a] "+x"(a), [b] "+x"(b), [x] "=&x"(x), [t] "=&x"(t)
        : [ca] "x"(line.code.a), [cb] "x"(line.code.b), [ma] "x"(line.magnitude.a),
          [mb] "x"(line.magnitude.b), [one] "x"(one), [four] "m"(four));
  }
  IQK_MEMBER Ints finish() const { return {a, b}; }
};
static constexpr char kInt8Instruction[] = "vpmaddubsw + vpmaddwd + vpaddd ymm";
constexpr double kInt8PeakOperations = 12 * 64, kFloatPeakOperations = 12 * 16;
IQK_INLINE void int8_peak_step() {
  IQK_TWELVE_CHAINS("",
                    "vpmaddubsw %%ymm14, %%ymm15, %%ymm12\n"
                    "vpmaddwd %%ymm13, %%ymm12, %%ymm12\n"
                    "vpaddd %%ymm12, %%ymm\\r, %%ymm\\r");
}
IQK_INLINE void float_peak_step() { IQK_FLOAT_CHAINS("ymm"); }

}  // namespace IQK_NS

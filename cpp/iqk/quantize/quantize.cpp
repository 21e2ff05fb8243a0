// quantize() of api.h: checks, then rows in parallel through the encoder of the type.

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "iqk/api.h"
#include "iqk/base/half.h"
#include "iqk/base/pool.h"
#include "iqk/quantize/affine_blocks.h"
#include "iqk/quantize/affine_kquants.h"
#include "iqk/quantize/floats.h"
#include "iqk/quantize/grid_types.h"
#include "iqk/quantize/iq4_kss.h"
#include "iqk/quantize/iqk_types.h"
#include "iqk/quantize/mxfp4.h"
#include "iqk/quantize/nvfp4.h"
#include "iqk/quantize/pair_types.h"
#include "iqk/quantize/q8.h"
#include "iqk/quantize/scaled_kquants.h"
#include "iqk/quantize/signed_blocks.h"
#include "iqk/quantize/ternary.h"
#include "iqk/quantize/trellis_types.h"

namespace iqk {
namespace {

using encode::RowEncoder;

enum TypeId {
#define IQK_FORMAT(name, id, ...) name##_id = id,
#include "iqk/formats.inc"
};

constexpr uint32_t kInfinity = 0x7f800000;

struct Encoder {
  int type;
  RowEncoder encode;
  uint32_t refused = kInfinity;  // magnitudes from here on, as bits of a float, have no place in the type
  RowEncoder by_rule = nullptr;  // without importances, where all programs share a rule that is not `encode`
};

// In the order of the table of formats.
constexpr Encoder kEncoders[] = {
    {F32_id, encode::encode_f32},
    {F16_id, encode::encode_f16, 0x477ff000},    // 65520
    {BF16_id, encode::encode_bf16, 0x7f7f8000},  // half a step above the largest
    {Q4_0_id, encode::encode_q4_0},
    {Q4_1_id, encode::encode_affine<16>},
    {Q5_0_id, encode::encode_q5_0},
    {Q5_1_id, encode::encode_affine<32>},
    {Q6_0_id, encode::encode_q6_0},
    {Q8_0_id, encode::encode_q8_0},
    {Q2_K_id, encode::encode_affine_super_blocks<encode::Q2_K>},
    {Q3_K_id, encode::encode_super_blocks<encode::Q3_K>},
    {Q4_K_id, encode::encode_affine_super_blocks<encode::Q4_K>},
    {Q5_K_id, encode::encode_affine_super_blocks<encode::Q5_K>},
    {Q6_K_id, encode::encode_super_blocks<encode::Q6_K>},
    {IQ2_XXS_id, encode::encode_vector_blocks<encode::IQ2_XXS>},
    {IQ2_XS_id, encode::encode_vector_blocks<encode::IQ2_XS>},
    {IQ3_XXS_id, encode::encode_vector_blocks<encode::IQ3_XXS>},
    {IQ1_S_id, encode::encode_vector_blocks<encode::IQ1_S>},
    {IQ4_NL_id, encode::encode_iq4_nl},
    {MXFP4_id, encode::encode_mxfp4<true>, kInfinity, encode::encode_mxfp4<false>},
    {NVFP4_id, encode::encode_nvfp4},
    {Q1_0_G128_id, encode::encode_q1_0_g128},
    {IQ3_S_id, encode::encode_vector_blocks<encode::IQ3_S>},
    {IQ2_S_id, encode::encode_vector_blocks<encode::IQ2_S>},
    {IQ4_XS_id, encode::encode_super_blocks<encode::IQ4_XS>},
    {IQ1_M_id, encode::encode_vector_blocks<encode::IQ1_M>},
    {TQ1_0_id, encode::encode_tq1_0},
    {TQ2_0_id, encode::encode_tq2_0},
    {IQ1_BN_id, encode::encode_iq1_bn},
    {IQ2_BN_id, encode::encode_iq2_bn},
    {IQ2_K_id, encode::encode_super_blocks<encode::IQ2_K>},
    {IQ3_K_id, encode::encode_super_blocks<encode::IQ3_K>},
    {IQ4_K_id, encode::encode_super_blocks<encode::IQ4_K>},
    {IQ5_K_id, encode::encode_super_blocks<encode::IQ5_K>},
    {IQ6_K_id, encode::encode_super_blocks<encode::IQ6_K>},
    {IQ4_KS_id, encode::encode_scaled_row<encode::IQ4_KS>},
    {IQ2_KS_id, encode::encode_scaled_row<encode::IQ2_KS>},
    {IQ4_KSS_id, encode::encode_scaled_row<encode::IQ4_KSS>},
    {Q8_KV_id, encode::encode_q8_kv},
    {IQ5_KS_id, encode::encode_scaled_row<encode::IQ5_KS>},
    {IQ2_KT_id, encode::encode_vector_row<encode::IQ2_KT>},
    {IQ3_KT_id, encode::encode_vector_row<encode::IQ3_KT>},
    {IQ4_KT_id, encode::encode_vector_row<encode::IQ4_KT>},
    {IQ3_KS_id, encode::encode_scaled_row<encode::IQ3_KS>},
    {IQ2_KL_id, encode::encode_vector_row<encode::IQ2_KL>},
    {IQ1_KT_id, encode::encode_vector_row<encode::IQ1_KT>},
};

const Encoder* find_encoder(const Type& type) {
  for (const Encoder& encoder : kEncoders)
    if (encoder.type == type.id) return &encoder;
  return nullptr;
}

[[noreturn]] void refuse_type(const Type& type) {
  std::string able;
  for (const Encoder& encoder : kEncoders)
    able += (able.empty() ? "" : ", ") + std::string(find_type(encoder.type)->name);
  throw BadType(std::string("there is no quantizer for ") + type.name + "; there is for " + able);
}

std::string number(float x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(x));
  return text;
}

bool is_refused(float x, uint32_t refused) { return (float_bits(x) & 0x7fffffff) >= refused; }

// Whether a value among `count` is refused. The sum carries into the top bit where one is.
bool any_refused(const float* x, int64_t count, uint32_t refused) {
  uint32_t carry = 0;
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    uint32_t part[64];
    std::memcpy(part, x + i, sizeof part);
    for (uint32_t& bits : part) carry |= (bits & 0x7fffffff) + (0x80000000 - refused);
  }
  for (; i < count; ++i) carry |= (float_bits(x[i]) & 0x7fffffff) + (0x80000000 - refused);
  return carry >> 31 != 0;
}

// Importances relative to the largest: what is too small to be told from zero becomes zero. Ones where none
// are given.
std::vector<float> relative_importance(const float* imatrix, int64_t k) {
  std::vector<float> relative(static_cast<size_t>(k), 1.0f);
  if (imatrix == nullptr) return relative;
  float largest = 0;
  for (int64_t c = 0; c < k; ++c) {
    if (!(imatrix[c] >= 0) || is_refused(imatrix[c], kInfinity))
      throw BadValue("imatrix has " + number(imatrix[c]) + " for column " + std::to_string(c) +
                     ": importances must be finite and not negative");
    largest = imatrix[c] > largest ? imatrix[c] : largest;
  }
  if (largest == 0) return relative;
  const float unit = encode::power_below(largest) * 2;
  for (int64_t c = 0; c < k; ++c) {
    const float importance = imatrix[c] / unit;
    relative[static_cast<size_t>(c)] = importance < 0x1p-60f ? 0 : importance;
  }
  return relative;
}

// Rows at a time for one thread: enough work to be worth handing out, few enough to share it well.
int64_t rows_per_tile(int64_t k) { return k >= 8192 ? 1 : 8192 / (k < 1 ? 1 : k); }

template <class F>
void for_row_tiles(int64_t rows, int64_t k, int threads, F&& f) {
  const int64_t step = rows_per_tile(k);
  parallel_for(threads, (rows + step - 1) / step, [&](int64_t tile, int) {
    const int64_t first = tile * step;
    f(first, rows < first + step ? rows : first + step);
  });
}

void check_values(const Type& type, const float* a, int64_t rows, int64_t k, uint32_t refused, int threads) {
  std::atomic<int64_t> first_bad{rows * k};
  for_row_tiles(rows, k, threads, [&](int64_t first, int64_t last) {
    if (first * k > first_bad.load(std::memory_order_relaxed)) return;
    if (!any_refused(a + first * k, (last - first) * k, refused)) return;
    int64_t i = first * k;
    while (!is_refused(a[i], refused)) ++i;
    int64_t known = first_bad.load(std::memory_order_relaxed);
    while (i < known && !first_bad.compare_exchange_weak(known, i, std::memory_order_relaxed)) continue;
  });
  const int64_t i = first_bad.load(std::memory_order_relaxed);
  if (i == rows * k) return;
  throw BadValue("row " + std::to_string(i / k) + ", column " + std::to_string(i % k) + " is " +
                 number(a[i]) + ": " +
                 (is_refused(a[i], kInfinity) ? "only finite values can be quantized"
                                              : std::string("too large for ") + type.name));
}

}  // namespace

bool can_quantize(const Type& type) { return find_encoder(type) != nullptr; }

void quantize(const Type& type, const float* a, int64_t rows, int64_t k, const float* imatrix, uint8_t* out,
              int threads) {
  const Encoder* encoder = find_encoder(type);
  if (encoder == nullptr) refuse_type(type);
  matrix_bytes(type, rows, k);  // refuses impossible shapes
  const int64_t bytes = row_bytes(type, k);
  const std::vector<float> importance = relative_importance(imatrix, k);
  check_values(type, a, rows, k, encoder->refused, threads);
  const RowEncoder encode_row = imatrix == nullptr && encoder->by_rule ? encoder->by_rule : encoder->encode;
  std::atomic<bool> out_of_memory{false};  // some encoders need scratch memory, and tiles must not throw
  for_row_tiles(rows, k, threads, [&](int64_t first, int64_t last) {
    try {
      for (int64_t r = first; r < last; ++r) encode_row(a + r * k, importance.data(), k, out + r * bytes);
    } catch (const std::bad_alloc&) {
      out_of_memory.store(true, std::memory_order_relaxed);
    }
  });
  if (out_of_memory.load(std::memory_order_relaxed)) throw std::bad_alloc();
}

}  // namespace iqk

// Compares the tiles of an instruction set with their definition, cpp/iqk/isa/generic_tiles.h, and products
// of panels in bfloat16 with sums in double. Build with
//   -DIQK_VOCABULARY='"iqk/isa/avx512amx.h"' -DIQK_NS=iqk::avx512amx
// or with generic_tiles.h itself, which tests the loops on any machine. Prints "N passed, M failed"; returns
// 0 if none did, 77 where the CPU lacks the set.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#pragma push_macro("IQK_NS")
#undef IQK_NS
#define IQK_NS iqk::generic
#include "iqk/isa/generic_tiles.h"
#pragma pop_macro("IQK_NS")
#include IQK_VOCABULARY
#include "iqk/base/cpu.h"
#include "iqk/kernels/tiles.h"

namespace {

namespace gen = iqk::generic;
namespace isa = IQK_NS;
using iqk::kStepBytes;
using iqk::kTileColumns;
using iqk::kTileSteps;

int passed = 0, failed = 0;
void check(bool ok, const char* what) {
  ok ? ++passed : ++failed;
  if (!ok) std::printf("FAILED %s\n", what);
}

std::mt19937_64 random_bits(1);
int random_int(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_bits); }
float random_float() { return std::normal_distribution<float>()(random_bits); }

// Memory whose end a sanitizer knows, at an odd address.
template <class T>
struct Buffer {
  explicit Buffer(size_t count) : bytes(count * sizeof(T) + 1) {}
  uint8_t* data() { return bytes.data() + 1; }
  std::vector<uint8_t> bytes;
};

float bfloat_at(const uint8_t* p, size_t i) {
  uint16_t x;
  std::memcpy(&x, p + 2 * i, 2);
  return gen::from_bfloat(x);
}

void test_operations(int round) {
  uint8_t codes[64];
  for (int i = 0; i < 64; ++i)
    codes[i] = static_cast<uint8_t>(round == 0 ? 0 : round == 1 ? 255 : random_bits());
  float scale[16], base[16];
  for (int i = 0; i < 16; ++i) {
    scale[i] = std::ldexp(random_float(), random_int(-30, 30));
    base[i] = std::ldexp(random_float(), random_int(-30, 30));
  }
  uint8_t mine[128], right[128];
  isa::widen_codes(isa::load(codes), isa::fload<16>(scale), isa::fload<16>(base), mine);
  gen::widen_codes(gen::load(codes), gen::fload<16>(scale), gen::fload<16>(base), right);
  check(std::memcmp(mine, right, sizeof mine) == 0, "widen_codes");
  isa::store_bfloat(mine, isa::fload<16>(base));
  gen::store_bfloat(right, gen::fload<16>(base));
  check(std::memcmp(mine, right, 32) == 0, "store_bfloat");
}

// Ties go to the even number.
void test_rounding() {
  const float ties[16] = {0x1.01p0f, 0x1.03p0f,   -0x1.01p0f,  -0x1.03p0f, 0x1.010002p0f, 0x1.02fffep0f,
                          0x1.ffp0f, 0.0f,        0x1.feffp9f, 1.0f,       -1.0f,         0x1p-120f,
                          0x1p120f,  -0x1.ffp40f, 3.0f,        255.0f};
  const float nearest[16] = {0x1p0f,    0x1.04p0f, -0x1p0f, -0x1.04p0f, 0x1.02p0f, 0x1.02p0f, 0x1p1f, 0.0f,
                             0x1.fep9f, 1.0f,      -1.0f,   0x1p-120f,  0x1p120f,  -0x1p41f,  3.0f,   255.0f};
  uint8_t out[32];
  isa::store_bfloat(out, isa::fload<16>(ties));
  for (size_t i = 0; i < 16; ++i) check(bfloat_at(out, i) == nearest[i], "rounding to bfloat16");
}

struct Case {
  int units, groups, columns, k;
  bool terms;
  float bias;
};

// A panel of random codes with columns of any length.
void test_product(const Case& test) {
  constexpr int kRows = isa::kPanelRows;
  const int lines = 64 * test.units, per_group = 64 / test.groups, groups = test.units * test.groups;
  std::vector<uint8_t> codes(static_cast<size_t>(lines * 4 * kRows));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random_bits());
  std::vector<float> scales(static_cast<size_t>(groups * kRows)), terms(scales.size());
  for (float& s : scales) s = random_float();
  for (float& t : terms) t = 64 * random_float();

  uint8_t order[64];
  for (int i = 0; i < 64; ++i) order[i] = static_cast<uint8_t>(i);
  std::shuffle(order, order + 64, random_bits);

  const int tiles = (test.columns + kTileColumns - 1) / kTileColumns;
  const ptrdiff_t unit = tiles * kTileSteps * kStepBytes;
  std::vector<float> x(static_cast<size_t>(test.columns * test.k));
  for (float& value : x) value = random_float();
  Buffer<uint8_t> packed(static_cast<size_t>(test.units * unit));
  for (int c = 0; c < test.columns; ++c)
    check(isa::pack_tile_column(
              {x.data() + c * test.k, test.k, order,
               packed.data() + c / kTileColumns * kTileSteps * kStepBytes + c % kTileColumns * 64, nullptr,
               unit}),
          "a finite column");

  Buffer<uint8_t> wide(static_cast<size_t>(test.units * kTileSteps * isa::kPanelVectors * kStepBytes));
  isa::widen_panel({codes.data(), scales.data(), test.terms ? terms.data() : nullptr, test.groups, test.bias,
                    test.units, wide.data()});

  // Twice: over what was there, and added to it.
  const ptrdiff_t stride = kRows + 3;
  std::vector<float> sums(static_cast<size_t>(tiles * kTileColumns * stride), NAN);
  isa::begin_tiles();
  for (const bool first : {true, false})
    isa::multiply_tiles({wide.data(), test.units, packed.data(), unit, tiles, sums.data(), stride, first});
  isa::end_tiles();

  bool right = true;
  for (int c = 0; c < test.columns; ++c)
    for (int r = 0; r < kRows; ++r) {
      double sum = 0, magnitude = 0;
      for (int i = 0; i < test.k; ++i) {
        const int u = i / 256, line = static_cast<int>(std::find(order, order + 64, i % 256 / 4) - order);
        const size_t g = static_cast<size_t>((u * test.groups + line / per_group) * kRows + r);
        const double q = codes[static_cast<size_t>(((u * 64 + line) * kRows + r) * 4 + i % 4)];
        const double w = static_cast<double>(scales[g]) * (q - static_cast<double>(test.bias)) +
                         (test.terms ? static_cast<double>(terms[g]) : 0);
        const double product = w * static_cast<double>(x[static_cast<size_t>(c * test.k + i)]);
        sum += product;
        magnitude += std::fabs(product);
      }
      const double y = static_cast<double>(sums[static_cast<size_t>(c * stride + r)]);
      right &= std::fabs(y - 2 * sum) <= 2 * (0.8e-2 * magnitude + 1e-3);
    }
  check(right, "a product");
  for (int c = 0; c < tiles * kTileColumns; ++c)
    for (int r = kRows; r < stride; ++r)
      check(std::isnan(sums[static_cast<size_t>(c * stride + r)]), "nothing is written beside the tiles");
}

// A panel of numbers, of which some rows exist, times columns in two parts: nearly float32.
template <class F, int parts>
void test_floats(int rows, int k) {
  constexpr int kRows = isa::kPanelRows, kColumns = 19;
  uint8_t order[64];
  for (int i = 0; i < 64; ++i) order[i] = static_cast<uint8_t>(i);
  rows = std::min(rows, kRows) / F::kRows * F::kRows;
  const ptrdiff_t row_bytes = k * F::kBytes * F::kRows;
  Buffer<uint8_t> bytes(static_cast<size_t>(rows / F::kRows * row_bytes));
  std::vector<float> w(static_cast<size_t>(rows * k)), x(static_cast<size_t>(kColumns * k));
  for (float& value : x) value = random_float();
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < k; ++i) {
      // Eleven bits are a half float, of which bfloat16 has eight.
      const float value = static_cast<float>(random_int(-2047, 2047)) / 2048;
      const uint16_t bits = parts == 2 ? iqk::fp32_to_fp16(value) : gen::to_bfloat(value);
      w[static_cast<size_t>(r * k + i)] = parts == 2 ? value : gen::from_bfloat(bits);
      const ptrdiff_t at = F::kRows == 16 ? 64 * (i / 2) + 4 * (r % 16) + i % 2 * 2 : 2 * i;
      std::memcpy(bytes.data() + r / F::kRows * row_bytes + at, &bits, 2);
    }
  const int units = (k + 255) / 256, tiles = 2;
  const ptrdiff_t unit = 2 * tiles * kTileSteps * kStepBytes;
  Buffer<uint8_t> packed(static_cast<size_t>(units * unit));
  for (int c = 0; c < kColumns; ++c) {
    uint8_t* const to = packed.data() + c / kTileColumns * kTileSteps * kStepBytes + c % kTileColumns * 64;
    isa::pack_tile_column({x.data() + c * k, k, order, to, to + unit / 2, unit});
  }
  const size_t panel = static_cast<size_t>(kTileSteps * isa::kPanelVectors * kStepBytes);
  Buffer<uint8_t> high(panel), low(panel);
  std::vector<float> sums(static_cast<size_t>(tiles * kTileColumns * kRows));
  isa::begin_tiles();
  for (int u = 0; u < units; ++u) {
    isa::widen_floats<F, parts>(
        {bytes.data(), row_bytes, rows, k, 256 * u, high.data(), parts == 2 ? low.data() : nullptr});
    uint8_t* const columns = packed.data() + u * unit;
    isa::multiply_tiles({high.data(), 1, columns, unit, tiles, sums.data(), kRows, u == 0});
    isa::multiply_tiles({high.data(), 1, columns + unit / 2, unit, tiles, sums.data(), kRows, false});
    if (parts == 2) isa::multiply_tiles({low.data(), 1, columns, unit, tiles, sums.data(), kRows, false});
  }
  isa::end_tiles();
  bool right = true;
  for (int c = 0; c < kColumns; ++c)
    for (int r = 0; r < rows; ++r) {
      double sum = 0, magnitude = 0;
      for (int i = 0; i < k; ++i) {
        const double product = static_cast<double>(w[static_cast<size_t>(r * k + i)]) *
                               static_cast<double>(x[static_cast<size_t>(c * k + i)]);
        sum += product;
        magnitude += std::fabs(product);
      }
      right &=
          std::fabs(static_cast<double>(sums[static_cast<size_t>(c * kRows + r)]) - sum) <= 2e-5 * magnitude;
    }
  check(right, "a product of floats");
}

// Codes of value 0 become 0, and an exact power of two stays one.
void test_exact_values() {
  constexpr int kRows = isa::kPanelRows;
  std::vector<uint8_t> codes(static_cast<size_t>(64 * 4 * kRows), 128);
  std::vector<float> scales(static_cast<size_t>(8 * kRows));
  for (float& s : scales) s = random_float();
  Buffer<uint8_t> wide(static_cast<size_t>(kTileSteps * isa::kPanelVectors * kStepBytes));
  const size_t count = static_cast<size_t>(kTileSteps * isa::kPanelVectors * kStepBytes / 2);
  isa::widen_panel({codes.data(), scales.data(), nullptr, 8, 128, 1, wide.data()});
  bool zero = true, same = true;
  for (size_t i = 0; i < count; ++i) zero &= bfloat_at(wide.data(), i) == 0;
  check(zero, "codes of value 0");
  std::fill(codes.begin(), codes.end(), static_cast<uint8_t>(136));
  std::fill(scales.begin(), scales.end(), -0.25f);
  isa::widen_panel({codes.data(), scales.data(), nullptr, 8, 128, 1, wide.data()});
  for (size_t i = 0; i < count; ++i) same &= bfloat_at(wide.data(), i) == -2;
  check(same, "a weight that bfloat16 holds");
}

// A column with what bfloat16 cannot hold becomes zero.
void test_not_finite() {
  uint8_t order[64];
  for (int i = 0; i < 64; ++i) order[i] = static_cast<uint8_t>(i);
  for (const float bad : {NAN, INFINITY, -INFINITY, 0x1.ffp127f}) {
    std::vector<float> x(300, 1.0f);
    x[static_cast<size_t>(random_int(0, 299))] = bad;
    Buffer<uint8_t> to(2 * kTileSteps * kStepBytes);
    std::fill(to.bytes.begin(), to.bytes.end(), static_cast<uint8_t>(77));
    check(!isa::pack_tile_column({x.data(), 300, order, to.data(), nullptr, kTileSteps * kStepBytes}),
          "not a finite column");
    bool zero = true, others = true;
    for (size_t i = 0; i < 2 * kTileSteps * kStepBytes; ++i)
      (i % kStepBytes < 64 ? zero : others) &= to.data()[i] == (i % kStepBytes < 64 ? 0 : 77);
    check(zero && others, "zeros in its place");
  }
}

#define IQK_NAME_OF(space) #space
#define IQK_NAME(space) IQK_NAME_OF(space)

bool usable() {
  const iqk::CpuFeatures& cpu = iqk::cpu_features();
  static_cast<void>(cpu);
#define IQK_ISA(name, space, condition)
#define IQK_TILED_ISA(name, space, condition) \
  if (std::strcmp(IQK_NAME(IQK_NS), "iqk::" #space) == 0) return condition;
#include "iqk/isas.inc"
  return true;
}

}  // namespace

int main() {
  if (!usable()) {
    std::printf("this CPU lacks the instruction set\n0 passed, 0 failed, 1 skipped\n");
    return 77;
  }
  for (int round = 0; round < 200; ++round) test_operations(round);
  test_rounding();
  for (const Case& test :
       {Case{1, 8, 1, 256, false, 128}, Case{1, 16, 16, 32, true, 0}, Case{2, 8, 17, 512, true, 8},
        Case{2, 16, 33, 300, false, 3}, Case{1, 8, 32, 255, false, 0}, Case{2, 8, 49, 257, true, 128},
        Case{1, 16, 100, 256, true, 16}})
    test_product(test);
  for (const int rows : {1, 16, 17, 32})
    for (const int k : {2, 34, 256, 290, 511 / 2 * 2}) {
      test_floats<isa::F16, 2>(rows, k + 1);
      test_floats<isa::BF16, 1>(rows, k + 1);
      if (rows >= 16) test_floats<isa::BF16_R16, 1>(rows, k);
    }
  test_exact_values();
  test_not_finite();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

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
#include "iqk/kernels/tiles.h"
#include "usable.h"

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
  isa::widen_codes(isa::load(codes), isa::fload<16>(scale), isa::fload<16>(base), mine, mine + 64);
  gen::widen_codes(gen::load(codes), gen::fload<16>(scale), gen::fload<16>(base), right, right + 64);
  check(std::memcmp(mine, right, sizeof mine) == 0, "widen_codes");
  isa::store_bfloat(mine, isa::fload<16>(base));
  gen::store_bfloat(right, gen::fload<16>(base));
  check(std::memcmp(mine, right, 32) == 0, "store_bfloat");
  uint32_t from[16];
  for (uint32_t& i : from) i = static_cast<uint32_t>(random_int(0, 7));
  float picked[2][16], expected[16];
  isa::fstore(picked[0], isa::pick(isa::fload<8>(base), isa::load(from)));
  isa::fstore(picked[1], isa::pick(isa::fload<16>(base), isa::load(from)));
  gen::fstore(expected, gen::pick(gen::fload<16>(base), gen::load(from)));
  for (const auto& one : picked) check(std::memcmp(one, expected, sizeof one) == 0, "pick");
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

// Rows of a made-up format: what a RowSource decodes is what stands here.
struct Decoded {
  int scales, rows;  // per unit; of the matrix
  bool shift, minima;
  float bias;
  std::vector<uint8_t> codes;  // [row][unit][256]
  std::vector<float> scale, offset, minimum;
};
Decoded decoded;
constexpr int kUnits = 3;

void decode(const iqk::GroupWalk&, int64_t group, int64_t unit, int units, const iqk::RowBuffers& to) {
  for (int n = 0; n < units; ++n) {
    const size_t at = static_cast<size_t>(group * kUnits + unit + n), s = static_cast<size_t>(decoded.scales);
    std::memcpy(to.codes + 256 * n, decoded.codes.data() + 256 * at, 256);
    std::memcpy(to.scales + n * decoded.scales, decoded.scale.data() + at * s, s * sizeof(float));
    if (decoded.shift)
      std::memcpy(to.offsets + n * decoded.scales, decoded.offset.data() + at * s, s * sizeof(float));
    if (decoded.minima)
      std::memcpy(to.minima + n * decoded.scales, decoded.minimum.data() + at * s, s * sizeof(float));
  }
}

iqk::RowSource source_of(const uint8_t* order) {
  iqk::RowSource source{};
  source.rows = 1;
  source.scales = decoded.scales;
  source.unsigned_codes = true;
  source.shift = decoded.shift;
  source.minima = decoded.minima;
  source.bias = decoded.bias;
  source.order = order;
  source.decode = decode;
  return source;
}

Decoded random_rows(int scales, int rows, bool shift, bool minima, float bias) {
  Decoded d{scales, rows, shift, minima, bias, {}, {}, {}, {}};
  d.codes.resize(static_cast<size_t>(rows * kUnits * 256));
  for (uint8_t& code : d.codes) code = static_cast<uint8_t>(random_bits());
  const size_t groups = static_cast<size_t>(rows * kUnits * scales);
  for (size_t i = 0; i < groups; ++i) {
    d.scale.push_back(random_float());
    d.offset.push_back(static_cast<float>(random_int(-9, 9)) - bias);
    d.minimum.push_back(64 * random_float());
  }
  return d;
}

// Panels of random codes, of which some rows exist, with columns of any length; two panels side by side.
void test_product(const Decoded& rows, int columns, int k) {
  decoded = rows;
  constexpr int kHeight = 16 * iqk::kPanelTiles;
  const int units = (k + 255) / 256, tiles = (columns + kTileColumns - 1) / kTileColumns;
  uint8_t order[64];
  for (int i = 0; i < 64; ++i) order[i] = static_cast<uint8_t>(i);
  std::shuffle(order, order + 64, random_bits);
  const iqk::RowSource source = source_of(order);

  const ptrdiff_t unit = tiles * kTileSteps * kStepBytes;
  std::vector<float> x(static_cast<size_t>(columns * k));
  for (float& value : x) value = random_float();
  Buffer<uint8_t> packed(static_cast<size_t>(units * unit));
  for (int c = 0; c < columns; ++c)
    check(isa::pack_tile_column(
              {x.data() + c * k, k, order,
               packed.data() + c / kTileColumns * kTileSteps * kStepBytes + c % kTileColumns * 4, nullptr,
               unit}),
          "a finite column");

  const ptrdiff_t stride = kHeight + 3;
  Buffer<uint8_t> wide(static_cast<size_t>(kTileSteps * iqk::kPanelTiles * kStepBytes));
  std::vector<float> sums(static_cast<size_t>(iqk::tile_sums(tiles)), NAN);
  std::vector<float> out(static_cast<size_t>(tiles * kTileColumns * stride), NAN);
  isa::begin_tiles();
  for (int u = 0; u < units; ++u) {
    isa::widen_rows({&source, {}, u, rows.rows, wide.data()});
    isa::multiply_tiles({wide.data(), packed.data() + u * unit, tiles, sums.data(), out.data(), stride,
                         u == 0, u + 1 == units});
  }
  isa::end_tiles();

  bool right = true;
  for (int c = 0; c < columns; ++c)
    for (int r = 0; r < rows.rows; ++r) {
      double sum = 0, magnitude = 0;
      for (int i = 0; i < k; ++i) {
        const int place = static_cast<int>(std::find(order, order + 64, i % 256 / 4) - order) * 4 + i % 4;
        const size_t at = static_cast<size_t>(r * kUnits + i / 256);
        const size_t g =
            at * static_cast<size_t>(rows.scales) + static_cast<size_t>(i % 256 * rows.scales / 256);
        const double q = rows.codes[256 * at + static_cast<size_t>(place)];
        const double w = static_cast<double>(rows.scale[g]) *
                             (q + static_cast<double>(rows.shift ? rows.offset[g] : -rows.bias)) +
                         (rows.minima ? static_cast<double>(rows.minimum[g]) : 0);
        const double product = w * static_cast<double>(x[static_cast<size_t>(c * k + i)]);
        sum += product;
        magnitude += std::fabs(product);
      }
      right &= std::fabs(static_cast<double>(out[static_cast<size_t>(c * stride + r)]) - sum) <=
               0.8e-2 * magnitude + 1e-3;
    }
  check(right, "a product");
  bool beside = true;
  for (int c = 0; c < tiles * kTileColumns; ++c)
    for (int r = kHeight; r < stride; ++r) beside &= std::isnan(out[static_cast<size_t>(c * stride + r)]);
  check(beside, "nothing is written beside the tiles");
}

// A panel of numbers, of which some rows exist, times columns in two parts: nearly float32.
template <class F, int parts>
void test_floats(int rows, int k) {
  constexpr int kRows = 16 * iqk::kPanelTiles, kColumns = 19;
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
    uint8_t* const to = packed.data() + c / kTileColumns * kTileSteps * kStepBytes + c % kTileColumns * 4;
    isa::pack_tile_column({x.data() + c * k, k, nullptr, to, to + unit / 2, unit});
  }
  const size_t panel = static_cast<size_t>(kTileSteps * iqk::kPanelTiles * kStepBytes);
  Buffer<uint8_t> high(panel), low(panel);
  std::vector<float> sums(static_cast<size_t>(iqk::tile_sums(tiles)));
  std::vector<float> out(static_cast<size_t>(tiles * kTileColumns * kRows));
  isa::begin_tiles();
  for (int u = 0; u < units; ++u) {
    isa::widen_floats<F, parts>(
        {bytes.data(), row_bytes, rows, k, u, high.data(), parts == 2 ? low.data() : nullptr});
    uint8_t* const columns = packed.data() + u * unit;
    const auto multiply = [&](Buffer<uint8_t>& weights, const uint8_t* part, bool first, bool last) {
      isa::multiply_tiles({weights.data(), part, tiles, sums.data(), out.data(), kRows, first, last});
    };
    const bool last = u + 1 == units;
    multiply(high, columns, u == 0, false);
    multiply(high, columns + unit / 2, false, last && parts == 1);
    if (parts == 2) multiply(low, columns, false, last);
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
          std::fabs(static_cast<double>(out[static_cast<size_t>(c * kRows + r)]) - sum) <= 2e-5 * magnitude;
    }
  check(right, "a product of floats");
}

// Codes of value 0 become 0, and what bfloat16 holds stays what it is.
void test_exact_values() {
  constexpr size_t kNumbers = static_cast<size_t>(kTileSteps * iqk::kPanelTiles * kStepBytes / 2);
  uint8_t order[64];
  for (int i = 0; i < 64; ++i) order[i] = static_cast<uint8_t>(i);
  Buffer<uint8_t> wide(2 * kNumbers);
  const auto all_are = [&](float value) {
    const iqk::RowSource source = source_of(order);
    isa::widen_rows({&source, {}, 0, decoded.rows, wide.data()});
    bool same = true;
    for (size_t i = 0; i < kNumbers; ++i) same &= bfloat_at(wide.data(), i) == value;
    return same;
  };
  for (const int scales : {8, 16}) {
    decoded = random_rows(scales, 32, false, false, 128);
    std::fill(decoded.codes.begin(), decoded.codes.end(), static_cast<uint8_t>(128));
    check(all_are(0), "codes of value 0");
    std::fill(decoded.codes.begin(), decoded.codes.end(), static_cast<uint8_t>(136));
    std::fill(decoded.scale.begin(), decoded.scale.end(), -0.25f);
    check(all_are(-2), "a weight that bfloat16 holds");
  }
}

// A column with what bfloat16 cannot hold becomes zero.
void test_not_finite() {
  for (const float bad : {NAN, INFINITY, -INFINITY, 0x1.ffp127f}) {
    std::vector<float> x(300, 1.0f);
    x[static_cast<size_t>(random_int(0, 299))] = bad;
    Buffer<uint8_t> to(2 * kTileSteps * kStepBytes);
    std::fill(to.bytes.begin(), to.bytes.end(), static_cast<uint8_t>(77));
    check(!isa::pack_tile_column({x.data(), 300, nullptr, to.data(), nullptr, kTileSteps * kStepBytes}),
          "not a finite column");
    bool zero = true, others = true;
    for (size_t i = 0; i < 2 * kTileSteps * kStepBytes; ++i)
      (i % 64 < 4 ? zero : others) &= to.data()[i] == (i % 64 < 4 ? 0 : 77);
    check(zero && others, "zeros in its place");
  }
}

}  // namespace

int main() {
  if (!usable()) return 77;
  for (int round = 0; round < 200; ++round) test_operations(round);
  test_rounding();
  test_product(random_rows(8, 32, false, false, 128), 1, 256);
  test_product(random_rows(16, 32, false, true, 0), 16, 32);
  test_product(random_rows(8, 17, false, true, 8), 17, 512);
  test_product(random_rows(16, 1, true, false, 3), 33, 300);
  test_product(random_rows(8, 16, false, false, 0), 32, 255);
  test_product(random_rows(8, 31, true, true, 128), 49, 257);
  test_product(random_rows(16, 32, true, true, 16), 100, 768);
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

// Are the codebooks the ones of the formats' definition? Tables by their CRC-32, the rest by closed form.
#include <cmath>
#include <cstdio>
#include <vector>

#include "iqk/codebooks/codebooks.h"
#define IQK_NS iqk::scalar
#include "iqk/formats/grid.h"

namespace {

int passed = 0, failed = 0;

void expect(bool right, const char* what) {
  ++(right ? passed : failed);
  if (!right) std::printf("failed: %s\n", what);
}

uint32_t crc32(const uint8_t* bytes, size_t count) {
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < count; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

// The values of a grid, one byte each, lane 0 of entry 0 first.
template <class Entry, size_t Count>
uint32_t grid_crc(const Entry (&grid)[Count], int bias) {
  std::vector<uint8_t> values;
  for (Entry entry : grid)
    for (size_t j = 0; j < sizeof(Entry); ++j)
      values.push_back(static_cast<uint8_t>(static_cast<int>(entry >> 8 * j & 255) - bias));
  return crc32(values.data(), values.size());
}

template <size_t Rows, size_t Columns>
uint32_t table_crc(const int8_t (&table)[Rows][Columns]) {
  return crc32(reinterpret_cast<const uint8_t*>(table), sizeof table);
}

// Row 1 of a table is row 0 plus a constant.
template <size_t Codes>
bool shifted_by(int shift, const int8_t (&table)[2][Codes]) {
  for (size_t c = 0; c < Codes; ++c)
    if (table[1][c] != table[0][c] + shift) return false;
  return true;
}

// The levels of IQ6_K are a cubic, evaluated with fused operations; products use the nearest integers.
bool cubic_is_exact() {
  for (int c = 0; c < 64; ++c) {
    const float x = static_cast<float>(c);
    const float y = std::fma(x, std::fma(x, std::fma(x, 0.0011972f, -0.11218f), 6.2568f), -127.0f);
    if (iqk::kIq6Cubic[0][c] != y || iqk::kIq6Cubic[1][c] != y + 1) return false;
    for (const int row : {0, 1})
      if (iqk::kIq6nl[row][c] != std::lround(iqk::kIq6Cubic[row][c])) return false;
  }
  return true;
}

bool powers_are_powers() {
  uint32_t power = 1;
  for (uint32_t stored : iqk::kTrellisPowers)
    if (stored != (power *= 0xcbac1fed)) return false;
  return true;
}

uint32_t signs_crc() {
  uint8_t signs[128];
  for (uint32_t field = 0; field < 128; ++field)
    signs[field] = static_cast<uint8_t>(iqk::scalar::even_signs(field));
  return crc32(signs, sizeof signs);
}

}  // namespace

int main() {
  using namespace iqk;
  expect(grid_crc(kIq1sGrid, kIq1sBias) == 0xb85e6ccf, "iq1s grid");
  expect(grid_crc(kIq2xxsGrid, kIq2Bias) == 0x9924ff02, "iq2xxs grid");
  expect(grid_crc(kIq2xsGrid, kIq2Bias) == 0xfa1e1bfd, "iq2xs grid");
  expect(grid_crc(kIq2sGrid, kIq2Bias) == 0x25ae5bf1, "iq2s grid");
  expect(grid_crc(kIq3xxsGrid, kIq3xxsBias) == 0x07ba9ed0, "iq3xxs grid");
  expect(grid_crc(kIq3sGrid, kIq3sBias) == 0xf576e4f3, "iq3s grid");
  expect(signs_crc() == 0xffab7940, "sign bytes");

  expect(table_crc(kIq2nl) == 0x035f991e && shifted_by(5, kIq2nl), "iq2nl");
  expect(table_crc(kIq3nl) == 0xe2ba317e && shifted_by(4, kIq3nl), "iq3nl");
  expect(table_crc(kIq4k) == 0x367d0727 && shifted_by(4, kIq4k), "iq4k");
  expect(table_crc(kIq5nl) == 0x9997ada9 && shifted_by(2, kIq5nl), "iq5nl");
  expect(table_crc(kIq6nl) == 0x716afcf4 && shifted_by(1, kIq6nl), "iq6nl");
  expect(table_crc(kIq2klPairs) == 0x84edeeb3, "iq2kl pairs");
  expect(cubic_is_exact(), "iq6 cubic");
  expect(powers_are_powers(), "trellis powers");

  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}

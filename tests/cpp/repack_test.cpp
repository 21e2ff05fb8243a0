// Repacking: is the inverse exact for random bytes of every pair of types, in place and not, within buffers
// of exactly the size that they need? Are refusals thrown?
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>

#include "iqk/api.h"

namespace {

int passed = 0, failed = 0;

void expect(bool right, const char* what, const char* type) {
  ++(right ? passed : failed);
  if (!right) std::printf("failed: %s of %s\n", what, type);
}

// Memory of exactly this size, so that sanitizers see every byte beyond.
struct Bytes {
  size_t size;
  std::unique_ptr<uint8_t[]> data;
  explicit Bytes(int64_t bytes) : size(static_cast<size_t>(bytes)), data(new uint8_t[size]) {
    std::memset(data.get(), 0xa5, size);
  }
  uint8_t* begin() { return data.get(); }
  bool operator==(const Bytes& other) const {
    return size == other.size && std::memcmp(data.get(), other.data.get(), size) == 0;
  }
};

const iqk::Type* find(const char* name) {
  for (const iqk::Type& type : iqk::types())
    if (std::strcmp(type.name, name) == 0) return &type;
  return nullptr;
}

void check_pair(const iqk::Type& type, const iqk::Type& base, int64_t groups, int64_t blocks) {
  const int64_t rows = groups * type.interleave,
                k = blocks * (type.block_weights < 2 ? 2 : type.block_weights);
  Bytes plain(matrix_bytes(base, rows, k)), back(matrix_bytes(base, rows, k));
  Bytes interleaved(matrix_bytes(type, rows, k));
  std::mt19937 random(1);
  for (size_t i = 0; i < plain.size; ++i) plain.begin()[i] = static_cast<uint8_t>(random());
  iqk::repack(type, plain.begin(), rows, k, interleaved.begin(), 2);
  iqk::unpack(type, interleaved.begin(), rows, k, back.begin(), 2);
  if (std::strcmp(base.name, "Q8_KV") ==
      0)  // the sums of its rows are computed again: random ones do not come back
    for (int64_t row = 0; row < rows; ++row)
      std::memcpy(plain.begin() + row * (8 + k) + 4, back.begin() + row * (8 + k) + 4, 4);
  expect(plain == back, "the inverse", type.name);
  iqk::repack(type, plain.begin(), rows, k, plain.begin(), 2);
  expect(std::memcmp(plain.begin(), interleaved.begin(), interleaved.size) == 0, "repacking in place",
         type.name);
}

template <class Error, class F>
bool throws(F&& f) {
  try {
    f();
  } catch (const Error&) {
    return true;
  }
  return false;
}

}  // namespace

int main() {
  for (const iqk::Type& type : iqk::types()) {
    if (type.base == nullptr) {
      uint8_t byte = 0;
      expect(throws<iqk::BadType>([&] { iqk::repack(type, &byte, 0, 256, &byte, 1); }), "refusal", type.name);
      continue;
    }
    for (const int64_t groups : {0, 1, 5})
      for (const int64_t blocks : {1, 3, 8}) check_pair(type, *find(type.base), groups, blocks);
    uint8_t byte = 0;
    expect(throws<iqk::BadShape>([&] { iqk::unpack(type, &byte, 1, 256, &byte, 1); }), "refusal", type.name);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}

// The table of formats as the rest of the library sees it.
#include <string>

#include "iqk/api.h"
#include "iqk/dispatch/dispatch.h"

namespace iqk {

namespace {

const char* or_null(const char* name) { return std::string(name) == "none" ? nullptr : name; }

std::vector<Type> make_types() {
  return {
#define IQK_FORMAT(name, id, family, weights, bytes, header, rows, base, repacked, tier, ...) \
  {#name, id, #family, weights, bytes, header, rows, or_null(#base), or_null(#repacked), or_null(#tier)},
#include "iqk/formats.inc"
  };
}

}  // namespace

const std::vector<Type>& types() {
  static const std::vector<Type> table = make_types();
  return table;
}

const Type* find_type(int id) {
  for (const Type& type : types())
    if (type.id == id) return &type;
  return nullptr;
}

PanelThresholds panel_thresholds(const Type& type) {
  switch (type.id) {
#define IQK_FORMAT(name, id, family, weights, bytes, header, rows, base, repacked, tier, avx2, avx512, amx, \
                   neon)                                                                                    \
  case id:                                                                                                  \
    return {avx2, avx512, amx, neon};
#include "iqk/formats.inc"
  }
  return {1, 1, 1, 1};
}

int64_t row_bytes(const Type& type, int64_t k) {
  const int64_t block = type.id == kBf16R16 ? 2 : type.block_weights;
  if (k < 0 || k % block != 0)
    throw BadShape("K = " + std::to_string(k) + " is not a multiple of the block of " +
                   std::to_string(block) + " weights of " + type.name);
  const int64_t blocks = k / type.block_weights;
  if (blocks > (INT64_MAX - type.header_bytes) / type.block_bytes)
    throw BadShape("K = " + std::to_string(k) + " is too large");
  return type.header_bytes + blocks * type.block_bytes;
}

int64_t matrix_bytes(const Type& type, int64_t rows, int64_t k) {
  if (rows < 0 || rows % type.interleave != 0)
    throw BadShape(std::to_string(rows) + " rows are not a multiple of the " +
                   std::to_string(type.interleave) + " that " + type.name + " stores together");
  const int64_t row = row_bytes(type, k), tail = type.id == kI2S ? kI2STail : 0;
  if (row != 0 && rows > (INT64_MAX - tail) / row)
    throw BadShape(std::to_string(rows) + " rows of " + std::to_string(row) + " bytes are too large");
  return rows * row + tail;
}

bool can_multiply(const Type&) { return true; }

GroupWalk walk_groups(const Weights& w) {
  const Type& type = *w.type;
  const int64_t row = row_bytes(type, w.k), units = w.k / 256;
  const int64_t rest = (w.k % 256) / (type.block_weights < 256 ? type.block_weights : 256);
  GroupWalk walk{};
  walk.data = w.data;
  walk.header = type.id == kI2S ? w.data + w.rows * row : nullptr;
  walk.group_bytes = row * type.interleave;
  walk.full_units = units;
  walk.tail_bytes = static_cast<int>(rest * type.block_bytes * type.interleave);
  return walk;
}

}  // namespace iqk

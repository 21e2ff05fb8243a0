// All entries of a unit by loads from the table, for instruction sets without a better way. Vector v has the
// groups 4 c + v of eight weights in its qwords c. A grid has `entries`, the table as grid8 and grid4 take
// it. Indices come from memory, where a first pass put them: `made`, a function that makes them in registers,
// is not called.
//
// No include guard: a test has two vocabularies in one translation unit, and each includes this once.

namespace IQK_NS {

// Words of index that the first pass over a unit makes, where there is one.
constexpr int grid_index_words(int words) { return words; }

// Indices of the groups in order.
template <class Grid, class Made, class Put>
IQK_INLINE void grid8_words(const Grid& grid, const uint16_t* index, Made, Put put) {
  unroll<4>([&](auto v) IQK_LAMBDA {
    put(v, grid8(grid.entries, [&](auto c) IQK_LAMBDA { return index[4 * c + v]; }));
  });
}
// Indices in the first four of each eight bytes; all 64 may be read.
template <class Grid, class Put>
IQK_INLINE void grid8_bytes(const Grid& grid, const uint8_t* index, Put put) {
  unroll<4>([&](auto v) IQK_LAMBDA {
    put(v, grid8(grid.entries, [&](auto c) IQK_LAMBDA { return index[8 * c + v]; }));
  });
}
// Two entries of four weights make a group. Indices in order.
template <class Grid, class Put>
IQK_INLINE void grid4_bytes(const Grid& grid, const uint8_t* index, Put put) {
  unroll<4>([&](auto v) IQK_LAMBDA {
    put(v, grid4(grid.entries, [&](auto i) IQK_LAMBDA { return index[8 * (i / 2) + 2 * v + i % 2]; }));
  });
}
// Indices of 9 bits: words as zip_lo8 and zip_hi8 put them, the first eight of each sixteen, then the others.
// `low` and `high`, their lower bytes and ninth bits in order, are not read.
template <class Grid, class Put>
IQK_INLINE void grid4_words(const Grid& grid, const uint16_t* index, const uint8_t* /*low*/,
                            const uint8_t* /*high*/, Put put) {
  const auto at = [](int n) IQK_LAMBDA { return n % 16 / 8 * 32 + n / 16 * 8 + n % 8; };
  unroll<4>([&](auto v) IQK_LAMBDA {
    put(v, grid4(grid.entries, [&](auto i) IQK_LAMBDA { return index[at(8 * (i / 2) + 2 * v + i % 2)]; }));
  });
}

}  // namespace IQK_NS

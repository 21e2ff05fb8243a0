// All entries of a unit by loads from the table, for instruction sets without a better way. Vector v has the
// groups 4 c + v of eight weights in its qwords c, with their signs: x or 2 kBias - x. A grid has `entries`,
// the table as grid8 and grid4 take it. Indices come from memory, where a first pass put them.
//
// No include guard: a test has two vocabularies in one translation unit, and each includes this once.

namespace IQK_NS {

// Whether scales by lanes cost no more than in order.
constexpr bool kGridLaneScales = false;
// Words that the first pass over a unit makes of so many indices of one byte.
constexpr int grid8_index_words(int) { return 0; }

// First passes over two units at a time: indices in words, whose upper bits are not part of them.
template <class Grid>
IQK_INLINE void first_grid8_words(const Grid&, Bytes index, Bytes next, uint16_t* to) {
  store(to, index & splat16(Grid::kCount - 1));
  store(to + 32, next & splat16(Grid::kCount - 1));
}
// Eight bits and, four times two in a byte, two more; words(0) and words(1): the same as words.
template <class Grid, class Words>
IQK_INLINE void first_grid8_parts(const Grid&, const uint8_t* /*low*/, const uint8_t* /*high*/,
                                  const uint8_t* /*next_low*/, const uint8_t* /*next_high*/, uint16_t* to,
                                  Words words) {
  store(to, words(0));
  store(to + 32, words(1));
}
// Of entries of four weights, one unit: eight bits, and one more. The words are as zip_lo8 and zip_hi8 put
// them: the first eight of each sixteen, then the others.
template <class Grid>
IQK_INLINE void first_grid4_parts(const Grid&, const uint8_t* low, const uint8_t* high, uint16_t* to) {
  uint64_t bits;
  std::memcpy(&bits, high, 8);
  const Bytes x = load(low), upper = expand_bits(bits, 1);
  store(to, zip_lo8(x, upper));
  store(to + 32, zip_hi8(x, upper));
}
// Bytes need no first pass.
template <class Grid>
IQK_INLINE void first_grid8_bytes(const Grid&, const uint8_t*, const uint8_t*, uint16_t*) {}

// The four vectors. A sub-block of 32 weights has four indices, of eight weights each, or eight, of four;
// those of the next lie Apart behind them.
template <int Apart, class Grid, class Index, class Put>
IQK_INLINE void put_grid8(const Grid& grid, const Index* index, const Signs& signs, Put put) {
  unroll<4>([&](auto v) IQK_LAMBDA {
    const Bytes x = grid8(grid.entries, [&](auto c) IQK_LAMBDA { return index[Apart * c + v]; });
    put(v, flip_signs<decltype(v)::value>(x, signs, 2 * Grid::kBias));
  });
}
template <int Apart, class Grid, class Index, class Put>
IQK_INLINE void put_grid4(const Grid& grid, const Index* index, const Signs& signs, Put put) {
  unroll<4>([&](auto v) IQK_LAMBDA {
    const Bytes x =
        grid4(grid.entries, [&](auto i) IQK_LAMBDA { return index[Apart * (i / 2) + 2 * v + i % 2]; });
    put(v, flip_signs<decltype(v)::value>(x, signs, 2 * Grid::kBias));
  });
}

// What the first pass left of the groups in order.
template <class Grid, class Put>
IQK_INLINE void grid8_words(const Grid& grid, const uint16_t* index, const Signs& signs, Put put) {
  put_grid8<4>(grid, index, signs, put);
}
// Indices in the first four of each eight bytes; all 64 may be read.
template <class Grid, class Put>
IQK_INLINE void grid8_bytes(const Grid& grid, const uint8_t* index, const uint16_t* /*first*/,
                            const Signs& signs, Put put) {
  put_grid8<8>(grid, index, signs, put);
}
// Two entries of four weights make a group. Indices in order.
template <class Grid, class Put>
IQK_INLINE void grid4_bytes(const Grid& grid, const uint8_t* index, const Signs& signs, Put put) {
  put_grid4<8>(grid, index, signs, put);
}
// What the first pass left.
template <class Grid, class Put>
IQK_INLINE void grid4_words(const Grid& grid, const uint16_t* index, const Signs& signs, Put put) {
  const auto at = [](int n) IQK_LAMBDA { return n % 16 / 8 * 32 + n / 16 * 8 + n % 8; };
  unroll<4>([&](auto v) IQK_LAMBDA {
    const Bytes x =
        grid4(grid.entries, [&](auto i) IQK_LAMBDA { return index[at(8 * (i / 2) + 2 * v + i % 2)]; });
    put(v, flip_signs<decltype(v)::value>(x, signs, 2 * Grid::kBias));
  });
}

// 32 bits of each of eight blocks, Stride bytes apart. The first four blocks have the even qwords, the others
// the odd ones: bits 8 n + i of a block become bits 4 + n of byte i of its qword. Bits 0-3 mean nothing.
constexpr bool kTransposesBits = false;  // whether that is fast
template <int Stride>
IQK_INLINE Bytes transposed_block_bits(const uint8_t* p) {
  uint8_t x[64] = {};
  for (int i = 0; i < 256; ++i) {
    const int block = i / 32, to = 8 * (block % 4 * 2 + block / 4) + i % 8, n = i % 32 / 8;
    x[to] = static_cast<uint8_t>(x[to] | (p[block * Stride + n] >> i % 8 & 1) << (4 + n));
  }
  return load(x);
}

// Tiles of four rows: what sub-block b of row R has, such as four indices of eight weights or eight of four,
// is number 4 b + R.
constexpr bool kReadsTiles = false;  // whether signs and scales of a row are better read from the tile
// First passes over a unit:
template <class Grid>
IQK_INLINE void first_grid8_tile_bytes(const Grid&, const uint8_t* /*index*/, uint16_t* /*to*/) {}
template <class Grid>
IQK_INLINE void first_grid8_tile_words(const Grid&, const uint8_t* words, uint16_t* to) {
  unroll<4>([&](auto n) IQK_LAMBDA { store(to + 32 * n, load(words + 64 * n) & splat16(Grid::kCount - 1)); });
}
// Eight bits and, for each group four times two in a byte, two more; put_words(to): the same as words.
template <class Grid, class PutWords>
IQK_INLINE void first_grid8_tile_parts(const Grid&, const uint8_t* /*low*/, const uint8_t* /*high*/,
                                       uint16_t* to, PutWords put_words) {
  put_words(to);
}
// Of bytes with the row in their lowest bits: entry u of sub-block b has byte 8 (u % 4) + 4 (u / 4) + R of
// b's 32, and bit u of byte 4 b + R. put_words(to): words in an order of the format's own.
template <class Grid, class PutWords>
IQK_INLINE void first_grid4_tile_parts(const Grid&, const uint8_t* /*low*/, const uint8_t* /*high*/,
                                       uint16_t* to, PutWords put_words) {
  put_words(to);
}
// A row of the tile, from what the first pass left or from the indices themselves.
template <int R, class Grid, class Put>
IQK_INLINE void grid8_tile_words(const Grid& grid, const uint16_t* index, const Signs& signs, Put put) {
  put_grid8<16>(grid, index + 4 * R, signs, put);
}
template <int R, class Grid, class Put>
IQK_INLINE void grid8_tile_bytes(const Grid& grid, const uint8_t* index, const uint16_t* /*first*/,
                                 const Signs& signs, Put put) {
  put_grid8<16>(grid, index + 4 * R, signs, put);
}
// Entry u of sub-block b has number 32 b + 8 R + u.
template <int R, class Grid, class Put>
IQK_INLINE void grid4_tile_words(const Grid& grid, const uint16_t* index, const Signs& signs, Put put) {
  put_grid4<32>(grid, index + 8 * R, signs, put);
}
template <int R, class Grid, class Put>
IQK_INLINE void grid4_tile_bytes(const Grid& grid, const uint8_t* index, const Signs& signs, Put put) {
  put_grid4<32>(grid, index + 8 * R, signs, put);
}

// The signs of a row: four bytes, those from seven re-coded bits, and these in the upper bytes of words.
template <int R>
IQK_INLINE Signs row_signs(const uint8_t* p) {
  uint8_t bits[32];
  for (int i = 0; i < 32; ++i) bits[i] = p[16 * (i / 4) + 4 * R + i % 4];
  return load_signs(bits);
}
IQK_INLINE uint8_t recoded_byte(uint8_t x) { return static_cast<uint8_t>((x & 254) ^ (x & 254) >> 1); }
template <int R>
IQK_INLINE Signs recoded_row_signs(const uint8_t* p) {
  uint8_t bits[32];
  for (int i = 0; i < 32; ++i) bits[i] = recoded_byte(p[16 * (i / 4) + 4 * R + i % 4]);
  return load_signs(bits);
}
template <int R>
IQK_INLINE Signs recoded_word_row_signs(const uint8_t* p) {
  uint8_t bits[32];
  for (int i = 0; i < 32; ++i) bits[i] = recoded_byte(p[32 * (i / 4) + 8 * R + i % 4 * 2 + 1]);
  return load_signs(bits);
}

// Bit u of byte j is the sign of weight 4 u + j.
template <int R>
IQK_INLINE Signs bit_row_signs(const uint8_t* p) {
  uint8_t bits[32] = {};
  for (int i = 0; i < 256; ++i) {
    const int sign = p[16 * (i / 32) + 4 * R + i % 4] >> i % 32 / 4 & 1;
    bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | sign << i % 8);
  }
  return load_signs(bits);
}

// Scales: (2 s + 1) / 2^Shift for N nibbles in turn, the lower one first.
template <int N, int Shift>
IQK_INLINE Floats<N> odd_nibbles(const uint8_t* p) {
  const Small x = N == 8 ? small_load4(p) : small_load8(p);
  const Small s = zip_lo8(x, shr16<4>(x)) & small_splat(15);
  return floats_u8<N>((s + s) | small_splat(1)) * fsplat<N>(1.0f / (1 << Shift));
}
// The same for the upper four bits of eight dwords Stride bytes apart.
template <int Stride, int Shift>
IQK_INLINE Floats<8> odd_upper_bits(const uint8_t* p) {
  constexpr float kUnit = 1.0f / (1 << Shift);
  return fma(top_nibbles<Stride>(p), fsplat<8>(2 * kUnit), fsplat<8>(kUnit));
}
// Scales by lanes of two for each.
struct Twice {
  struct Table {
    constexpr int operator[](int i) const { return i / 2; }
  };
  static constexpr Table at = {};
};
template <int Shift>
IQK_INLINE Floats<16> odd_nibble_lanes(const uint8_t* p) {
  return spread<Twice>(odd_nibbles<8, Shift>(p));
}
template <int Stride, int Shift>
IQK_INLINE Floats<16> odd_upper_lanes(const uint8_t* p) {
  return spread<Twice>(odd_upper_bits<Stride, Shift>(p));
}

// Of a row of a tile: s in the lowest bits of its four bytes of each sub-block, or nibbles in turn in one
// byte.
template <int R, int Shift>
IQK_INLINE Floats<8> odd_bits(const uint8_t* p) {
  uint8_t nibbles[4] = {};
  for (int i = 0; i < 32; ++i)
    nibbles[i / 8] = static_cast<uint8_t>(nibbles[i / 8] | (p[16 * (i / 4) + 4 * R + i % 4] & 1) << i % 8);
  return odd_nibbles<8, Shift>(nibbles);
}
template <int R, int Shift>
IQK_INLINE Floats<16> odd_bit_lanes(const uint8_t* p) {
  return spread<Twice>(odd_bits<R, Shift>(p));
}
template <int R, int Shift>
IQK_INLINE Floats<16> odd_row_nibbles(const uint8_t* p) {
  uint8_t nibbles[8];
  for (int b = 0; b < 8; ++b) nibbles[b] = p[4 * b + R];
  return odd_nibbles<16, Shift>(nibbles);
}

// Or in low nibbles of 16 bytes, those of the last four sub-blocks in the high ones.
template <int R, int Shift>
IQK_INLINE Floats<8> odd_listed(const uint8_t* p) {
  uint8_t nibbles[4];
  for (int i = 0; i < 4; ++i) {
    const int first = p[8 * (i % 2) + R] >> 4 * (i / 2) & 15,
              second = p[8 * (i % 2) + 4 + R] >> 4 * (i / 2) & 15;
    nibbles[i] = static_cast<uint8_t>(first | second << 4);
  }
  return odd_nibbles<8, Shift>(nibbles);
}
template <int R, int Shift>
IQK_INLINE Floats<16> odd_listed_lanes(const uint8_t* p) {
  return spread<Twice>(odd_listed<R, Shift>(p));
}

}  // namespace IQK_NS

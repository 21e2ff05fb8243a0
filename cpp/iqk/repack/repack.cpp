// repack() and unpack() of api.h: the bit maps of the interleaved formats, run over whole matrices.
#define IQK_NS iqk::maps

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>

#include "iqk/api.h"
#include "iqk/base/buffer.h"
#include "iqk/base/pool.h"
#include "iqk/base/unroll.h"
#include "iqk/isa/generic.h"
// Behind the vocabulary: the formats that have a base.
// clang-format off
#include "iqk/formats/q4_0_4_4.h"
#include "iqk/formats/q4_0_4_8.h"
#include "iqk/formats/q4_0_8_8.h"
#include "iqk/formats/q4_0_r8.h"
#include "iqk/formats/q5_0_r4.h"
#include "iqk/formats/q8_0_r8.h"
#include "iqk/formats/q2_k_r4.h"
#include "iqk/formats/q3_k_r4.h"
#include "iqk/formats/q4_k_r4.h"
#include "iqk/formats/q5_k_r4.h"
#include "iqk/formats/q6_k_r4.h"
#include "iqk/formats/iq2_xxs_r4.h"
#include "iqk/formats/iq2_xs_r4.h"
#include "iqk/formats/iq3_xxs_r4.h"
#include "iqk/formats/iq4_nl_r4.h"
#include "iqk/formats/iq3_s_r4.h"
#include "iqk/formats/iq2_s_r4.h"
#include "iqk/formats/iq4_xs_r8.h"
#include "iqk/formats/floats.h"
#include "iqk/formats/q6_0_r4.h"
#include "iqk/formats/iq2_bn_r4.h"
#include "iqk/formats/iq2_k_r4.h"
#include "iqk/formats/iq3_k_r4.h"
#include "iqk/formats/iq4_k_r4.h"
#include "iqk/formats/iq5_k_r4.h"
#include "iqk/formats/iq4_ks_r4.h"
#include "iqk/formats/iq5_ks_r4.h"
#include "iqk/formats/mxfp4_r8.h"
#include "iqk/formats/q8_kv_r8.h"
// clang-format on

namespace IQK_NS {

#define IQK_FORMAT(name, ...) struct name;
#include "iqk/formats.inc"
struct none_facts {};

// One group of rows of k weights, plain on the one side and interleaved on the other. `more`: another group
// follows on both sides.
using MoveGroup = void (*)(const uint8_t* from, int64_t k, uint8_t* to, bool more);
struct Moves {
  MoveGroup repack, unpack;  // nullptr: the type has no base
};

// A map moves most bits of all rows of a group at once. Quads of row k lie 4 k bytes behind those of row 0: a
// line of them is a dword of each row. Numbers of row k lie k bytes behind: a word of them is a byte of each
// row. A pass over the map moves the lines, one the words, and one per row the other fields.
template <int Rows>
struct Line {
  uint32_t of[Rows];
};
template <int Rows>
using Word = std::conditional_t<Rows == 4, uint32_t, uint64_t>;
template <int Rows>
IQK_INLINE Word<Rows> in_all_bytes(int count) {
  return static_cast<Word<Rows>>(((1u << count) - 1) * 0x0101010101010101u);
}

template <int Rows>
IQK_INLINE void move_line(const void* from, int from_bit, void* to, int to_bit, int count) {
  Line<Rows> x, y;
  std::memcpy(&x, from, sizeof x);
  std::memcpy(&y, to, sizeof y);
  for (int row = 0; row < Rows; ++row) y.of[row] |= (x.of[row] >> from_bit & in_four_bytes(count)) << to_bit;
  std::memcpy(to, &y, sizeof y);
}

// The movers of one pass. Lines and words of the source: line n has bytes 4 n + offset .. + 3 of each row's
// block, for the offset that all quads of a map share; word n has byte n.
struct NoFields {
  IQK_MEMBER void bits(int, int, int, int, int) const {}
  IQK_MEMBER void number(int, int, int, int, int) const {}
  IQK_MEMBER void quad(Place, Place, int) const {}
  IQK_MEMBER void spread(Place, Place) const {}
  IQK_MEMBER void bytes(int, int, int, int = 0) const {}
  IQK_MEMBER void signs(int, int, int) const {}
};
template <int Rows>
struct LinesToInterleaved : NoFields {
  const Line<Rows>* lines;
  uint8_t* interleaved;
  IQK_MEMBER LinesToInterleaved(const Line<Rows>* from, uint8_t* to) : lines(from), interleaved(to) {}
  IQK_MEMBER void quad(Place s, Place d, int count) const {
    move_line<Rows>(lines + s.byte / 4, s.bit, interleaved + d.byte, d.bit, count);
  }
};
template <int Rows>
struct LinesToSource : NoFields {
  Line<Rows>* lines;
  const uint8_t* interleaved;
  IQK_MEMBER LinesToSource(Line<Rows>* to, const uint8_t* from) : lines(to), interleaved(from) {}
  IQK_MEMBER void quad(Place s, Place d, int count) const {
    move_line<Rows>(interleaved + d.byte, d.bit, lines + s.byte / 4, s.bit, count);
  }
};
template <int Rows>
struct WordsToInterleaved : NoFields {
  const uint8_t (*words)[Rows];
  uint8_t* interleaved;
  IQK_MEMBER WordsToInterleaved(const uint8_t (*from)[Rows], uint8_t* to) : words(from), interleaved(to) {}
  IQK_MEMBER void number(int s, int sbit, int d, int dbit, int count) const {
    move_bits<Word<Rows>>(words[s], sbit, interleaved + d, dbit, in_all_bytes<Rows>(count));
  }
};
template <int Rows>
struct WordsToSource : NoFields {
  uint8_t (*words)[Rows];
  const uint8_t* interleaved;
  IQK_MEMBER WordsToSource(uint8_t (*to)[Rows], const uint8_t* from) : words(to), interleaved(from) {}
  IQK_MEMBER void number(int s, int sbit, int d, int dbit, int count) const {
    move_bits<Word<Rows>>(interleaved + d, dbit, words[s], sbit, in_all_bytes<Rows>(count));
  }
};
template <class Mover>
struct Rest : Mover {
  IQK_MEMBER void number(int, int, int, int, int) const {}
  IQK_MEMBER void quad(Place, Place, int) const {}
};

// What a map has.
struct Extent {
  int offset = 0;  // of lines
  int first_line = 1 << 20, lines_end = 0;
  int first_word = 1 << 20, words_end = 0;
  uint64_t used[2] = {};  // lines
  bool dense() const {    // all lines from the first to the last
    int count = 0;
    for (int n = first_line; n < lines_end; ++n) count += static_cast<int>(used[n / 64] >> n % 64 & 1);
    return count == lines_end - first_line;
  }
};
struct Probe : NoFields {
  Extent* extent;
  IQK_MEMBER explicit Probe(Extent* to) : extent(to) {}
  IQK_MEMBER void quad(Place s, Place, int) const {
    const int n = s.byte / 4;
    extent->offset = s.byte % 4;
    if (n < extent->first_line) extent->first_line = n;
    if (n >= extent->lines_end) extent->lines_end = n + 1;
    extent->used[n / 64] |= uint64_t{1} << n % 64;
  }
  IQK_MEMBER void number(int s, int, int, int, int) const {
    if (s < extent->first_word) extent->first_word = s;
    if (s >= extent->words_end) extent->words_end = s + 1;
  }
};

// Four dwords of each of four rows to four lines of four rows, or back.
using Dwords = uint32_t __attribute__((vector_size(16)));
struct Square {
  Dwords row[4];
};
IQK_INLINE Square transpose(const Square& x) {
  const Dwords a = __builtin_shufflevector(x.row[0], x.row[1], 0, 4, 1, 5);
  const Dwords b = __builtin_shufflevector(x.row[2], x.row[3], 0, 4, 1, 5);
  const Dwords c = __builtin_shufflevector(x.row[0], x.row[1], 2, 6, 3, 7);
  const Dwords d = __builtin_shufflevector(x.row[2], x.row[3], 2, 6, 3, 7);
  return {{__builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
           __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)}};
}

template <class F, class Base>
struct Group {
  static constexpr int kRows = F::kRows;
  static constexpr int kBlock = F::kMapWeights / F::kWeights * F::kBytes;  // of one row, on both sides
  static constexpr int kHeaders = F::kHeader * kRows;                      // of the interleaved side
  static_assert(Base::kBytes == F::kBytes && Base::kWeights == F::kWeights && kBlock / 4 <= 128);
  using Lines = Line<kRows>[kBlock / 4];
  using Words = uint8_t[kBlock][kRows];

  static int64_t blocks(int64_t k) { return k / F::kMapWeights; }
  static int64_t row_bytes(int64_t k) { return Base::kHeader + blocks(k) * kBlock; }

  IQK_INLINE Extent extent() {
    Extent e;
    F::map(Probe(&e), 0);
    return e;
  }

  // Fetches the next group, `ahead` bytes from here, while a block of this one is moved: the CPU does not see
  // by itself where the short rows of the next group begin. Blocks of one cache line are over too soon.
  IQK_INLINE void prefetch(const uint8_t* from, int64_t from_ahead, const uint8_t* to, int64_t to_ahead) {
    if constexpr (kBlock * kRows > 64)
      for (int i = 0; i < kBlock * kRows; i += 64) {
        __builtin_prefetch(from + from_ahead + i);
        __builtin_prefetch(to + to_ahead + i, 1);
      }
  }

  // The lines of the blocks of all rows, `stride` bytes apart.
  IQK_INLINE void read_lines(const Extent& e, const uint8_t* blocks, int64_t stride, Lines& lines) {
    blocks += e.offset;
    int n = e.first_line;
    for (; n + 4 <= e.lines_end; n += 4)
      for (int row = 0; row < kRows; row += 4) {
        Square x;
        for (int i = 0; i < 4; ++i) x.row[i] = read<Dwords>(blocks + (row + i) * stride + 4 * n);
        x = transpose(x);
        for (int i = 0; i < 4; ++i) std::memcpy(lines[n + i].of + row, &x.row[i], 16);
      }
    for (; n < e.lines_end; ++n)
      for (int row = 0; row < kRows; ++row) lines[n].of[row] = read<uint32_t>(blocks + row * stride + 4 * n);
  }
  // Back. Between lines that are not dense lies something else, already written: then they are added to it.
  template <bool Dense>
  IQK_INLINE void write_lines(const Extent& e, const Lines& lines, uint8_t* blocks, int64_t stride) {
    blocks += e.offset;
    const auto put = [](uint8_t* to, auto x) IQK_LAMBDA {
      if constexpr (!Dense) x |= read<decltype(x)>(to);
      std::memcpy(to, &x, sizeof x);
    };
    int n = e.first_line;
    for (; n + 4 <= e.lines_end; n += 4)
      for (int row = 0; row < kRows; row += 4) {
        Square x;
        for (int i = 0; i < 4; ++i) std::memcpy(&x.row[i], lines[n + i].of + row, 16);
        x = transpose(x);
        for (int i = 0; i < 4; ++i) put(blocks + (row + i) * stride + 4 * n, x.row[i]);
      }
    for (; n < e.lines_end; ++n)
      for (int row = 0; row < kRows; ++row) put(blocks + row * stride + 4 * n, lines[n].of[row]);
  }

  static void repack(const uint8_t* from, int64_t k, uint8_t* to, bool more) {
    const int64_t stride = row_bytes(k), size = kHeaders + blocks(k) * kBlock * kRows;
    const int64_t from_ahead = more ? stride * kRows : 0, to_ahead = more ? size : 0;
    const uint8_t* group = from;
    std::memset(to, 0, static_cast<size_t>(size));
    if constexpr (kHeaders != 0)
      for (int row = 0; row < kRows; ++row) F::map_header(ToInterleaved{from + row * stride, to}, row);
    from += Base::kHeader;
    to += kHeaders;
    const Extent e = extent();
    for (int64_t b = blocks(k); b > 0; --b, from += kBlock, group += kBlock * kRows, to += kBlock * kRows) {
      prefetch(group, from_ahead, to, to_ahead);
      Lines lines;
      Words words;
      read_lines(e, from, stride, lines);
      for (int row = 0; row < kRows; ++row)
        for (int n = e.first_word; n < e.words_end; ++n) words[n][row] = from[row * stride + n];
      unroll<kRows>([&](auto row)
                        IQK_LAMBDA { F::map(Rest<ToInterleaved>{{from + row * stride, to}}, row); });
      F::map(WordsToInterleaved<kRows>(words, to), 0);
      F::map(LinesToInterleaved<kRows>(lines, to), 0);
    }
  }
  static void unpack(const uint8_t* from, int64_t k, uint8_t* to, bool more) {
    const int64_t stride = row_bytes(k), size = kHeaders + blocks(k) * kBlock * kRows;
    const int64_t from_ahead = more ? size : 0, to_ahead = more ? stride * kRows : 0;
    const uint8_t* group = to;
    std::memset(to, 0, static_cast<size_t>(stride * kRows));
    if constexpr (kHeaders != 0)
      for (int row = 0; row < kRows; ++row) F::map_header(ToSource{to + row * stride, from}, row);
    from += kHeaders;
    uint8_t* target = to + Base::kHeader;
    const Extent e = extent();
    const bool dense = e.dense();
    for (int64_t b = blocks(k); b > 0;
         --b, from += kBlock * kRows, group += kBlock * kRows, target += kBlock) {
      prefetch(from, from_ahead, group, to_ahead);
      Lines lines;
      Words words;
      for (int n = e.first_line; n < e.lines_end; ++n) lines[n] = {};
      for (int n = e.first_word; n < e.words_end; ++n)
        for (int row = 0; row < kRows; ++row) words[n][row] = 0;
      F::map(LinesToSource<kRows>(lines, from), 0);
      F::map(WordsToSource<kRows>(words, from), 0);
      unroll<kRows>([&](auto row) IQK_LAMBDA {
        uint8_t* block = target + row * stride;
        F::map(Rest<ToSource>{{block, from}}, row);
        for (int n = e.first_word; n < e.words_end; ++n)
          block[n] = static_cast<uint8_t>(block[n] | words[n][row]);
      });
      if (dense)
        write_lines<true>(e, lines, target, stride);
      else
        write_lines<false>(e, lines, target, stride);
    }
    if constexpr (Base::kHeader > F::kHeader)
      for (int row = 0; row < kRows; ++row) F::restore_header(to + row * stride, k);
  }
};

template <class F, class Base>
constexpr Moves moves_of() {
  if constexpr (std::is_same_v<Base, none_facts>)
    return {nullptr, nullptr};
  else
    return {Group<F, Base>::repack, Group<F, Base>::unpack};
}

struct Entry {
  int id;
  Moves moves;
};
constexpr Entry kEntries[] = {
#define IQK_FORMAT(name, id, family, weights, bytes, header, rows, base, ...) \
  {id, moves_of<name, base##_facts>()},
#include "iqk/formats.inc"
};

}  // namespace IQK_NS

namespace iqk {

namespace {

constexpr int64_t kTileBytes = 1 << 17;  // of work handed to a thread at a time

// The groups of a matrix as plain and as interleaved bytes.
struct Pair {
  maps::Moves moves;
  int64_t groups, plain_bytes = 0, interleaved_bytes = 0;

  Pair(const Type& type, int64_t rows, int64_t k) : moves{}, groups(rows / type.interleave) {
    for (const maps::Entry& entry : maps::kEntries)
      if (entry.id == type.id) moves = entry.moves;
    if (moves.repack == nullptr) throw BadType(std::string(type.name) + " is not repacked from another type");
    interleaved_bytes = matrix_bytes(type, type.interleave, k);
    for (const Type& base : types())
      if (std::string(base.name) == type.base) plain_bytes = matrix_bytes(base, type.interleave, k);
    matrix_bytes(type, rows, k);
  }
  // f(group, worker) for all groups, a tile of them at a time.
  template <class F>
  void each_group(int threads, F&& f) const {
    const int64_t step = std::max<int64_t>(1, kTileBytes / std::max<int64_t>(1, plain_bytes));
    parallel_for(threads, (groups + step - 1) / step, [&](int64_t tile, int worker) {
      for (int64_t g = tile * step; g < std::min(groups, (tile + 1) * step); ++g) f(g, worker);
    });
  }
};

}  // namespace

void repack(const Type& type, const uint8_t* from, int64_t rows, int64_t k, uint8_t* out, int threads) {
  const Pair pair(type, rows, k);
  if (from != out) {
    pair.each_group(threads, [&](int64_t g, int) {
      pair.moves.repack(from + g * pair.plain_bytes, k, out + g * pair.interleaved_bytes,
                        g + 1 < pair.groups);
    });
    return;
  }
  // In place. Where groups become smaller, one is written over the end of the one before: in order only.
  if (pair.interleaved_bytes != pair.plain_bytes) threads = 1;
  threads = std::min(threads, kMaxThreads);
  AlignedBuffer copies(static_cast<size_t>(pair.plain_bytes * threads));
  pair.each_group(threads, [&](int64_t g, int worker) {
    uint8_t* copy = static_cast<uint8_t*>(copies.data()) + pair.plain_bytes * worker;
    std::memcpy(copy, from + g * pair.plain_bytes, static_cast<size_t>(pair.plain_bytes));
    pair.moves.repack(copy, k, out + g * pair.interleaved_bytes, false);
  });
}

void unpack(const Type& type, const uint8_t* from, int64_t rows, int64_t k, uint8_t* out, int threads) {
  const Pair pair(type, rows, k);
  pair.each_group(threads, [&](int64_t g, int) {
    pair.moves.unpack(from + g * pair.interleaved_bytes, k, out + g * pair.plain_bytes, g + 1 < pair.groups);
  });
}

}  // namespace iqk

// IQ3_S_R4: four rows of IQ3_S; signs in a bit tile.
#pragma once

#include <type_traits>

#include "iqk/formats/grid_tiles.h"
#include "iqk/formats/iq3_s.h"

namespace IQK_NS {

struct IQ3_S_R4 : Interleaved<IQ3_S_R4, IQ3_S, IQ3_S_R4_facts>,
                  SignedGridTrait<IQ3_S_R4, std::conditional<kReadsTiles, GroupOrder, PairTileOrder>::type> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int b = 0; b < 8; ++b) {
      for (int u = 0; u < 8; ++u) {
        m.number(2 + 8 * b + u, 0, 8 + 32 * b + 8 * (u % 4) + 4 * (u / 4) + row, 0, 8);
        m.spread({74 + 4 * b + u / 2, 4 * (u % 2)}, {296 + 16 * b + 4 * row, u});
      }
      m.number(66 + b, 0, 264 + 4 * b + row, 0, 8);
    }
    move_numbers(m, 8, Fields<4>{106}, List<4>{424, 16, row, 4});
  }

  static constexpr int kMax = IQ3_S::kMax, kIndexWords = 256, kStreams = 1;
  static constexpr float kOffset = IQ3_S::kOffset;

  static constexpr BytePattern kByteOfRow =
      byte_pattern([](int lane, int y) { return 4 * (lane / 2) + y % 4; });
  static constexpr BytePattern kBitOfQuad =
      byte_pattern([](int lane, int y) { return 1 << (lane % 2 * 2 + y / 8 + y / 4 % 2 * 4); });

  // 8 bits and one more; 64 bytes are two sub-blocks, of which a lane has two quads and the same four rows
  // later.
  IQK_INLINE void put_words(In in, uint16_t* to) {
    unroll<4>([&](auto n) IQK_LAMBDA {
      constexpr int kPair = decltype(n)::value % 2 * 8;
      const Bytes low = load(in.block + 8 + 64 * n), bit = load(kBitOfQuad);
      const Bytes bytes =
          lookup(load_broadcast(in.block + 264 + 16 * (n / 2)), load(kByteOfRow) + splat(kPair));
      const Bytes high = equal(bytes & bit, bit) & splat(1);
      store(to + 64 * n, zip_lo8(low, high));
      store(to + 64 * n + 32, zip_hi8(low, high));
    });
  }
  IQK_INLINE void indices(In in, uint16_t* to) {
    first_grid4_tile_parts(kIq3s, in.block + 8, in.block + 264, to,
                           [&](uint16_t* words) IQK_LAMBDA { put_words(in, words); });
  }
  static constexpr int at(int b, int u, int row) {
    return 64 * (b / 2) + 32 * (u % 2) + 16 * (b % 2) + 8 * (u % 4 / 2) + 4 * (u / 4) + row;
  }

  struct Group {
    In in;
    Bytes numbers;
    BitRows<4> signs;
  };
  template <int R>
  struct Row {
    In in;
    Small numbers;
    Bytes signs;
  };
  IQK_INLINE Group group(In in) {
    const Bytes scales =
        shr16_halves<0, 4>(load_broadcast(in.block + 424)) & splat(15);  // lanes 0 and 1, 2 and 3 equal
    return {in, row_numbers(scales), BitRows<4>(in.block + 296)};
  }
  template <int R, class Put>
  IQK_INLINE void codes(const RowInTile<R>& row, Put put) {
    grid4_tile_words<R>(kIq3s, row.in.index, bit_row_signs<R>(row.in.block + 296), put);
  }
  static constexpr bool kLaneScales = kReadsTiles;
  template <int R>
  IQK_INLINE Floats<16> lane_scales(const RowInTile<R>& row) {
    return odd_listed_lanes<R, 0>(row.in.block + 424) * splat_half<16>(row.in.block + 2 * R);
  }
  template <int R>
  IQK_INLINE Floats<8> scales(const RowInTile<R>& row) {
    return odd_listed<R, 0>(row.in.block + 424) * splat_half<8>(row.in.block + 2 * R);
  }
  using SignedGridTrait::row;
  template <int R>
  IQK_INLINE Row<R> row(const Group& g, Constant<R> r) {
    return {g.in, lane<R>(g.numbers), g.signs.row(r)};
  }
  template <int R, class Put>
  IQK_INLINE void codes(const Row<R>& row, Put put) {
    unroll<4>([&](auto v) IQK_LAMBDA {
      const Bytes x = grid4(kIq3sGrid, [&](auto i) IQK_LAMBDA {
        constexpr int I = decltype(i)::value;  // the dword's sub-block and quad, see PairTileOrder
        return row.in.index[at(I / 8 * 4 + I % 4, I / 4 % 2 * 4 + v, R)];
      });
      const Bytes bit = splat(16 << v), negative = equal(row.signs & bit, bit);
      put(v, (x ^ negative) + (negative & splat(2 * kIq3sBias + 1)));  // - x + 2 bias
    });
  }
  template <int R>
  IQK_INLINE Floats<8> scales(const Row<R>& row) {
    const Small s = shuffle<0, 1, 2, 3, 8, 9, 10, 11, -1, -1, -1, -1, -1, -1, -1, -1>(row.numbers);
    return floats_u8<8>((s + s) | small_splat(1)) * splat_half<8>(row.in.block + 2 * R);
  }
};

}  // namespace IQK_NS

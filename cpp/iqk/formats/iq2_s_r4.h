// IQ2_S_R4: four rows of IQ2_S.
#pragma once

#include "iqk/formats/grid_tiles.h"
#include "iqk/formats/iq2_s.h"

namespace IQK_NS {

struct IQ2_S_R4 : Interleaved<IQ2_S_R4, IQ2_S, IQ2_S_R4_facts>, SignedGridTrait<IQ2_S_R4, GroupOrder16> {
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int b = 0; b < 8; ++b) {
      m.quad({2 + 4 * b, 0}, {8 + 16 * b + 4 * row, 0}, 8);
      m.number(66 + b, 0, 136 + 4 * b + row, 0, 8);
      m.quad({34 + 4 * b, 0}, {168 + 16 * b + 4 * row, 0}, 8);
      m.number(74 + b, 0, 296 + 4 * b + row, 0, 8);
    }
  }

  static constexpr int kMax = IQ2_S::kMax, kIndexWords = 128;
  static constexpr float kOffset = IQ2_S::kOffset;

  static constexpr BytePattern kByteOfRow =
      byte_pattern([](int lane, int y) { return y % 2 ? 128 : 4 * lane + y / 8; });

  // A lane has a sub-block: rows 0 and 1, or 2 and 3. 8 bits and two more, as in IQ2_S.
  IQK_INLINE void put_words(In in, uint16_t* to) {
    unroll<2>([&](auto n) IQK_LAMBDA {
      const Bytes low = load(in.block + 8 + 64 * n), bytes = load_broadcast(in.block + 136 + 16 * n);
      const auto high = [&](int from) IQK_LAMBDA {
        return shl16<2>(mul16(lookup(bytes, load(kByteOfRow) + splat(from)), load(kTimes64_16_4_1))) &
               splat16(0x300);
      };
      const Bytes first = zip_lo8(low, splat(0)) | high(0), last = zip_hi8(low, splat(0)) | high(2);
      store(to + 64 * n, zip_lo128(first, last));
      store(to + 64 * n + 32, zip_hi128(first, last));
    });
  }
  IQK_INLINE void indices(In in, uint16_t* to) {
    first_grid8_tile_parts(kIq2s, in.block + 8, in.block + 136, to,
                           [&](uint16_t* words) IQK_LAMBDA { put_words(in, words); });
  }
  IQK_INLINE GridGroup group(In in) {
    GridGroup g;
    g.in = in;
    g.numbers = row_numbers8(in.block + 296);
    put_bits(load(in.block + 168), load(in.block + 232), g.bits);
    return g;
  }
  template <int R, class Put>
  IQK_INLINE void codes(const RowInTile<R>& row, Put put) {
    grid8_tile_words<R>(kIq2s, row.in.index, row_signs<R>(row.in.block + 168), put);
  }
  template <int R, class Put>
  IQK_INLINE void codes(const GridRow<R>& row, Put put) {
    grid8_tile_words<R>(kIq2s, row.in.index, load_signs(row.bits), put);
  }
  template <int R>
  IQK_INLINE Floats<16> scales(const RowInTile<R>& row) {
    return odd_row_nibbles<R, 3>(row.in.block + 296) * splat_half<16>(row.in.block + 2 * R);
  }
  template <int R>
  IQK_INLINE Floats<16> scales(const GridRow<R>& row) {
    return odd_nibble_scales(row.numbers) * (splat_half<16>(row.in.block + 2 * R) * fsplat<16>(0.125f));
  }
};

}  // namespace IQK_NS

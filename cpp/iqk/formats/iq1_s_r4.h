// IQ1_S_R4: blocks of 32 weights of four rows, coded as in IQ1_S, with one fp16 scale per row.
#pragma once

#include "iqk/formats/grid_tiles.h"

namespace IQK_NS {

struct IQ1_S_R4 : IQ1_S_R4_facts, GridTrait<GroupOrder> {
  static void unpack(In in, Unit& u) {
    const float d = half(in.header + 2 * in.row) / 8;
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + kBytes * kRows * b;
      const int word = read<uint16_t>(p + 16 + 2 * in.row);
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>(2 * (word >> 12 & 7) + 1);
      for (int l = 0; l < 4; ++l) {
        const int index = p[4 * l + in.row] | (word >> 3 * l & 7) << 8;
        put_shifted(u.q + 32 * b + 8 * l, index, word >> 15);
      }
    }
  }

  // Values as in IQ1_S.
  static constexpr int kMax = 2, kIndexWords = 128, kStride = kBytes * kRows;
  static constexpr float kOffset = kIq1sBias - 0.125f, kShift = -0.25f;
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return half(in.header + 2 * in.row); }

  static constexpr BytePattern kWordOfRow = byte_pattern([](int, int y) { return 8 + y % 8; });
  static constexpr BytePattern kTimes512_64 =
      byte_pattern([](int, int y) { return y % 2 ? (y < 8 ? 2 : 0) : (y < 8 ? 0 : 64); });
  static constexpr BytePattern kTimes8_1 = byte_pattern([](int, int y) { return y % 2 ? 0 : y < 8 ? 8 : 1; });
  static constexpr BytePattern kTopOfRow = byte_pattern([](int, int y) { return y % 4 ? 128 : 9 + y / 2; });

  // A lane has a block: groups 0 and 1 of all rows, then 2 and 3.
  IQK_INLINE void indices(In in, uint16_t* to) {
    unroll<2>([&](auto n) IQK_LAMBDA {
      const uint8_t* p = in.block + 4 * kStride * n;
      const Bytes low = load_lanes(p, kStride), words = lookup(load_lanes(p + 8, kStride), load(kWordOfRow));
      const auto high = [&](const uint8_t* times)
                            IQK_LAMBDA { return shr16<1>(mul16(words, load(times)) & splat16(0xe00)); };
      store(to + 64 * n, zip_lo8(low, splat(0)) | high(kTimes512_64));
      store(to + 64 * n + 32, zip_hi8(low, splat(0)) | high(kTimes8_1));
    });
  }
  static constexpr int at(int b, int l, int row) {
    return b / 4 * 64 + l / 2 * 32 + b % 4 * 8 + l % 2 * 4 + row;
  }

  IQK_INLINE GridGroup open(In in) {
    const auto tops = [&](int b) IQK_LAMBDA {
      return lookup(load_lanes(in.block + kStride * b + 8, kStride), load(kTopOfRow));
    };
    GridGroup g;
    g.in = in;
    g.numbers = paired_numbers(tops(0), tops(4));
    return g;
  }
  template <int R, class Put>
  IQK_INLINE void codes(const GridRow<R>& row, Put put) {
    unroll<4>([&](auto l) IQK_LAMBDA {
      put(l, grid8(kIq1sGrid, [&](auto b) IQK_LAMBDA { return row.in.index[at(b, l, R)]; }));
    });
  }
  template <int R>
  IQK_INLINE Floats<8> scales(const GridRow<R>& row) {
    return floats_u8<8>((shr16<3>(eight_numbers(row.numbers)) & small_splat(14)) | small_splat(1));
  }
  template <int R>
  IQK_INLINE uint32_t shifts(const GridRow<R>& row) {
    return bit_of_bytes(low64(eight_numbers(row.numbers)), 7);
  }
};

}  // namespace IQK_NS

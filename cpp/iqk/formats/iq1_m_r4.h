// IQ1_M_R4: blocks of 32 weights of four rows, coded as in IQ1_M, with plain 4-bit scales; fp16 per row.
#pragma once

#include "iqk/formats/grid_tiles.h"

namespace IQK_NS {

struct IQ1_M_R4 : IQ1_M_R4_facts, GridTrait<GroupOrder16> {
  static void unpack(In in, Unit& u) {
    const float d = half(in.header + 2 * in.row) / 8;
    for (int b = 0; b < 8; ++b) {
      const uint8_t* p = in.block + kBytes * kRows * b + in.row;
      u.scale[2 * b] = d * static_cast<float>(p[24] & 15);
      u.scale[2 * b + 1] = d * static_cast<float>(p[24] >> 4);
      for (int l = 0; l < 4; ++l) {
        const int high = p[16 + 4 * (l / 2)] >> 4 * (l % 2);
        put_shifted(u.q + 32 * b + 8 * l, p[4 * l] | (high & 7) << 8, high & 8);
      }
    }
  }

  // Codes as in IQ1_M.
  static constexpr int kMax = 18, kIndexWords = 128, kStride = kBytes * kRows;
  static constexpr float kOffset = 9;
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return half(in.header + 2 * in.row) * 0.125f; }

  static constexpr BytePattern kByteOfRow =
      byte_pattern([](int, int y) { return y % 2 ? 4 + y / 2 % 4 : 128; });
  static constexpr BytePattern kFirstHalf = byte_pattern([](int, int y) { return y < 8 ? 0x07 : 0; });
  static constexpr BytePattern kSecondHalf = byte_pattern([](int, int y) { return y < 8 ? 0 : 0x07; });
  static constexpr BytePattern kScaleOfRow =
      byte_pattern([](int, int y) { return y % 4 ? 128 : 12 + y / 4; });

  // A lane has a block: groups 0 and 1 of all rows, with the low and the high nibbles of four bytes, then 2
  // and 3.
  IQK_INLINE void indices(In in, uint16_t* to) {
    unroll<2>([&](auto n) IQK_LAMBDA {
      const uint8_t* p = in.block + 4 * kStride * n;
      const Bytes low = load_lanes(p, kStride), bytes = load_lanes(p + 12, kStride);
      const auto high = [&](int from) IQK_LAMBDA {
        const Bytes x = lookup(bytes, load(kByteOfRow) + splat(from));
        return (x & load(kFirstHalf)) | (shr16<4>(x) & load(kSecondHalf));
      };
      store(to + 64 * n, zip_lo8(low, splat(0)) | high(0));
      store(to + 64 * n + 32, zip_hi8(low, splat(0)) | high(4));
    });
  }
  static constexpr int at(int b, int l, int row) {
    return b / 4 * 64 + l / 2 * 32 + b % 4 * 8 + l % 2 * 4 + row;
  }

  // The bits of a row are the nibbles of its 32 groups, two to a byte.
  IQK_INLINE GridGroup open(In in) {
    const auto nibbles = [&](int b) IQK_LAMBDA { return read<uint64_t>(in.block + kStride * b + 16); };
    const auto scales = [&](int b) IQK_LAMBDA {
      return lookup(load_lanes(in.block + kStride * b + 12, kStride), load(kScaleOfRow));
    };
    const Bytes bits = row_numbers(bytes_of(nibbles(0), nibbles(1), nibbles(2), nibbles(3), nibbles(4),
                                            nibbles(5), nibbles(6), nibbles(7)));
    GridGroup g;
    g.in = in;
    g.numbers = paired_numbers(scales(0), scales(4));
    unroll<4>([&](auto k) IQK_LAMBDA { small_store(g.bits[k], lane<decltype(k)::value>(bits)); });
    return g;
  }
  template <int R, class Put>
  IQK_INLINE void codes(const GridRow<R>& row, Put put) {
    const Bytes nibbles = load_broadcast(row.bits);
    unroll<4>([&](auto l) IQK_LAMBDA {
      constexpr int L = decltype(l)::value;
      const Bytes digits = grid8(kIq1sGrid, [&](auto b) IQK_LAMBDA { return row.in.index[at(b, l, R)]; });
      const Bytes flags = lookup(nibbles, load(kByteOfChunk) + splat(L / 2));
      put(l, add_unless(shl16<3>(digits), flags, splat(L % 2 ? 0x80 : 0x08), splat(2)));
    });
  }
  template <int R>
  IQK_INLINE Floats<16> scales(const GridRow<R>& row) {
    return floats_u8<16>(nibbles_in_turn(eight_numbers(row.numbers)));
  }
};

}  // namespace IQK_NS

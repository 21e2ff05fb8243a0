// IQ2_S_R4: four rows of IQ2_S.
#pragma once

#include "iqk/formats/grid_tiles.h"
#include "iqk/formats/iq2_s.h"

namespace IQK_NS {

struct IQ2_S_R4 : Interleaved<IQ2_S_R4, IQ2_S, IQ2_S_R4_facts>, GridTrait<GroupOrder16> {
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

  // A lane has a sub-block: rows 0 and 1, then 2 and 3. 8 bits and two more, as in IQ2_S.
  IQK_INLINE void indices(In in, uint16_t* to) {
    unroll<2>([&](auto n) IQK_LAMBDA {
      const Bytes low = load(in.block + 8 + 64 * n), bytes = load_broadcast(in.block + 136 + 16 * n);
      const auto high = [&](int from) IQK_LAMBDA {
        return shl16<2>(mul16(lookup(bytes, load(kByteOfRow) + splat(from)), load(kTimes64_16_4_1))) &
               splat16(0x300);
      };
      store(to + 64 * n, zip_lo8(low, splat(0)) | high(0));
      store(to + 64 * n + 32, zip_hi8(low, splat(0)) | high(2));
    });
  }
  static constexpr int at(int b, int l, int row) {
    return b / 4 * 64 + row / 2 * 32 + b % 4 * 8 + row % 2 * 4 + l;
  }
  IQK_INLINE GridGroup open(In in) {
    GridGroup g;
    g.in = in;
    g.numbers = row_numbers8(in.block + 296);
    put_bits(load(in.block + 168), load(in.block + 232), g.bits);
    return g;
  }
  template <int R, class Put>
  IQK_INLINE void codes(const GridRow<R>& row, Put put) {
    const Signs signs = load_signs(row.bits);
    unroll<4>([&](auto l) IQK_LAMBDA {
      const Bytes x = grid8(kIq2sGrid, [&](auto b) IQK_LAMBDA { return row.in.index[at(b, l, R)]; });
      put(l, flip_signs<decltype(l)::value>(x, signs, 2 * kIq2Bias));
    });
  }
  template <int R>
  IQK_INLINE Floats<16> scales(const GridRow<R>& row) {
    return odd_nibble_scales(row.numbers) * (splat_half<16>(row.in.block + 2 * R) * fsplat<16>(0.125f));
  }
};

}  // namespace IQK_NS

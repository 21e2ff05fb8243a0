// IQ3_K_R4: four rows of IQ3_K.
#pragma once

#include "iqk/formats/iq3_k.h"
#include "iqk/formats/iqk_r4.h"

namespace IQK_NS {

struct IQ3_K_R4 : Interleaved<IQ3_K_R4, IQ3_K, IQ3_K_R4_facts>, TileTrait<IQ3_K, PairTileOrder> {
  template <class Mover>
  static void map(Mover m, int row) {
    move_scale_and_shifts(m, row);
    move_numbers(m, 16, Fields<1>{4}, List<1>{16, 8, row, 4});
    move_numbers(m, 16, Fields<4>{6}, List<4>{24, 32, row, 4});
    move_codes(m, 8, BitPairs{14}, PairTile{56, row});
    move_codes(m, 8, SingleBits{78}, BitTile{312, row, kOrderA});
  }

  using Tile = TileAndHigh<PairRows, BitRows<4>>;
  IQK_INLINE TileGroup<Tile> open(In in) {
    return {{in.block + 56, in.block + 312},
            row_numbers(signed_scales(in.block)),
            in.block,
            load_shifts(in.block)};
  }
  template <class Put>
  IQK_INLINE void codes(const TileRow<CodesAndHigh<Bytes>>& row, Put put) {
    const Bytes levels = load_broadcast(kIq3Levels[0]);
    unroll<4>([&](auto v) IQK_LAMBDA { put(v, lookup(levels, three_bits<decltype(v)::value>(row.codes))); });
  }

  static constexpr BytePattern kSignBit =
      byte_pattern([](int lane, int y) { return 1 << (2 * lane + y / 8); });
  // Odd scales; their signs are in eight bytes like the shift bits.
  IQK_INLINE Bytes signed_scales(const uint8_t* block) {
    const uint64_t bits = read<uint64_t>(block + 16);
    const Bytes s = four_bit_list(block + 24), odd = (s + s) | splat(1), bit = load(kSignBit);
    const Bytes sign = equal(bytes_of(bits, bits, bits, bits, bits, bits, bits, bits) & bit, bit);  // 0 or -1
    return (odd ^ sign) - sign;
  }
};

}  // namespace IQK_NS

// IQ4_XS_R8: eight rows of IQ4_XS.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/iq4_xs.h"

namespace IQK_NS {

struct IQ4_XS_R8 : Interleaved<IQ4_XS_R8, IQ4_XS, IQ4_XS_R8_facts>, LineOrder {
  // 32 bytes are two quads of eight rows.
  struct Tile {
    static constexpr int kBits = 4;
    int at, row;
    IQK_MEMBER Place operator()(int b, int u) const {
      return {at + 128 * b + 32 * (u / 2) + 4 * row, 4 * (u % 2)};
    }
  };
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    move_numbers(m, 8, Fields<2>{2}, List<2>{16, 16, row, 8});
    move_numbers(m, 8, Fields<4>{4}, List<4>{32, 32, row, 8});
    move_codes(m, 8, NearNibbles{8}, Tile{64, row});
  }

  static constexpr int quad(int n, int half) { return 4 * (n / 2) + n % 2 + 2 * half; }
  template <class Put>
  IQK_INLINE void lines(In in, int b, Put put) {
    const Bytes table = signed_codes(load_broadcast(kIq4k[0]));
    each_nibble_line(in.block + 64 + 128 * b, [&](auto n, Bytes x) IQK_LAMBDA { put(n, lookup(table, x)); });
  }
  // Eight bytes of each list are the rows of a sub-block; the sub-blocks go through the bytes, then through
  // the bits.
  IQK_INLINE Floats<8> line_scales(In in, int b) {
    const uint64_t low = read<uint64_t>(in.block + 32 + b % 4 * 8) >> 4 * (b / 4) & 0x0f0f0f0f0f0f0f0f;
    const uint64_t high = read<uint64_t>(in.block + 16 + b % 2 * 8) >> 2 * (b / 2) & 0x0303030303030303;
    return floats_i8<8>(small_of(low | high << 4, 0) - small_splat(32)) * strided_halves<2>(in.block);
  }
};

}  // namespace IQK_NS

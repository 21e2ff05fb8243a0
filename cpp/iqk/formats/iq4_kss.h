// IQ4_KSS: 256 weights in 64 words, float scale per row. The lowest bits of eight words are a shift bit and
// a 7-bit scale of their 32 weights; the rest is four codes of even parity, as running XOR from the top.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/formats/planes.h"
#include "iqk/formats/vectors.h"

namespace IQK_NS {

struct IQ4_KSS : IQ4_KSS_facts, NearOrder {
  static void unpack(In in, Unit& u) {
    const float d = read<float>(in.header);
    for (int b = 0; b < 8; ++b) {
      int head = 0;
      uint8_t nibbles[16];
      for (int r = 0; r < 8; ++r) {
        const int word = read<uint16_t>(in.block + 16 * b + 2 * r), x = word & 0xfffe, codes = x ^ x >> 1;
        head |= (word & 1) << r;
        nibbles[2 * r] = static_cast<uint8_t>(codes);
        nibbles[2 * r + 1] = static_cast<uint8_t>(codes >> 8);
      }
      u.scale[2 * b] = u.scale[2 * b + 1] = d * static_cast<float>((head & 254) - 127);
      split_nibbles(nibbles, u.q + 32 * b);
      look_up(kIq4k[head & 1], u.q + 32 * b, 32);
    }
  }

  static constexpr float kShift = 4;
  static constexpr bool kRowScale = true;
  IQK_INLINE float row_scale(In in) { return read<float>(in.header); }
  template <class Put>
  IQK_INLINE void codes(In in, Put put) {
    const auto unscramble = [](Bytes words) IQK_LAMBDA {
      const Bytes x = words & splat16(0xfffe);
      return x ^ shr16<1>(x);
    };
    const uint8_t* p = in.block;
    const TwoVectors m = merge(unscramble(load_halves(p, p + 64)), unscramble(load_halves(p + 32, p + 96)));
    put_nibbles(m, signed_codes(load_broadcast(kIq4k[0])), put);
  }
  // The heads of the eight groups are bit 0 of each of their eight words.
  IQK_INLINE Floats<8> scales(In in) {
    return floats_i8<8>((small_of(lowest_word_bits(in.block), 0) & small_splat(254)) - small_splat(127));
  }
  IQK_INLINE uint32_t shifts(In in) { return bit_of_bytes(lowest_word_bits(in.block), 0); }
};

}  // namespace IQK_NS

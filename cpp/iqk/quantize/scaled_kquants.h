// Q3_K, Q6_K, IQ4_XS: blocks of 256 weights with a half-precision scale and an integer scale per 16 or 32.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/quantize/grouped_search.h"

namespace iqk::encode {

struct Q3_K {
  static constexpr int kBytes = 110, kGroup = 16, kTables = 1;
  static constexpr ScaleRange kRange{-32, 31, 1};
  static constexpr Effort kEffort{{-0.6f, 0.25f, 9}, 4, 1, 2};
  LinearLevels levels[1] = {{-4, 3}};

  static void put(uint16_t d, const Group* groups, const uint8_t* codes, uint8_t* out) {
    put_single_bits(codes, 2, out);
    put_bit_pairs(codes, 0, out + 32);
    for (int t = 0; t < 16; ++t) {
      const int s = groups[t].s + 32;
      out[96 + t % 8] = static_cast<uint8_t>(out[96 + t % 8] | (s & 15) << t / 8 * 4);
      out[104 + t % 4] = static_cast<uint8_t>(out[104 + t % 4] | s >> 4 << t / 4 * 2);
    }
    write(out + 108, d);
  }
};

struct Q6_K {
  static constexpr int kBytes = 210, kGroup = 16, kTables = 1;
  static constexpr ScaleRange kRange{-128, 127, 1};
  static constexpr Effort kEffort{{-0.9f, 0.25f, 6}, 1, 2, 1};
  LinearLevels levels[1] = {{-32, 31}};

  static void put(uint16_t d, const Group* groups, const uint8_t* codes, uint8_t* out) {
    put_split_nibbles<64>(codes, out);
    put_split_nibbles<64>(codes + 128, out + 64);
    put_bit_pairs(codes, 4, out + 128);
    for (int t = 0; t < 16; ++t) out[192 + t] = static_cast<uint8_t>(groups[t].s);
    write(out + 208, d);
  }
};

struct IQ4_XS {
  static constexpr int kBytes = 136, kGroup = 32, kTables = 1;
  static constexpr ScaleRange kRange{-32, 31, 1};
  static constexpr Effort kEffort{{-14, 3, 11}, 2, 1, 1};
  TableLevels levels[1] = {{kIq4k[0], 16}};

  static void put(uint16_t d, const Group* groups, const uint8_t* codes, uint8_t* out) {
    write(out, d);
    int high = 0;
    for (int b = 0; b < 8; ++b) {
      const int s = groups[b].s + 32;
      high |= s >> 4 << 2 * b;
      out[4 + b / 2] = static_cast<uint8_t>(out[4 + b / 2] | (s & 15) << b % 2 * 4);
    }
    write(out + 2, static_cast<uint16_t>(high));
    put_near_nibbles(codes, out + 8);
  }
};

}  // namespace iqk::encode

// IQ2_K .. IQ6_K: blocks of 256 weights with a half-precision scale, an integer scale per 16, and non-uniform
// levels in two variants. IQ2_KS .. IQ5_KS: an integer scale per 32, and the float scale belongs to the whole
// row.
#pragma once

#include "iqk/codebooks/codebooks.h"
#include "iqk/quantize/grouped_search.h"

namespace iqk::encode {

IQK_INLINE uint16_t table_bits(const Group* groups, int count) {
  int bits = 0;
  for (int g = 0; g < count; ++g) bits |= groups[g].table << g;
  return static_cast<uint16_t>(bits);
}
// The low four bits of scales plus `bias`, two to a byte.
IQK_INLINE void put_scale_nibbles(const Group* groups, int count, int bias, uint8_t* out) {
  for (int g = 0; g < count; g += 2)
    out[g / 2] = static_cast<uint8_t>(((groups[g].s + bias) & 15) | ((groups[g + 1].s + bias) & 15) << 4);
}
// Bits 4 and 5 of 16 scales plus 32, four to a byte.
IQK_INLINE void put_scale_pairs(const Group* groups, uint8_t* out) {
  for (int t = 0; t < 16; ++t)
    out[t / 4] = static_cast<uint8_t>(out[t / 4] | (groups[t].s + 32) >> 4 << t % 4 * 2);
}

struct IQ2_K {
  static constexpr int kBytes = 76, kGroup = 16, kTables = 2;
  static constexpr ScaleRange kRange{-8, 7, 1};
  static constexpr Effort kEffort{{-6, 2.5f, 8}, 6, 1, 3};
  TableLevels levels[2] = {{kIq2nl[0], 4}, {kIq2nl[1], 4}};

  static void put(uint16_t d, const Group* groups, const uint8_t* codes, uint8_t* out) {
    write(out, d);
    write(out + 2, table_bits(groups, 16));
    put_scale_nibbles(groups, 16, 8, out + 4);
    put_bit_pairs(codes, 0, out + 12);
  }
};

struct IQ3_K {
  static constexpr int kBytes = 110, kGroup = 16, kTables = 2;
  static constexpr ScaleRange kRange{-31, 31, 2};
  static constexpr Effort kEffort{{-10, 4, 8}, 4, 1, 2};
  TableLevels levels[2] = {{kIq3nl[0], 8}, {kIq3nl[1], 8}};

  static void put(uint16_t d, const Group* groups, const uint8_t* codes, uint8_t* out) {
    int signs = 0;
    for (int t = 0; t < 16; ++t) {
      const int s = groups[t].s, magnitude = s < 0 ? -s : s;
      signs |= (s < 0) << t;
      out[6 + t / 2] = static_cast<uint8_t>(out[6 + t / 2] | magnitude / 2 << t % 2 * 4);
    }
    write(out, d);
    write(out + 2, table_bits(groups, 16));
    write(out + 4, static_cast<uint16_t>(signs));
    put_bit_pairs(codes, 0, out + 14);
    put_single_bits(codes, 2, out + 78);
  }
};

struct IQ4_K {
  static constexpr int kBytes = 144, kGroup = 16, kTables = 2;
  static constexpr ScaleRange kRange{-32, 31, 1};
  static constexpr Effort kEffort{{-10, 4, 7}, 2, 1, 1};
  TableLevels levels[2] = {{kIq4k[0], 16}, {kIq4k[1], 16}};

  static void put(uint16_t d, const Group* groups, const uint8_t* codes, uint8_t* out) {
    write(out, d);
    write(out + 2, table_bits(groups, 16));
    put_scale_pairs(groups, out + 4);
    put_scale_nibbles(groups, 16, 32, out + 8);
    put_near_nibbles(codes, out + 16);
  }
};

struct IQ5_K {
  static constexpr int kBytes = 176, kGroup = 16, kTables = 2;
  static constexpr ScaleRange kRange{-32, 31, 1};
  static constexpr Effort kEffort{{-5, 2, 7}, 2, 1, 1};
  TableLevels levels[2] = {{kIq5nl[0], 32}, {kIq5nl[1], 32}};

  static void put(uint16_t d, const Group* groups, const uint8_t* codes, uint8_t* out) {
    write(out, d);
    write(out + 2, table_bits(groups, 16));
    put_scale_pairs(groups, out + 4);
    put_scale_nibbles(groups, 16, 32, out + 8);
    put_far_nibbles(codes, out + 16);
    put_single_bits(codes, 4, out + 144);
  }
};

struct IQ6_K {
  static constexpr int kBytes = 212, kGroup = 16, kTables = 2;
  static constexpr ScaleRange kRange{-127, 127, 1};
  static constexpr Effort kEffort{{-3, 1.2f, 6}, 1, 1, 1};
  TableLevels levels[2] = {{kIq6nl[0], 64}, {kIq6nl[1], 64}};

  static void put(uint16_t d, const Group* groups, const uint8_t* codes, uint8_t* out) {
    write(out, d);
    write(out + 2, table_bits(groups, 16));
    for (int t = 0; t < 16; ++t) out[4 + t] = static_cast<uint8_t>(groups[t].s);
    put_far_nibbles(codes, out + 20);
    put_bit_pairs(codes, 4, out + 148);
  }
};

struct IQ2_KS {
  static constexpr int kBytes = 70, kHeader = 2, kTables = 2;
  static constexpr ScaleRange kRange{-16, 15, 1};
  static constexpr Effort kEffort{{-6, 2.5f, 8}, 6, 1, 3};
  TableLevels levels[2] = {{kIq2nl[0], 4}, {kIq2nl[1], 4}};

  static void put(const Group* groups, const uint8_t* codes, uint8_t* out) {
    int extra = table_bits(groups, 8);
    for (int b = 0; b < 8; ++b) extra |= (groups[b].s + 16) >> 4 << (8 + b);
    write(out, static_cast<uint16_t>(extra));
    put_scale_nibbles(groups, 8, 16, out + 2);
    put_bit_pairs(codes, 0, out + 6);
  }
};

struct IQ3_KS {
  static constexpr int kBytes = 102, kHeader = 2, kTables = 2;
  static constexpr ScaleRange kRange{-16, 15, 1};
  static constexpr Effort kEffort{{-10, 4, 8}, 4, 1, 2};
  TableLevels levels[2] = {{kIq3nl[0], 8}, {kIq3nl[1], 8}};

  static void put(const Group* groups, const uint8_t* codes, uint8_t* out) {
    int extra = table_bits(groups, 8) << 8;
    for (int b = 0; b < 8; ++b) {
      const int s = groups[b].s + 16;
      extra |= s >> 4 << b;
      out[2 + b % 4] = static_cast<uint8_t>(out[2 + b % 4] | (s & 15) << b / 4 * 4);
    }
    write(out, static_cast<uint16_t>(extra));
    put_bit_pairs(codes, 0, out + 6);
    put_single_bits(codes, 2, out + 70);
  }
};

IQK_INLINE void put_scale_bytes(const Group* groups, uint8_t* out) {
  for (int b = 0; b < 8; ++b) out[b] = static_cast<uint8_t>((groups[b].s + 127) | groups[b].table);
}

struct IQ4_KS {
  static constexpr int kBytes = 136, kHeader = 4, kTables = 2;
  static constexpr ScaleRange kRange{-127, 127, 2};
  static constexpr Effort kEffort{{-14, 4, 9}, 1, 1, 1};
  TableLevels levels[2] = {{kIq4k[0], 16}, {kIq4k[1], 16}};

  static void put(const Group* groups, const uint8_t* codes, uint8_t* out) {
    put_scale_bytes(groups, out);
    put_near_nibbles(codes, out + 8);
  }
};

struct IQ5_KS {
  static constexpr int kBytes = 168, kHeader = 4, kTables = 2;
  static constexpr ScaleRange kRange{-127, 127, 2};
  static constexpr Effort kEffort{{-6, 2, 8}, 1, 1, 1};
  TableLevels levels[2] = {{kIq5nl[0], 32}, {kIq5nl[1], 32}};

  static void put(const Group* groups, const uint8_t* codes, uint8_t* out) {
    put_scale_bytes(groups, out);
    put_far_nibbles(codes, out + 8);
    put_single_bits(codes, 4, out + 136);
  }
};

}  // namespace iqk::encode

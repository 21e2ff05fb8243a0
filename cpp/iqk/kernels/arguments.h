// What the kernels of all instruction sets take, and the table through which the dispatcher finds them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "iqk/base/inline.h"

namespace iqk {

// Weights as the kernels walk over them: groups of rows (one row for plain formats), each a header and units
// of 256 columns. The last unit may be short: `tail_bytes` of it exist.
struct GroupWalk {
  const uint8_t* data;
  const uint8_t* header;  // of all groups (a scale per tensor), or nullptr: every group begins with its own
  ptrdiff_t group_bytes;
  int64_t full_units;
  int tail_bytes;
  ptrdiff_t ahead;  // what lies so many bytes behind a unit is asked for when the unit is read; 0: nothing
};

// What decoding fills, for row r of the group and the n-th unit of the call, i = r * units_per_row + n:
//   codes    [i][256], in the order of Derived::order
//   scales   [i][kScales], natural order, the row's scale included
//   offsets  [i][kScales], added to the codes before scaling; formats with kShift only
//   minima   [i][kScales], added after it; formats with kVectorMinima only
//   lanes    [i][kAccumulators][16], the scales of the codes' dword lanes; may be null
//   shifts   [i][kScales], dwords of four bytes to be added to the codes in place of the offsets;
//            formats with Derived::kCodeShift only; may be null
struct RowBuffers {
  uint8_t* codes;
  float* scales;
  float* offsets;
  float* minima;
  float* lanes;
  float* shifts;
  int units_per_row;
};

using RowDecoder = void (*)(const GroupWalk&, int64_t group, int64_t unit, int units, const RowBuffers&);

// A format as the users of its rows see it.
struct RowSource {
  int rows;  // of a group
  int unit;  // bytes
  int scales, accumulators;
  int code_class;       // of kRowCodes
  bool unsigned_codes;  // as decoded: else int8
  bool shift, minima, terms;
  bool row_scale;                // a float that multiplies all scales of a row
  bool code_shift, panel_terms;  // see Derived
  float bias;                    // code = value + bias, where there is no shift
  float panel_rest;              // of the bias, when the panel's is taken off
  float term_bias;               // of the bias, when what enters by first values is taken off
  bool runs_of_eight;    // neighbours in the order of the codes are neighbours in the row: else four of them
  const uint8_t* order;  // see GemvOrder::dword
  const uint8_t* line;   // of the panel, for each dword of codes
  RowDecoder decode;

  // The buffers from the i-th unit on.
  IQK_MEMBER RowBuffers from(const RowBuffers& b, int i) const {
    return {b.codes + 256 * i,
            b.scales + scales * i,
            b.offsets + scales * i,
            b.minima + scales * i,
            b.lanes ? b.lanes + 16 * accumulators * i : nullptr,
            b.shifts ? b.shifts + scales * i : nullptr,
            b.units_per_row};
  }
};

// Products of `groups` groups with C columns, decoding in registers.
struct GemvArgs {
  GroupWalk weights;
  int64_t groups;
  const uint8_t* activations;  // [unit][column] packed for the format, see GemvOrder
  float* out;                  // out[column * out_stride + row]
  ptrdiff_t out_stride;
};

// Unpacks rows to a panel tile: `units` units (1 or 2) from `unit` on of `rows` rows.
struct UnpackArgs {
  GroupWalk weights;
  int64_t unit;
  int units;
  int rows;        // valid rows, at least 1; the tile's other rows repeat the last
  uint8_t* codes;  // [unit][64 lines][16 * vectors rows][4]
  float* scales;   // [unit][scales][16 * vectors]
  float* terms;    // the same, see Derived::kPanelTerms
};

// One tile: 16 * vectors rows, C columns, `units` units; adds to out[column * out_stride + row].
struct PanelArgs {
  const uint8_t* codes;
  const float* scales;
  const float* terms;
  const uint8_t* activations;  // [unit]: codes [line][column], then [scale][column] scales, starts and sums
  int units;
  float* out;
  ptrdiff_t out_stride;
  const uint8_t* next;    // the activations of the tile that comes next, to be fetched meanwhile
  const float* next_out;  // and where it adds
};

// Plain C++ products of one group of rows with all columns.
struct PlainArgs {
  GroupWalk weights;
  int64_t groups;
  const int8_t* codes;  // [column][units * 256], natural order
  const float* scales;  // [column][units * 8]
  int64_t columns;
  float* out;
  ptrdiff_t out_stride;
};

// Decodes groups [0, groups) of k columns to out[row * k + column].
struct DecodeArgs {
  GroupWalk weights;
  int64_t groups;
  int64_t k;
  float* out;
};

// Float formats: out[column * out_stride + row] for rows [0, rows).
struct FloatArgs {
  const uint8_t* data;
  ptrdiff_t group_bytes;
  int64_t rows;
  int64_t k;
  const float* x;  // [column][x_stride], zeros from k to the next multiple of 16
  ptrdiff_t x_stride;
  int64_t columns;
  float* out;
  ptrdiff_t out_stride;
  ptrdiff_t ahead;  // see GroupWalk
};

// Panels in bfloat16, for instructions that multiply tiles of 16 x 16 sums with 32 weights of each. Weights
// lie in tiles [row][32], activations in tiles [pair of neighbours][column][2]; 32 weights are a step. Which
// weight of a unit comes when is RowSource::order.

// One column to bfloat16, in a tile.
struct BfloatArgs {
  const float* x;
  int64_t k;
  const uint8_t* order;
  uint8_t* to;     // the column's first pair, in the tile of the first step; zeros behind k
  uint8_t* low;    // or null: the same of what the first bfloat16 has lost
  ptrdiff_t unit;  // bytes from one to the next
};
// One unit of rows [0, rows) of a format, at least 1, of which the last is repeated.
struct WidenArgs {
  const RowSource* source;
  GroupWalk weights;
  int64_t unit;
  int64_t rows;
  uint8_t* to;  // [step][16 rows] tiles
};
// The same of a float format.
struct WidenFloatArgs {
  const uint8_t* data;
  ptrdiff_t group_bytes;
  int64_t rows, k, unit;
  uint8_t* to;
  uint8_t* low;  // what it has lost, for formats with two parts
};
// Some tiles of columns with one panel of a unit.
struct TileArgs {
  const uint8_t* weights;
  const uint8_t* x;  // [column tile][step]
  int column_tiles;
  float* sums;  // what has been added up: tile_sums(column_tiles) floats; not read if `first`
  float* out;   // out[column * out_stride + row], written if `last`
  ptrdiff_t out_stride;
  bool first, last;
};
// How weights of a float format become tiles: F16 exactly in two numbers each, BF16 in one.
struct FloatTiles {
  const char* type;  // null ends a list
  int parts;
  void (*widen)(const WidenFloatArgs&);
};
struct TileKernels {
  bool (*pack)(const BfloatArgs&);  // false where bfloat16 cannot hold the column, which becomes zero
  void (*widen)(const WidenArgs&);  // code q to scale * (q - bias) + what else the format adds
  void (*begin)();                  // before the calls of `multiply` on this thread
  void (*multiply)(const TileArgs&);
  void (*end)();
  const FloatTiles* floats;
  double (*loop)(int64_t iterations);  // see IsaKernels
  const char* instruction;
};
constexpr int kTileColumns = 16;
constexpr int kPanelTiles = 2;  // of 16 rows
// Floats of sums of a panel with so many tiles of columns: [column tile][row tile][16][16], an odd tile has
// two.
constexpr int64_t tile_sums(int64_t column_tiles) { return (column_tiles + 1) / 2 * 2 * kPanelTiles * 256; }
constexpr int kTileSteps = 8;     // of a unit
constexpr int kStepBytes = 1024;  // of 16 rows or columns

// Integer sums of the panel, and of several columns, begin at this much, less the bias times the sum of the
// activations: taken as they are for floats, they are kPanelZero plus the sum / kPanelSteps, and the scales
// of the activations make up for that. |sum| stays below 2^22, as 32 * 255 * 127 does. Scales of weights up
// to 2^127 times kPanelZero are finite.
constexpr int32_t kPanelStart = 0x3fc00000;
constexpr float kPanelZero = 1.5f;
constexpr float kPanelSteps = 8388608.0f;  // 2^23

// Activations from here on are multiplied in double: kPanelSteps times their scales would not be finite.
constexpr float kLargestActivation = 0x1p110f;

// How activations are packed for products that decode in registers.
struct GemvOrder {
  const uint8_t* dword;  // which four neighbours each of 64 dwords has, counted in fours; or, if there are
                         // four copies of each activation, which one each of 256 has
  int copies;
  int scales;                 // 8 or 16 per unit
  bool terms;                 // scale * sum of each group is needed
  const uint8_t* lane_scale;  // the scale of each dword lane of the accumulators
  int lanes;                  // how many there are; 0 where the kernels do not need them
  bool starts;  // so many first values follow: start - start_bias * the sum of each dword lane's activations
  int start_bias, start;
  int codes_bytes() const { return 256 * copies; }
  int scales_at() const { return codes_bytes() + 4 * lanes * (starts ? 2 : 1); }
  int unit() const { return (scales_at() + 4 * scales * (terms ? 2 : 1) + 63) / 64 * 64; }
};
// The same for panels.
struct PanelOrder {
  const uint8_t* line;  // which four neighbours each line has, counted in fours
  int scales;           // 8 or 16 per unit
  int bias;             // code = value + bias
  bool terms;           // scale * sum of each group is needed
  int unit(int columns) const { return 4 * columns * (64 + scales * (terms ? 3 : 2)); }
};

constexpr int kGemvWidths = 4;
constexpr int kGemvColumns[kGemvWidths] = {8, 4, 2, 1};
constexpr int kPanelWidths = 3;
struct PanelKernels {
  int columns[kPanelWidths];  // falling
  void (*run[kPanelWidths])(const PanelArgs&);
};

// A function is null where the tier or the format has no use for it.
struct FormatKernels {
  int id;
  bool vectorized;                        // the format has vector code of its own
  GemvOrder column_order, columns_order;  // of the GEMV of one column and of several
  PanelOrder panel_order;
  int four_from, eight_from;  // so many columns, padded to four or eight, cost less than in parts
  void (*decode)(const DecodeArgs&);
  void (*plain)(const PlainArgs&);             // scalar tier
  void (*gemv[kGemvWidths])(const GemvArgs&);  // vector tiers
  void (*unpack)(const UnpackArgs&);
  const PanelKernels* panel;
  const RowSource* rows;
  void (*float_gemv)(
      const FloatArgs&);  // float formats of vector tiers; interleaved ones have the panel only
  void (*float_panel)(const FloatArgs&, const float* packed);

  IQK_MEMBER const GemvOrder& gemv_order(int64_t columns) const {
    return columns == 1 ? column_order : columns_order;
  }
};

// Activations in natural order: int8 codes with one float32 scale per 32.
struct QuantizeArgs {
  const float* x;
  int64_t k;
  int8_t* codes;  // as many as k rounded up to 256, zeros behind
  float* scales;  // one per 32 of them
};

struct IsaKernels {
  const FormatKernels* const* families;  // one list each, ended by id -1
  int families_count;
  int panel_rows;                         // rows of a panel tile, 0 in the scalar tier
  int float_rows, float_columns;          // of a float tile
  bool (*quantize)(const QuantizeArgs&);  // false if x has a NaN or too large a number: its block is zero
  double (*int8_loop)(
      int64_t iterations);  // as many multiply-adds as the core can do; returns operations done
  double (*float_loop)(int64_t iterations);
  const char* int8_instruction;
};

}  // namespace iqk

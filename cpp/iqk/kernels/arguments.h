// What the kernels of all instruction sets take, and the table through which the dispatcher finds them.
#pragma once

#include <cstddef>
#include <cstdint>

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

// Products of `groups` groups with C columns, decoding in registers.
struct GemvArgs {
  GroupWalk weights;
  int64_t groups;
  const uint8_t* activations;  // [unit][column] packed for the format, see ActivationOrder
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
// lie in tiles [pair of neighbours][row][2], activations in tiles [column][32].

// One column to bfloat16, in a tile.
struct BfloatArgs {
  const float* x;
  int64_t k;
  const uint8_t* order;  // see ActivationOrder::panel
  uint8_t* to;           // the column's 64 bytes of each step of 32 weights; zeros behind k
  uint8_t* low;          // or null: the same of what the first bfloat16 has lost
  ptrdiff_t unit;        // bytes from one to the next
};
// A panel of codes, as UnpackArgs leaves it, to bfloat16: code q to scale * (q - bias) + term.
struct WidenArgs {
  const uint8_t* codes;
  const float* scales;
  const float* terms;  // or null
  int groups;          // scales per unit
  float bias;
  int units;
  uint8_t* to;  // [step][16 rows] tiles of 1 KiB
};
// A panel of numbers to bfloat16: rows [0, rows), at least 1, of which the last is repeated, and 256 columns
// from `from` on, zeros behind k.
struct WidenFloatArgs {
  const uint8_t* data;
  ptrdiff_t group_bytes;
  int64_t rows, k, from;
  uint8_t* to;
  uint8_t* low;  // what it has lost, for formats with two parts
};
// Some tiles of columns with one panel; adds to out[column * out_stride + row].
struct TileArgs {
  const uint8_t* weights;
  int units;
  const uint8_t* x;  // [unit][column tile][step]
  ptrdiff_t x_unit;  // bytes
  int column_tiles;
  float* out;
  ptrdiff_t out_stride;
  bool first;  // the sums begin with this panel: `out` is not read
};
// How weights of a float format become tiles: F16 exactly in two numbers each, BF16 in one.
struct FloatTiles {
  const char* type;  // null ends a list
  int parts;
  int first_batch;  // of the tiles
  void (*widen)(const WidenFloatArgs&);
};
struct TileKernels {
  bool (*pack)(const BfloatArgs&);  // false where bfloat16 cannot hold the column, which becomes zero
  void (*widen)(const WidenArgs&);
  void (*begin)();  // before the calls of `multiply` on this thread
  void (*multiply)(const TileArgs&);
  void (*end)();
  const FloatTiles* floats;
  double (*loop)(int64_t iterations);  // see IsaKernels
  const char* instruction;
};
constexpr int kTileColumns = 16;
constexpr int kTileSteps = 8;     // of a unit
constexpr int kStepBytes = 1024;  // of 16 rows or columns

// How activations are packed for a format.
struct ActivationOrder {
  const uint8_t* gemv;        // which four neighbours each of 64 dwords has, counted in fours
  const uint8_t* panel;       // the same for the lines of a panel
  int scales;                 // 8 or 16 per unit
  bool terms;                 // scale * sum of each group is needed
  const uint8_t* lane_scale;  // the scale of each dword lane of the accumulators
  int lanes;                  // how many there are; 0 where the kernels do not need them
  bool starts;  // so many first values follow: -start_bias * the sum of each dword lane's activations
  int start_bias;
  int panel_bias;    // code of the panel = value + bias
  bool panel_terms;  // the panel needs scale * sum of each group
  int gemv_scales() const { return 256 + 4 * lanes * (starts ? 2 : 1); }
  int gemv_unit() const { return (gemv_scales() + 4 * scales * (terms ? 2 : 1) + 63) / 64 * 64; }
  int panel_unit(int columns) const { return 4 * columns * (64 + scales * (panel_terms ? 3 : 2)); }
};

// Integer sums of the panel begin at this much, less the bias times the sum of the activations: taken as they
// are for floats, they are kPanelZero plus the sum. |sum| stays below 2^22, as 32 * 255 * 127 does.
constexpr int32_t kPanelStart = 0x4b400000;
constexpr float kPanelZero = 12582912.0f;  // 1.5 * 2^23

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
  bool vectorized;  // the format has vector code of its own
  ActivationOrder order;
  void (*decode)(const DecodeArgs&);
  void (*plain)(const PlainArgs&);             // scalar tier
  void (*gemv[kGemvWidths])(const GemvArgs&);  // vector tiers
  void (*unpack)(const UnpackArgs&);
  const PanelKernels* panel;
  void (*float_gemv)(
      const FloatArgs&);  // float formats of vector tiers; interleaved ones have the panel only
  void (*float_panel)(const FloatArgs&, const float* packed);
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
  bool pad_three;                         // four columns, one of them empty, cost less than two and then one
  bool (*quantize)(const QuantizeArgs&);  // false if x has a NaN or an infinity; such blocks become zero
  double (*int8_loop)(
      int64_t iterations);  // as many multiply-adds as the core can do; returns operations done
  double (*float_loop)(int64_t iterations);
  const char* int8_instruction;
};

}  // namespace iqk

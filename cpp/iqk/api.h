// All that the binding may call. Plain data in, plain data out; errors are std exceptions (errors.h) thrown
// before any byte of output is written. Pointers need no alignment. Every function may be called from several
// threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "iqk/errors.h"

namespace iqk {

// ---- Types -----------------------------------------------------------------------------------------------

struct Type {
  const char* name;
  int id;  // GGUF type id
  const char* family;
  int block_weights;     // weights per block
  int block_bytes;       // bytes per block and row
  int header_bytes;      // bytes before the blocks of a row
  int interleave;        // rows stored together
  const char* base;      // what it was repacked from, or nullptr
  const char* repacked;  // what it repacks to, or nullptr
  const char* tier;      // panel tier: "Q8_K_R8", "Q8_0_R8", "Q8_1", or nullptr (float types)
};

const std::vector<Type>& types();                // the table, in its order
const Type* find_type(int id);                   // nullptr when unknown
int64_t row_bytes(const Type& type, int64_t k);  // throws BadShape when the block does not divide k
int64_t matrix_bytes(const Type& type, int64_t rows, int64_t k);  // one matrix; throws BadShape
bool can_multiply(const Type& type);
bool can_quantize(const Type& type);

// A matrix of weights, or a stack of them (experts), each of matrix_bytes bytes, one every `stride` bytes.
struct Weights {
  const Type* type;
  const uint8_t* data;
  int64_t rows;
  int64_t k;
  int64_t matrices = 1;
  int64_t stride = 0;
};

// ---- Instruction sets ------------------------------------------------------------------------------------

std::vector<std::string> isas();               // usable on this machine, best last
std::string isa();                             // the one in use: IQKCPU_ISA, else the best
void use_isa(const std::string& name);         // throws BadIsa
std::vector<std::string> cpu_feature_names();  // features found, in the spelling of /proc/cpuinfo
std::string cpu_name();

int default_threads();

// ---- Work ------------------------------------------------------------------------------------------------

// out[b][r] = sum over k of w[r][k] * x[b][k]; x is [batch][k], out is [batch][rows], both contiguous
// float32.
void mul_mat(const Weights& w, const float* x, int64_t batch, float* out, int threads);

// Which experts each token uses: ids[tokens][used]. An id outside of the stack stands for no expert.
struct Route {
  const int64_t* ids;
  int64_t tokens;
  int64_t used;
};

// out[t][n][r] = sum over k of w[ids[t][n]][r][k] * x[t][k], or * x[t][n][k] if `x_per_slot`; 0 where there
// is no expert.
void mul_mat_id(const Weights& w, const float* x, bool x_per_slot, const Route& route, float* out,
                int threads);

enum class Activation { kSilu, kGelu, kRelu, kSwigluOai };

// What becomes of a gate g and an up value u: g is cut at `limit` (infinity: none) and u clipped to +-limit;
// then silu, gelu (tanh form) and relu of g are multiplied by u, and swiglu_oai is h * sigmoid(1.702 h) * (1
// + clip(u, -7, 7)) with h = min(g, 7).
struct Gating {
  Activation activation;
  float limit;
  const float* up_bias;    // [matrix][rows], or null: added to the products first
  const float* gate_bias;  // the same
  bool fused;              // one pass computes both products; they must be fusible
};

// Whether one pass can compute the products of both: type and shape must agree. `why` says so, or what
// differs.
enum class Fusion { kPossible, kTypesDiffer, kShapesDiffer };
Fusion fusion(const Weights& up, const Weights& gate);
std::string why(Fusion fusion, const Weights& up, const Weights& gate);

// out[b][r] = act(gate x) * (up x) for dense products, and for routed ones [t][n][r], 0 where there is no
// expert.
void up_gate(const Weights& up, const Weights& gate, const float* x, int64_t batch, const Gating& gating,
             float* out, int threads);
void moe_up_gate(const Weights& up, const Weights& gate, const float* x, bool x_per_slot, const Route& route,
                 const Gating& gating, float* out, int threads);

// A block of experts: out[t][r] = sum over n of route_weights[t][n] * (down[ids[t][n]] h + down_bias)[r],
// where h is the result of moe_up_gate and down_bias [matrix][rows] or null.
void moe_ffn(const Weights& up, const Weights& gate, const Weights& down, const float* x, const Route& route,
             const float* route_weights, const Gating& gating, const float* down_bias, float* out,
             int threads);

// out[r][k], contiguous float32.
void dequantize(const Weights& w, float* out, int threads);

// a[rows][k] to `out` of matrix_bytes(type, rows, k) bytes. `imatrix`: k importances or nullptr. Throws
// BadValue naming the first NaN or infinity. Rows are independent of each other, of the threads and of the
// instruction set.
void quantize(const Type& type, const float* a, int64_t rows, int64_t k, const float* imatrix, uint8_t* out,
              int threads);

// The same weights with the rows of a group stored together, and back: `type` is the interleaved type, its
// base the plain one. `from` and `out` hold `rows` rows of `k` weights, a multiple of the interleave; of a
// stack of matrices, the rows of all. They do not overlap, except that repack() takes out == from. Throws
// BadType for a type without a base, BadShape.
void repack(const Type& type, const uint8_t* from, int64_t rows, int64_t k, uint8_t* out, int threads);
void unpack(const Type& type, const uint8_t* from, int64_t rows, int64_t k, uint8_t* out, int threads);

struct Plan {
  std::string kernel;       // "gemv", "panel", "float_gemv", "float_panel", "none" (batch 0)
  std::string weights;      // what the kernel multiplies: the type itself (gemv), or the tier of the panel
  std::string activations;  // e.g. "int8, one float32 scale per 32"
  std::string isa;
  int threads;
  int64_t threshold;  // batch from which the panel is taken
  std::string why;
};
Plan plan(const Weights& w, int64_t batch, int threads);

// For measuring: the first batch that takes the panel, and the panel of bfloat16 where there are tiles, of
// all types; -1: that of the table.
void set_thresholds(int panel, int tiles);

// ---- The machine's limits, measured now (a few ms to 100 ms each) ----------------------------------------

struct Peaks {
  double int8_gops;     // the ISA's multiply-add instruction(s) for panels of codes, of int8 or in tiles of
                        // bfloat16, one thread, 2 operations per multiply-add
  double float_gflops;  // fused multiply-add, one thread
  double tile_gflops;   // products of tiles of bfloat16, one thread; 0 without tiles
  double read_gbs;      // memory read, working set beyond the last-level cache, `threads` threads
  double write_gbs;
  double copy_gbs;               // bytes read plus bytes written
  double ghz;                    // a chain of dependent adds
  std::string int8_instruction;  // e.g. "vpdpbusd zmm"
  std::string tile_instruction;  // e.g. "tdpbf16ps"
};
Peaks measure_peaks(int threads);

}  // namespace iqk

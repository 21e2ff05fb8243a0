// What the parts of the dispatcher share.
#pragma once

#include <array>

#include "iqk/api.h"
#include "iqk/kernels/arguments.h"

namespace iqk {

// Types whose size does not follow from rows of blocks alone.
constexpr int kBf16R16 = 230, kI2S = 36;
constexpr int64_t kI2STail = 32;  // a float32 scale and padding behind the whole tensor

// First batch of the panel, per kind of instruction set; `amx`: of the one of bfloat16.
struct PanelThresholds {
  int avx2, avx512, amx, neon;
};
PanelThresholds panel_thresholds(const Type& type);

GroupWalk walk_groups(const Weights& w);

// An instruction set of this machine, with its formats by type id.
struct Isa {
  static constexpr int kTypeIds = 512;
  const char* name;
  const IsaKernels* kernels;
  const TileKernels* tiles;  // or null
  std::array<const FormatKernels*, kTypeIds> formats;
  const FormatKernels& find(const Type& type) const { return *formats[static_cast<size_t>(type.id)]; }
  int threshold(const Type& type) const;                 // first batch of the panel
  int tile_threshold(const Type& type) const;            // of the panel of bfloat16; INT_MAX: never
  const FloatTiles* find_tiles(const Type& type) const;  // of a float format, or null
};
const Isa& current_isa();  // the one in use

// What a call will do: one decision for mul_mat and plan.
enum class Path { kNone, kPlain, kGemv, kPanel, kTiles, kFloatPlain, kFloatGemv, kFloatPanel, kFloatTiles };
inline bool takes_tiles(Path path) { return path == Path::kTiles || path == Path::kFloatTiles; }
struct Choice {
  const Isa* isa;
  const FormatKernels* format;
  Path path;
  int threads;
};
Choice choose(const Weights& w, int64_t batch, int threads);
Path choose_path(const Weights& w, int64_t batch, const Isa& isa);
int useful_threads(const Weights& w, int64_t columns, int threads);

}  // namespace iqk

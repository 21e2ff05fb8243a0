// Instruction sets: which this machine has, which is in use.
#include <atomic>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "iqk/base/cpu.h"
#include "iqk/dispatch/dispatch.h"

namespace iqk {

#define IQK_ISA(name, space, condition) \
  namespace space {                     \
  extern const IsaKernels kernels;      \
  }
#define IQK_TILED_ISA(name, space, base, condition) \
  namespace space {                                 \
  extern const TileKernels tiles;                   \
  }
#include "iqk/isas.inc"

namespace {

std::vector<Isa> find_isas() {
  const CpuFeatures& cpu = cpu_features();
  static_cast<void>(cpu);
  std::vector<Isa> found;
  const auto add = [&](const char* name, const IsaKernels& kernels, bool usable) {
    if (!usable || kernels.families_count == 0) return;  // none: a set left out of this build
    if (!found.empty() && std::strcmp(found.back().name, name) == 0) found.pop_back();
    Isa isa{name, &kernels, nullptr, {}};
    for (int family = 0; family < kernels.families_count; ++family)
      for (const FormatKernels* format = kernels.families[family]; format->id >= 0; ++format)
        isa.formats[static_cast<size_t>(format->id)] = format;
    found.push_back(isa);
  };
  const auto add_tiles = [&](const char* name, const TileKernels& tiles, const IsaKernels& base,
                             bool usable) {
    if (!usable || !tiles.multiply || found.back().kernels != &base) return;
    Isa isa = found.back();
    isa.name = name;
    isa.tiles = &tiles;
    found.push_back(isa);
  };
#define IQK_ISA(name, space, condition) add(name, space::kernels, condition);
#define IQK_TILED_ISA(name, space, base, condition) add_tiles(name, space::tiles, base::kernels, condition);
#include "iqk/isas.inc"
  return found;
}

const std::vector<Isa>& all_isas() {
  static const std::vector<Isa> found = find_isas();
  return found;
}

const Isa* find_isa(const std::string& name) {
  std::string usable;
  for (const Isa& isa : all_isas()) {
    if (name == isa.name) return &isa;
    usable += (usable.empty() ? "" : ", ") + std::string(isa.name);
  }
  throw BadIsa("no instruction set '" + name + "' on this machine; usable: " + usable);
}

std::atomic<const Isa*> in_use{nullptr};
std::atomic<int> panel_threshold{-1}, wide_threshold{-1};  // of set_thresholds

}  // namespace

void set_thresholds(int panel, int tiles) {
  panel_threshold.store(panel, std::memory_order_relaxed);
  wide_threshold.store(tiles, std::memory_order_relaxed);
}

int Isa::threshold(const Type& type) const {
  const int chosen = panel_threshold.load(std::memory_order_relaxed);
  if (chosen >= 0) return chosen;
  const PanelThresholds t = panel_thresholds(type);
  if (std::strncmp(name, "avx512", 6) == 0) return t.avx512;
  return std::strcmp(name, "neon") == 0 ? t.neon : t.avx2;
}

const FloatTiles* Isa::find_tiles(const Type& type) const {
  for (const FloatTiles* t = tiles ? tiles->floats : nullptr; t && t->type; ++t)
    if (std::strcmp(t->type, type.name) == 0) return t;
  return nullptr;
}

int Isa::tile_threshold(const Type& type) const {
  if (!tiles || (!type.tier && !find_tiles(type))) return INT_MAX;
  const int chosen = wide_threshold.load(std::memory_order_relaxed);
  return chosen >= 0 ? chosen : panel_thresholds(type).amx;
}

const Isa& current_isa() {
  const Isa* isa = in_use.load(std::memory_order_acquire);
  if (!isa) {
    isa = &all_isas().back();
    if (const char* wanted = std::getenv("IQKCPU_ISA"); wanted && *wanted) {
      try {
        isa = find_isa(wanted);
      } catch (const BadIsa& e) {
        throw BadIsa("IQKCPU_ISA: " + std::string(e.what()));
      }
    }
    in_use.store(isa, std::memory_order_release);
  }
  return *isa;
}

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (const Isa& isa : all_isas()) names.push_back(isa.name);
  return names;
}

std::string isa() { return current_isa().name; }

void use_isa(const std::string& name) { in_use.store(find_isa(name), std::memory_order_release); }

std::vector<std::string> cpu_feature_names() {
  const CpuFeatures& cpu = cpu_features();
  const struct {
    const char* name;
    bool found;
  } all[] = {{"avx2", cpu.avx2},
             {"fma", cpu.fma},
             {"f16c", cpu.f16c},
             {"avx_vnni", cpu.avxvnni},
             {"avx512f", cpu.avx512f},
             {"avx512bw", cpu.avx512bw},
             {"avx512dq", cpu.avx512dq},
             {"avx512vl", cpu.avx512vl},
             {"avx512_vnni", cpu.avx512vnni},
             {"avx512vbmi", cpu.avx512vbmi},
             {"gfni", cpu.gfni},
             {"avx512_bf16", cpu.avx512bf16},
             {"amx_bf16", cpu.amxbf16},
             {"asimd", cpu.neon},
             {"asimddp", cpu.dotprod},
             {"i8mm", cpu.i8mm}};
  std::vector<std::string> names;
  for (const auto& feature : all)
    if (feature.found) names.push_back(feature.name);
  return names;
}

}  // namespace iqk

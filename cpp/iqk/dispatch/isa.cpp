// Instruction sets: which this machine has, which is in use.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "iqk/base/cpu.h"
#include "iqk/dispatch/dispatch.h"

namespace iqk {

#define IQK_ISA(name, space, condition) \
  namespace space {                     \
  extern const IsaKernels kernels;      \
  }
#include "iqk/isas.inc"

namespace {

constexpr int kMaxTypeId = 512;

// An instruction set with its formats by type id.
struct Entry {
  Isa isa;
  const FormatKernels* formats[kMaxTypeId];
};

std::vector<Entry> find_isas() {
  const CpuFeatures& cpu = cpu_features();
  static_cast<void>(cpu);
  std::vector<Entry> found;
  const auto add = [&](const char* name, const IsaKernels& kernels, bool usable) {
    if (!usable) return;
    if (!found.empty() && std::strcmp(found.back().isa.name, name) == 0) found.pop_back();
    Entry entry{{name, &kernels}, {}};
    for (int family = 0; family < kernels.families_count; ++family)
      for (const FormatKernels* format = kernels.families[family]; format->id >= 0; ++format)
        entry.formats[format->id] = format;
    found.push_back(entry);
  };
#define IQK_ISA(name, space, condition) add(name, space::kernels, condition);
#include "iqk/isas.inc"
  return found;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> found = find_isas();
  return found;
}

const Isa* find_isa(const std::string& name) {
  for (const Entry& entry : entries())
    if (name == entry.isa.name) return &entry.isa;
  std::string known;
  for (const std::string& usable : isas()) known += (known.empty() ? "" : ", ") + usable;
  throw BadIsa("no instruction set '" + name + "' on this machine; usable: " + known);
}

std::atomic<const Isa*> in_use{nullptr};

}  // namespace

const FormatKernels& Isa::find(const Type& type) const {
  const Entry* entry = reinterpret_cast<const Entry*>(this);  // the first member of its entry
  return *entry->formats[type.id];
}

int Isa::threshold(const Type& type) const {
  const PanelThresholds t = panel_thresholds(type);
  if (std::strncmp(name, "avx512", 6) == 0) return t.avx512;
  return std::strcmp(name, "neon") == 0 ? t.neon : t.avx2;
}

const Isa& current_isa() {
  const Isa* isa = in_use.load(std::memory_order_acquire);
  if (!isa) {
    const char* wanted = std::getenv("IQKCPU_ISA");
    isa = wanted && *wanted ? find_isa(wanted) : &entries().back().isa;
    in_use.store(isa, std::memory_order_release);
  }
  return *isa;
}

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (const Entry& entry : entries()) names.push_back(entry.isa.name);
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
             {"asimd", cpu.neon},
             {"asimddp", cpu.dotprod},
             {"i8mm", cpu.i8mm}};
  std::vector<std::string> names;
  for (const auto& feature : all)
    if (feature.found) names.push_back(feature.name);
  return names;
}

}  // namespace iqk

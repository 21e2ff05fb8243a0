// Which kernel a product takes, and why.
#include <algorithm>

#include "iqk/base/pool.h"
#include "iqk/dispatch/dispatch.h"

namespace iqk {

namespace {

// A thread is worth waking for so many multiply-adds.
constexpr int64_t kWorkPerThread = 1 << 18;

}  // namespace

Path choose_path(const Weights& w, int64_t batch, const Isa& isa) {
  const FormatKernels& format = isa.find(*w.type);
  if (batch == 0 || w.rows == 0) return Path::kNone;
  if (!w.type->tier) {
    if (!format.float_panel) return Path::kFloatPlain;
    if (batch >= isa.tile_threshold(*w.type)) return Path::kFloatTiles;
    return format.float_gemv && batch < isa.threshold(*w.type) ? Path::kFloatGemv : Path::kFloatPanel;
  }
  if (format.plain) return Path::kPlain;
  if (batch >= isa.tile_threshold(*w.type)) return Path::kTiles;
  return batch < isa.threshold(*w.type) ? Path::kGemv : Path::kPanel;
}

int useful_threads(const Weights& w, int64_t columns, int threads) {
  const double work = static_cast<double>(w.rows) * static_cast<double>(w.k) * static_cast<double>(columns);
  const double useful = std::max(1.0, work / static_cast<double>(kWorkPerThread));
  const int limit = useful < kMaxThreads ? static_cast<int>(useful) : kMaxThreads;
  return std::min(threads, limit);
}

Fusion fusion(const Weights& up, const Weights& gate) {
  if (up.type != gate.type) return Fusion::kTypesDiffer;
  const bool same = up.matrices == gate.matrices && up.rows == gate.rows && up.k == gate.k;
  return same ? Fusion::kPossible : Fusion::kShapesDiffer;
}

std::string why(Fusion fusion, const Weights& up, const Weights& gate) {
  const auto describe = [](const char* name, const Weights& w) {
    return std::string(name) + " is " + w.type->name + " of shape (" +
           (w.matrices == 1 ? "" : std::to_string(w.matrices) + ", ") + std::to_string(w.rows) + ", " +
           std::to_string(w.k) + ")";
  };
  const std::string what = fusion == Fusion::kPossible      ? "type and shape agree: "
                           : fusion == Fusion::kTypesDiffer ? "their types differ: "
                                                            : "their shapes differ: ";
  return what + describe("up", up) + ", " + describe("gate", gate);
}

Choice choose(const Weights& w, int64_t batch, int threads) {
  const Isa& isa = current_isa();
  return {&isa, &isa.find(*w.type), choose_path(w, batch, isa), useful_threads(w, batch, threads)};
}

Plan plan(const Weights& w, int64_t batch, int threads) {
  const Choice choice = choose(w, batch, threads);
  const FormatKernels& format = *choice.format;
  const std::string name = w.type->name,
                    per = std::to_string(format.panel_order.scales ? 256 / format.panel_order.scales : 32);
  Plan p{};
  p.isa = choice.isa->name;
  p.threads = choice.threads;
  p.weights = name;
  p.threshold =
      choice.path == Path::kPlain || choice.path == Path::kFloatPlain ? 0 : choice.isa->threshold(*w.type);
  const std::string below = "batch " + std::to_string(batch) + " is below the threshold of " +
                            std::to_string(p.threshold),
                    above = "batch " + std::to_string(batch) + " reaches the threshold of " +
                            std::to_string(p.threshold),
                    tiled = "batch " + std::to_string(batch) + " reaches " +
                            std::to_string(choice.isa->tile_threshold(*w.type)) + ": ";
  const std::string integers = "int8, one float32 scale per 32";
  switch (choice.path) {
    case Path::kNone:
      p.kernel = "none";
      p.why = "nothing to compute";
      break;
    case Path::kPlain:
      p.kernel = "plain";
      p.activations = integers;
      p.why = "the scalar tier decodes " + name + " in plain C++ for every batch";
      break;
    case Path::kGemv:
      p.kernel = "gemv";
      p.activations = integers;
      p.why = below + ": " + name + " is decoded in registers, exact, one scale per " + per + " weights" +
              (format.vectorized ? "" : " (by its plain decoder)");
      break;
    case Path::kPanel:
      p.kernel = "panel";
      p.weights = w.type->tier;
      p.activations = integers;
      p.why = above + ": " + name + " is unpacked to an int8 panel of tier " + w.type->tier +
              ", exact, one float32 scale" + (format.panel_order.terms ? " and minimum" : "") + " per " +
              per + " weights";
      break;
    case Path::kTiles:
      p.kernel = "tiles";
      p.weights = "BF16";
      p.activations = "bfloat16";
      p.why = tiled + name +
              " is unpacked to a panel of bfloat16, which tiles multiply: scales are in it, sums are float32";
      break;
    case Path::kFloatTiles:
      p.kernel = "float_tiles";
      p.weights = "BF16";
      p.activations = "two bfloat16";
      p.why = tiled + "tiles multiply bfloat16; x, and " + name +
              " if one does not hold it, becomes a sum of two, which is 16 bits";
      break;
    case Path::kFloatPlain:
    case Path::kFloatGemv:
    case Path::kFloatPanel:
      p.kernel = choice.path == Path::kFloatPanel  ? "float_panel"
                 : choice.path == Path::kFloatGemv ? "float_gemv"
                                                   : "plain";
      p.activations = "float32";
      p.why = name + " is multiplied in float32" +
              (choice.path == Path::kFloatGemv    ? "; " + below
               : choice.path == Path::kFloatPanel ? "; " + above
                                                  : "");
      break;
  }
  return p;
}

}  // namespace iqk

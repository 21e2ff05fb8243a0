// The Python module iqkcpu._core: api.h for Python, no more. Arrays come in checked and contiguous, the GIL
// is released around all work, and refusals (std::invalid_argument) become ValueError.
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "iqk/api.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Bytes = nb::ndarray<nb::numpy, const uint8_t, nb::c_contig, nb::device::cpu>;
using MutableBytes = nb::ndarray<nb::numpy, uint8_t, nb::c_contig, nb::device::cpu>;
using Ids = nb::ndarray<nb::numpy, const int64_t, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<nb::numpy, const float, nb::c_contig, nb::device::cpu>;
using MutableFloats = nb::ndarray<nb::numpy, float, nb::c_contig, nb::device::cpu>;

[[noreturn]] void refuse_size(const char* what, int64_t is, int64_t should) {
  throw iqk::BadShape(std::string(what) + " holds " + std::to_string(is) + " values where " +
                      std::to_string(should) + " are needed");
}

void check_size(const char* what, int64_t is, int64_t should) {
  if (is != should) refuse_size(what, is, should);
}

const iqk::Type& type_of(int id) {
  const iqk::Type* type = iqk::find_type(id);
  if (type == nullptr) throw iqk::BadType("unknown type id " + std::to_string(id));
  return *type;
}

// One matrix of weights over bytes that Python owns, and the reference that keeps them.
struct Matrix {
  iqk::Weights weights;
  Bytes raw;

  Matrix(int type, Bytes bytes, int64_t rows, int64_t k)
      : weights{&type_of(type), bytes.data(), rows, k}, raw(std::move(bytes)) {
    check_size("raw", static_cast<int64_t>(raw.size()), iqk::matrix_bytes(*weights.type, rows, k));
  }
  int64_t size() const { return weights.rows * weights.k; }
};

void mul_mat(const Matrix& w, const Floats& x, const MutableFloats& out, int threads) {
  const int64_t k = w.weights.k;
  const int64_t batch = static_cast<int64_t>(x.size()) / k;
  check_size("x", static_cast<int64_t>(x.size()), batch * k);
  check_size("out", static_cast<int64_t>(out.size()), batch * w.weights.rows);
  const nb::gil_scoped_release unlocked;
  iqk::mul_mat(w.weights, x.data(), batch, out.data(), threads);
}

// A stack of matrices, one every `stride` bytes: experts, or one matrix alone.
struct Experts {
  iqk::Weights weights;
  Bytes raw;

  Experts(int type, Bytes bytes, int64_t experts, int64_t rows, int64_t k, int64_t stride)
      : weights{&type_of(type), bytes.data(), rows, k, experts, stride}, raw(std::move(bytes)) {
    const int64_t one = iqk::matrix_bytes(*weights.type, rows, k), size = static_cast<int64_t>(raw.size());
    if (experts < 0 || stride < one || (experts > 0 && (size < one || (size - one) / stride < experts - 1)))
      refuse_size("raw", size, one);
  }
  int64_t values_per_row() const { return weights.matrices * weights.rows; }
};

// ids[tokens][used], and whether x has a row for each of them or for each token.
struct Routed {
  iqk::Route route;
  bool x_per_slot;

  Routed(const Ids& ids, int64_t used, const Floats& x, int64_t k, bool per_slot)
      : route{ids.data(), used == 0 ? 0 : static_cast<int64_t>(ids.size()) / used, used},
        x_per_slot(per_slot) {
    check_size("ids", static_cast<int64_t>(ids.size()), route.tokens * used);
    if (used != 0) check_size("x", static_cast<int64_t>(x.size()), route.tokens * (per_slot ? used : 1) * k);
  }
  int64_t slots() const { return route.tokens * route.used; }
};

using Biases = std::optional<Floats>;
const float* data_or_null(const char* name, const Biases& bias, int64_t size) {
  if (!bias) return nullptr;
  check_size(name, static_cast<int64_t>(bias->size()), size);
  return bias->data();
}

// What up_gate, moe_up_gate and moe_ffn have in common.
struct Gate {
  iqk::Activation activation;
  float limit;
  Biases up_bias, gate_bias;
  bool fused;

  iqk::Gating gating(const Experts& up) const {
    return {activation, limit, data_or_null("up_bias", up_bias, up.values_per_row()),
            data_or_null("gate_bias", gate_bias, up.values_per_row()), fused};
  }
};

void mul_mat_id(const Experts& w, const Floats& x, const Ids& ids, int64_t used, bool x_per_slot,
                const MutableFloats& out, int threads) {
  const Routed routed(ids, used, x, w.weights.k, x_per_slot);
  check_size("out", static_cast<int64_t>(out.size()), routed.slots() * w.weights.rows);
  const nb::gil_scoped_release unlocked;
  iqk::mul_mat_id(w.weights, x.data(), x_per_slot, routed.route, out.data(), threads);
}

void up_gate(const Experts& up, const Experts& gate, const Floats& x, const Gate& how,
             const MutableFloats& out, int threads) {
  const int64_t k = up.weights.k, batch = static_cast<int64_t>(x.size()) / k;
  check_size("x", static_cast<int64_t>(x.size()), batch * k);
  check_size("out", static_cast<int64_t>(out.size()), batch * up.weights.rows);
  const iqk::Gating gating = how.gating(up);
  const nb::gil_scoped_release unlocked;
  iqk::up_gate(up.weights, gate.weights, x.data(), batch, gating, out.data(), threads);
}

void moe_up_gate(const Experts& up, const Experts& gate, const Floats& x, const Ids& ids, int64_t used,
                 bool x_per_slot, const Gate& how, const MutableFloats& out, int threads) {
  const Routed routed(ids, used, x, up.weights.k, x_per_slot);
  check_size("out", static_cast<int64_t>(out.size()), routed.slots() * up.weights.rows);
  const iqk::Gating gating = how.gating(up);
  const nb::gil_scoped_release unlocked;
  iqk::moe_up_gate(up.weights, gate.weights, x.data(), x_per_slot, routed.route, gating, out.data(), threads);
}

void moe_ffn(const Experts& up, const Experts& gate, const Experts& down, const Floats& x, const Ids& ids,
             int64_t used, const Floats& weights, const Gate& how, const Biases& down_bias,
             const MutableFloats& out, int threads) {
  const Routed routed(ids, used, x, up.weights.k, false);
  check_size("weights", static_cast<int64_t>(weights.size()), routed.slots());
  check_size("out", static_cast<int64_t>(out.size()), routed.route.tokens * down.weights.rows);
  const iqk::Gating gating = how.gating(up);
  const float* bias = data_or_null("down_bias", down_bias, down.values_per_row());
  const nb::gil_scoped_release unlocked;
  iqk::moe_ffn(up.weights, gate.weights, down.weights, x.data(), routed.route, weights.data(), gating, bias,
               out.data(), threads);
}

void dequantize(const Matrix& w, const MutableFloats& out, int threads) {
  check_size("out", static_cast<int64_t>(out.size()), w.size());
  const nb::gil_scoped_release unlocked;
  iqk::dequantize(w.weights, out.data(), threads);
}

void quantize(int type, const Floats& a, int64_t rows, int64_t k, const std::optional<Floats>& imatrix,
              const MutableBytes& out, int threads) {
  const iqk::Type& to = type_of(type);
  check_size("out", static_cast<int64_t>(out.size()), iqk::matrix_bytes(to, rows, k));
  check_size("a", static_cast<int64_t>(a.size()), rows * k);
  if (imatrix) check_size("imatrix", static_cast<int64_t>(imatrix->size()), k);
  const nb::gil_scoped_release unlocked;
  iqk::quantize(to, a.data(), rows, k, imatrix ? imatrix->data() : nullptr, out.data(), threads);
}

// Bytes of a plain and of an interleaved matrix, of which `type` is the latter.
struct PairSizes {
  int64_t plain, interleaved;

  PairSizes(const iqk::Type& type, int64_t rows, int64_t k)
      : plain(0), interleaved(iqk::matrix_bytes(type, rows, k)) {
    for (const iqk::Type& base : iqk::types())
      if (type.base != nullptr && std::string(base.name) == type.base)
        plain = iqk::matrix_bytes(base, rows, k);
  }
};

void repack(int type, const Bytes& from, int64_t rows, int64_t k, const MutableBytes& out, int threads) {
  const iqk::Type& to = type_of(type);
  const PairSizes sizes(to, rows, k);
  check_size("from", static_cast<int64_t>(from.size()), sizes.plain);
  check_size("out", static_cast<int64_t>(out.size()),
             out.data() == from.data() ? sizes.plain : sizes.interleaved);
  const nb::gil_scoped_release unlocked;
  iqk::repack(to, from.data(), rows, k, out.data(), threads);
}

void unpack(int type, const Bytes& from, int64_t rows, int64_t k, const MutableBytes& out, int threads) {
  const iqk::Type& interleaved = type_of(type);
  const PairSizes sizes(interleaved, rows, k);
  check_size("from", static_cast<int64_t>(from.size()), sizes.interleaved);
  check_size("out", static_cast<int64_t>(out.size()), sizes.plain);
  const nb::gil_scoped_release unlocked;
  iqk::unpack(interleaved, from.data(), rows, k, out.data(), threads);
}

std::optional<std::string> text_or_none(const char* text) {
  return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

}  // namespace

NB_MODULE(_core, m) {
  nb::set_leak_warnings(false);  // the library never prints, and objects alive at exit are no fault of it
  m.doc() =
      "The C++ core of iqkcpu. Its users are the modules beside it: checks and conversions happen there.";
  m.attr("version") = IQK_VERSION;
  m.attr("compiler") = "C++ " __VERSION__;

  nb::class_<iqk::Type>(m, "TypeInfo", "One line of the table of formats.")
      .def_prop_ro("name", [](const iqk::Type& t) { return std::string(t.name); })
      .def_ro("id", &iqk::Type::id)
      .def_prop_ro("family", [](const iqk::Type& t) { return std::string(t.family); })
      .def_ro("block_weights", &iqk::Type::block_weights)
      .def_ro("block_bytes", &iqk::Type::block_bytes)
      .def_ro("header_bytes", &iqk::Type::header_bytes)
      .def_ro("interleave", &iqk::Type::interleave)
      .def_prop_ro("base", [](const iqk::Type& t) { return text_or_none(t.base); })
      .def_prop_ro("repacked", [](const iqk::Type& t) { return text_or_none(t.repacked); })
      .def_prop_ro("tier", [](const iqk::Type& t) { return text_or_none(t.tier); })
      .def_prop_ro("can_multiply", [](const iqk::Type& t) { return iqk::can_multiply(t); })
      .def_prop_ro("can_quantize", [](const iqk::Type& t) { return iqk::can_quantize(t); })
      .def("row_bytes", &iqk::row_bytes, "k"_a)
      .def("matrix_bytes", &iqk::matrix_bytes, "rows"_a, "k"_a);

  nb::class_<iqk::Plan>(m, "PlanInfo", "What mul_mat will do.")
      .def_ro("kernel", &iqk::Plan::kernel)
      .def_ro("weights", &iqk::Plan::weights)
      .def_ro("activations", &iqk::Plan::activations)
      .def_ro("isa", &iqk::Plan::isa)
      .def_ro("threads", &iqk::Plan::threads)
      .def_ro("threshold", &iqk::Plan::threshold)
      .def_ro("why", &iqk::Plan::why);

  nb::class_<iqk::Peaks>(m, "Peaks", "The limits of this machine, as just measured.")
      .def_ro("int8_gops", &iqk::Peaks::int8_gops)
      .def_ro("float_gflops", &iqk::Peaks::float_gflops)
      .def_ro("tile_gflops", &iqk::Peaks::tile_gflops)
      .def_ro("read_gbs", &iqk::Peaks::read_gbs)
      .def_ro("write_gbs", &iqk::Peaks::write_gbs)
      .def_ro("copy_gbs", &iqk::Peaks::copy_gbs)
      .def_ro("ghz", &iqk::Peaks::ghz)
      .def_ro("int8_instruction", &iqk::Peaks::int8_instruction)
      .def_ro("tile_instruction", &iqk::Peaks::tile_instruction);

  nb::class_<Matrix>(m, "Matrix", "One matrix of quantized weights over borrowed bytes.")
      .def(nb::init<int, Bytes, int64_t, int64_t>(), "type"_a, "raw"_a.noconvert(), "rows"_a, "k"_a);

  nb::class_<Experts>(m, "Experts", "A stack of matrices of quantized weights over borrowed bytes.")
      .def(nb::init<int, Bytes, int64_t, int64_t, int64_t, int64_t>(), "type"_a, "raw"_a.noconvert(),
           "experts"_a, "rows"_a, "k"_a, "stride"_a);

  nb::enum_<iqk::Activation>(m, "Activation", "Functions between gate and up.")
      .value("silu", iqk::Activation::kSilu)
      .value("gelu", iqk::Activation::kGelu)
      .value("relu", iqk::Activation::kRelu)
      .value("swiglu_oai", iqk::Activation::kSwigluOai);

  nb::class_<Gate>(m, "Gate", "What becomes of up and gate, see iqk::Gating.")
      .def(
          "__init__",
          [](Gate* self, iqk::Activation activation, const std::optional<float>& limit, Biases up_bias,
             Biases gate_bias, bool fused) {
            new (self) Gate{activation, limit.value_or(std::numeric_limits<float>::infinity()),
                            std::move(up_bias), std::move(gate_bias), fused};
          },
          "activation"_a, "limit"_a.none(), "up_bias"_a.noconvert().none(), "gate_bias"_a.noconvert().none(),
          "fused"_a);

  m.def("types", &iqk::types, nb::rv_policy::reference, "The table of formats, in its order.");
  m.def("isas", &iqk::isas, "Instruction sets usable on this machine, best last.");
  m.def("isa", &iqk::isa, "The instruction set in use.");
  m.def("use_isa", &iqk::use_isa, "name"_a, "Choose the instruction set, for the whole process.");
  m.def("cpu_features", &iqk::cpu_feature_names, "Features of this CPU, in the spelling of /proc/cpuinfo.");
  m.def("cpu_name", &iqk::cpu_name);
  m.def("default_threads", &iqk::default_threads, "Physical cores that this process may use.");

  m.def("mul_mat", &mul_mat, "w"_a, "x"_a.noconvert(), "out"_a.noconvert(), "threads"_a,
        "out[b][r] = sum over k of w[r][k] * x[b][k].");
  m.def("mul_mat_id", &mul_mat_id, "w"_a, "x"_a.noconvert(), "ids"_a.noconvert(), "used"_a, "x_per_slot"_a,
        "out"_a.noconvert(), "threads"_a, "out[t][n] = w[ids[t][n]] * x[t] (or x[t][n]).");
  m.def(
      "can_fuse",
      [](const Experts& up, const Experts& gate) {
        return iqk::fusion(up.weights, gate.weights) == iqk::Fusion::kPossible;
      },
      "up"_a, "gate"_a, "Whether one pass can compute the products of both.");
  m.def(
      "why_fused",
      [](const Experts& up, const Experts& gate) {
        return iqk::why(iqk::fusion(up.weights, gate.weights), up.weights, gate.weights);
      },
      "up"_a, "gate"_a, "Why, or why not.");
  m.def("up_gate", &up_gate, "up"_a, "gate"_a, "x"_a.noconvert(), "how"_a, "out"_a.noconvert(), "threads"_a,
        "out[b] = act(gate * x[b]) * (up * x[b]).");
  m.def("moe_up_gate", &moe_up_gate, "up"_a, "gate"_a, "x"_a.noconvert(), "ids"_a.noconvert(), "used"_a,
        "x_per_slot"_a, "how"_a, "out"_a.noconvert(), "threads"_a,
        "The same with the experts of each token.");
  m.def("moe_ffn", &moe_ffn, "up"_a, "gate"_a, "down"_a, "x"_a.noconvert(), "ids"_a.noconvert(), "used"_a,
        "weights"_a.noconvert(), "how"_a, "down_bias"_a.noconvert().none(), "out"_a.noconvert(), "threads"_a,
        "A whole block of experts, see iqk::moe_ffn.");
  m.def("dequantize", &dequantize, "w"_a, "out"_a.noconvert(), "threads"_a, "out[r][k] = w[r][k].");
  m.def("quantize", &quantize, "type"_a, "a"_a.noconvert(), "rows"_a, "k"_a, "imatrix"_a.noconvert().none(),
        "out"_a.noconvert(), "threads"_a, "a[rows][k] to the bytes of a type.");
  m.def("repack", &repack, "type"_a, "from_"_a.noconvert(), "rows"_a, "k"_a, "out"_a.noconvert(), "threads"_a,
        "The bytes of the plain type to those of the interleaved `type`; out may be from_.");
  m.def("unpack", &unpack, "type"_a, "from_"_a.noconvert(), "rows"_a, "k"_a, "out"_a.noconvert(), "threads"_a,
        "The bytes of the interleaved `type` to those of its plain one.");
  m.def(
      "plan",
      [](const Matrix& w, int64_t batch, int threads) { return iqk::plan(w.weights, batch, threads); }, "w"_a,
      "batch"_a, "threads"_a);
  m.def(
      "set_thresholds", &iqk::set_thresholds, "panel"_a, "tiles"_a,
      "For measuring: the first batch that takes the panel, and the panel of bfloat16 where there are tiles, "
      "of all types; -1: that of the table.");
  m.def("measure_peaks", &iqk::measure_peaks, "threads"_a, nb::call_guard<nb::gil_scoped_release>(),
        "Measure the limits of this machine; takes about a second.");
}

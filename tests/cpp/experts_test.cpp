// Routed products, up and gate, and whole blocks of experts, on every instruction set of this machine: the
// bits must be those of one mul_mat per expert, and of the unfused products. All memory is of the exact size,
// for sanitizers. Prints what failed and "N passed, M failed", and returns 0 if nothing failed.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "iqk/api.h"

// Allocations of the whole process are counted.
static std::atomic<int64_t> allocations{0};
void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  ++allocations;
  const size_t step = static_cast<size_t>(alignment);
  if (void* memory = std::aligned_alloc(step, (bytes + step - 1) / step * step)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

int passed = 0, failed = 0;
void check(bool ok, const std::string& what) {
  ok ? ++passed : ++failed;
  if (!ok) std::printf("FAILED %s\n", what.c_str());
}

std::mt19937 generator(1);
std::vector<float> normals(int64_t count) {
  std::vector<float> x(static_cast<size_t>(count));
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(generator);
  return x;
}

constexpr int64_t kExperts = 5, kUsed = 3, kRows = 32, kK = 512, kResults = 48;
constexpr float kNone = std::numeric_limits<float>::infinity();

// A stack of experts and its bytes, `gap` bytes between experts.
struct Stack {
  std::vector<uint8_t> bytes;
  iqk::Weights weights;

  Stack(const iqk::Type& type, int64_t rows, int64_t k, int64_t gap = 0) {
    const int64_t one = iqk::matrix_bytes(type, rows, k), stride = one + gap;
    bytes.resize(static_cast<size_t>((kExperts - 1) * stride + one));
    for (int64_t e = 0; e < kExperts; ++e) {
      const std::vector<float> a = normals(rows * k);
      iqk::quantize(type, a.data(), rows, k, nullptr, bytes.data() + e * stride, 1);
    }
    weights = {&type, bytes.data(), rows, k, kExperts, stride};
  }
  iqk::Weights expert(int64_t e) const {
    return {weights.type, weights.data + e * weights.stride, weights.rows, weights.k};
  }
};

// The experts of tokens; some are masked, the last gets none.
std::vector<int64_t> make_ids(int64_t tokens) {
  std::vector<int64_t> ids(static_cast<size_t>(tokens * kUsed));
  for (int64_t& id : ids) id = static_cast<int64_t>(generator() % (kExperts + 1)) - 1;
  for (int64_t& id : ids) id = id == kExperts - 1 ? std::numeric_limits<int64_t>::max() : id;
  return ids;
}

bool same(const float* a, const float* b, int64_t count) {
  return std::memcmp(a, b, static_cast<size_t>(count) * sizeof(float)) == 0;
}

// Products of each expert by mul_mat, put to the places of its tokens.
std::vector<float> by_mul_mat(const Stack& w, const std::vector<float>& x, bool per_slot,
                              const std::vector<int64_t>& ids) {
  const int64_t rows = w.weights.rows, k = w.weights.k;
  std::vector<float> out(ids.size() * static_cast<size_t>(rows));
  for (int64_t e = 0; e < kExperts; ++e) {
    std::vector<size_t> slots;
    std::vector<float> own;
    for (size_t slot = 0; slot < ids.size(); ++slot) {
      if (ids[slot] != e) continue;
      slots.push_back(slot);
      const float* from = x.data() + (per_slot ? slot : slot / kUsed) * static_cast<size_t>(k);
      own.insert(own.end(), from, from + k);
    }
    std::vector<float> y(slots.size() * static_cast<size_t>(rows));
    iqk::mul_mat(w.expert(e), own.data(), static_cast<int64_t>(slots.size()), y.data(), 1);
    for (size_t i = 0; i < slots.size(); ++i)
      std::copy_n(y.data() + i * static_cast<size_t>(rows), rows,
                  out.data() + slots[i] * static_cast<size_t>(rows));
  }
  return out;
}

void test_routing(const iqk::Type& type, int64_t tokens, const std::string& name) {
  const Stack w(type, kRows, kK, 7);
  const std::vector<int64_t> ids = make_ids(tokens);
  for (const bool per_slot : {false, true}) {
    const std::vector<float> x = normals(tokens * (per_slot ? kUsed : 1) * kK);
    std::vector<float> y(ids.size() * kRows, NAN);
    iqk::mul_mat_id(w.weights, x.data(), per_slot, {ids.data(), tokens, kUsed}, y.data(), 2);
    const std::vector<float> expected = by_mul_mat(w, x, per_slot, ids);
    check(same(y.data(), expected.data(), static_cast<int64_t>(y.size())), name + ": routed products");
  }
}

void test_blocks(const iqk::Type& type, int64_t tokens, const std::string& name) {
  const Stack up(type, 256, kK), gate(type, 256, kK, 16), down(type, kResults, 256);
  const std::vector<int64_t> ids = make_ids(tokens);
  const std::vector<float> x = normals(tokens * kK), bias = normals(kExperts * 256),
                           factors = normals(tokens * kUsed);
  const iqk::Route route{ids.data(), tokens, kUsed};
  const int64_t hidden = tokens * kUsed * 256;
  std::vector<float> h(static_cast<size_t>(hidden), NAN), other = h,
                                                          y(static_cast<size_t>(tokens * kResults), NAN);
  for (const iqk::Activation activation : {iqk::Activation::kSilu, iqk::Activation::kGelu,
                                           iqk::Activation::kRelu, iqk::Activation::kSwigluOai}) {
    iqk::Gating how{activation, kNone, bias.data(), nullptr, true};
    iqk::moe_up_gate(up.weights, gate.weights, x.data(), false, route, how, h.data(), 2);
    iqk::moe_ffn(up.weights, gate.weights, down.weights, x.data(), route, factors.data(), how, nullptr,
                 y.data(), 2);
    how.fused = false;
    iqk::moe_up_gate(up.weights, gate.weights, x.data(), false, route, how, other.data(), 1);
    check(same(h.data(), other.data(), hidden), name + ": up and gate in one pass and as two products");
    std::vector<float> parts(static_cast<size_t>(tokens * kUsed * kResults));
    iqk::mul_mat_id(down.weights, h.data(), true, route, parts.data(), 1);
    double lost = 0, power = 0;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t r = 0; r < kResults; ++r) {
        double sum = 0;
        for (int64_t n = t * kUsed; n < (t + 1) * kUsed; ++n)
          sum += static_cast<double>(factors[static_cast<size_t>(n)]) *
                 static_cast<double>(parts[static_cast<size_t>(n * kResults + r)]);
        const double difference = sum - static_cast<double>(y[static_cast<size_t>(t * kResults + r)]);
        lost += difference * difference;
        power += sum * sum;
      }
    check(lost <= 1e-11 * power, name + ": a whole block");
  }
  iqk::Gating how{iqk::Activation::kSilu, 2.0f, nullptr, bias.data(), true};
  int64_t before = 0;
  for (int call = 0; call < 2; ++call) {
    before = allocations;
    iqk::moe_ffn(up.weights, gate.weights, down.weights, x.data(), route, factors.data(), how, nullptr,
                 y.data(), 2);
  }
  const bool none = allocations == before;
  check(none, name + ": a second call allocates nothing");
  std::vector<float> dense(static_cast<size_t>(tokens * 256)), dense_two = dense;
  iqk::up_gate(up.expert(1), gate.expert(1), x.data(), tokens, how, dense.data(), 2);
  how.fused = false;
  iqk::up_gate(up.expert(1), gate.expert(1), x.data(), tokens, how, dense_two.data(), 2);
  check(same(dense.data(), dense_two.data(), tokens * 256), name + ": dense up and gate");
}

template <class Error, class F>
bool refuses(F&& call) {
  try {
    call();
  } catch (const Error&) {
    return true;
  }
  return false;
}

void test_refusals() {
  const iqk::Type &q8 = *iqk::find_type(8), &f32 = *iqk::find_type(0);
  const Stack w(q8, kRows, kK), other(f32, kRows, kK), small(q8, kRows / 2, kK);
  float x[kK] = {}, y[kRows] = {};
  const iqk::Gating fused{iqk::Activation::kSilu, kNone, nullptr, nullptr, true};
  check(refuses<iqk::BadType>([&] { iqk::up_gate(w.weights, other.weights, x, 1, fused, y, 1); }),
        "types differ");
  check(refuses<iqk::BadShape>([&] { iqk::up_gate(w.weights, small.weights, x, 1, fused, y, 1); }),
        "shapes differ");
}

}  // namespace

int main() {
  for (const std::string& isa : iqk::isas()) {
    iqk::use_isa(isa);
    for (const int id : {0, 1, 8, 12, 139}) {  // F32, F16, Q8_0, Q4_K, IQ4_K
      const iqk::Type& type = *iqk::find_type(id);
      for (const int64_t tokens : {1, 2, 11, 40}) {
        const std::string name = isa + " " + type.name + ", " + std::to_string(tokens) + " tokens";
        test_routing(type, tokens, name);
        test_blocks(type, tokens, name);
      }
    }
  }
  test_refusals();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}

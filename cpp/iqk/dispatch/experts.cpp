// Routed products, and products of up and gate.
#include <algorithm>
#include <cstring>

#include "iqk/dispatch/product.h"

namespace iqk {

namespace {

void check_route(const Weights& w, const Route& route) {
  matrix_bytes(*w.type, w.rows, w.k);  // refuses bad shapes
  if (route.tokens < 0 || route.used < 0) throw BadShape("negative number of tokens or experts");
}

void check_pair(const Weights& up, const Weights& gate, const Gating& gating) {
  matrix_bytes(*up.type, up.rows, up.k);
  matrix_bytes(*gate.type, gate.rows, gate.k);
  const Fusion how = fusion(up, gate);
  if (up.matrices != gate.matrices || up.rows != gate.rows || up.k != gate.k)
    throw BadShape(why(how, up, gate));
  if (gating.fused && how != Fusion::kPossible) throw BadType(why(how, up, gate));
}

// Slots without an expert are not computed: zeros.
void clear_masked(const Route& route, int64_t experts, int64_t rows, float* out) {
  for (int64_t slot = 0; slot < route.tokens * route.used; ++slot)
    if (route.ids[slot] < 0 || route.ids[slot] >= experts)
      std::memset(out + slot * rows, 0, static_cast<size_t>(rows) * sizeof(float));
}

// up and gate of the shares of a wave: one pass, or two products of which the second takes in the first.
struct UpGate {
  const Weights& up;
  const Weights& gate;
  const float* x;
  Places x_places;
  const Gating& gating;
  const Isa& isa;
  int threads;

  size_t column_bytes() const {
    return std::max(packed_column_bytes(up, isa), packed_column_bytes(gate, isa));
  }
  void multiply(const std::vector<Share>& wave, float* out, Places out_places, Scratch& s) const {
    Epilogue to;
    to.out = out;
    to.rows = up.rows;
    to.places = out_places;
    to.gate = {gating.activation, gating.limit, gating.up_bias, gating.gate_bias};
    if (gating.fused) {
      to.kind = Epilogue::Kind::kGate;
      return iqk::multiply({{&up, &gate}, 2, x, x_places, to, &isa, threads}, wave, s);
    }
    iqk::multiply({{&up, nullptr}, 1, x, x_places, to, &isa, threads}, wave, s);
    to.kind = Epilogue::Kind::kGateOver;
    iqk::multiply({{&gate, nullptr}, 1, x, x_places, to, &isa, threads}, wave, s);
  }
};

}  // namespace

void mul_mat_id(const Weights& w, const float* x, bool x_per_slot, const Route& route, float* out,
                int threads) {
  check_route(w, route);
  if (w.rows == 0) return;
  clear_masked(route, w.matrices, w.rows, out);
  Scratch& s = scratch();
  group_by_expert(route, w.matrices, s.routing);
  const int64_t columns = static_cast<int64_t>(s.routing.slots.size());
  const Isa& isa = current_isa();
  Epilogue store;
  store.out = out;
  store.rows = w.rows;
  store.places = {s.routing.slots.data()};
  const Places from{s.routing.slots.data(), x_per_slot ? 1 : route.used};
  const Product p{{&w, nullptr}, 1, x, from, store, &isa, useful_threads(w, columns, threads)};
  for_each_wave(s.routing.shares, packed_column_bytes(w, isa), kWaveBytes, s.wave,
                [&](const std::vector<Share>& wave) { multiply(p, wave, s); });
}

void up_gate(const Weights& up, const Weights& gate, const float* x, int64_t batch, const Gating& gating,
             float* out, int threads) {
  check_pair(up, gate, gating);
  if (batch == 0 || up.rows == 0) return;
  Scratch& s = scratch();
  s.whole.assign(1, {0, 0, batch, batch});
  const UpGate product{up, gate, x, {}, gating, current_isa(), useful_threads(up, batch, threads)};
  for_each_wave(s.whole, product.column_bytes(), kWaveBytes, s.wave,
                [&](const std::vector<Share>& wave) { product.multiply(wave, out, {}, s); });
}

void moe_up_gate(const Weights& up, const Weights& gate, const float* x, bool x_per_slot, const Route& route,
                 const Gating& gating, float* out, int threads) {
  check_route(up, route);
  check_pair(up, gate, gating);
  if (up.rows == 0) return;
  clear_masked(route, up.matrices, up.rows, out);
  Scratch& s = scratch();
  group_by_expert(route, up.matrices, s.routing);
  const int64_t columns = static_cast<int64_t>(s.routing.slots.size());
  const Places from{s.routing.slots.data(), x_per_slot ? 1 : route.used};
  const UpGate product{up, gate, x, from, gating, current_isa(), useful_threads(up, columns, threads)};
  for_each_wave(
      s.routing.shares, product.column_bytes(), kWaveBytes, s.wave,
      [&](const std::vector<Share>& wave) { product.multiply(wave, out, {s.routing.slots.data()}, s); });
}

void moe_ffn(const Weights& up, const Weights& gate, const Weights& down, const float* x, const Route& route,
             const float* route_weights, const Gating& gating, const float* down_bias, float* out,
             int threads) {
  check_route(up, route);
  check_pair(up, gate, gating);
  matrix_bytes(*down.type, down.rows, down.k);
  if (down.matrices != up.matrices || down.k != up.rows)
    throw BadShape("down has " + std::to_string(down.matrices) + " experts of K = " + std::to_string(down.k) +
                   ", up has " + std::to_string(up.matrices) + " of " + std::to_string(up.rows) + " rows");
  if (route.tokens == 0 || down.rows == 0) return;
  std::memset(out, 0, static_cast<size_t>(route.tokens * down.rows) * sizeof(float));
  Scratch& s = scratch();
  group_by_expert(route, up.matrices, s.routing);
  const int64_t* slots = s.routing.slots.data();
  const int64_t columns = static_cast<int64_t>(s.routing.slots.size());
  const Isa& isa = current_isa();
  const UpGate first{up, gate, x, {slots, route.used}, gating, isa, useful_threads(up, columns, threads)};
  const size_t intermediate = static_cast<size_t>(up.rows) * sizeof(float);
  const size_t packed = std::max(first.column_bytes(), packed_column_bytes(down, isa));
  Epilogue add;
  add.kind = Epilogue::Kind::kAccumulate;
  add.out = out;
  add.rows = down.rows;
  add.places = {slots, route.used};
  add.gate.up_bias = down_bias;
  add.weights = route_weights;
  for_each_wave(
      s.routing.shares, intermediate + packed, 2 * kWaveBytes, s.wave, [&](const std::vector<Share>& wave) {
        const int64_t begin = wave.front().first, end = wave.back().first + wave.back().count;
        float* h = s.intermediate.reserve_array<float>(static_cast<size_t>((end - begin) * up.rows));
        const Places here{nullptr, 1, begin};
        first.multiply(wave, h, here, s);
        multiply({{&down, nullptr}, 1, h, here, add, &isa, useful_threads(down, columns, threads)}, wave, s);
      });
}

}  // namespace iqk

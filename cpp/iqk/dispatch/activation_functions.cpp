#include "iqk/dispatch/activation_functions.h"

#include <cstring>

namespace iqk {

namespace {

constexpr int kLanes = 16;  // elements at a time: loops of constant length, which compilers vectorize

uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

// e^t for t <= 0, and 0 where that is no normal number.
float exp_negative(float t) {
  constexpr float kLowest = -87.0f;
  const float clamped = t < kLowest ? kLowest : t;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = clamped * 1.44269504f + kRound, n = shifted - kRound;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * r) * r + r + 1.0f;
  const float e = float_of(bits_of(p) + (bits_of(shifted) << 23));
  return t < kLowest ? 0.0f : e;
}

// From e^-|x|, which does not overflow.
float sigmoid(float x) {
  const float e = exp_negative(float_of(bits_of(x) | 0x80000000u));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

// The comparisons let NaN through.
float at_most(float x, float limit) { return x > limit ? limit : x; }
float clip(float x, float limit) { return x < -limit ? -limit : at_most(x, limit); }

struct Silu {
  static float gate(float g) { return g * sigmoid(g); }
  static float up(float u) { return u; }
};
struct Gelu {  // (1 + tanh(t)) / 2 is sigmoid(2 t)
  static float gate(float g) { return g * sigmoid(1.5957691216f * (g + 0.044715f * g * g * g)); }
  static float up(float u) { return u; }
};
struct Relu {
  static float gate(float g) { return g < 0.0f ? 0.0f : g; }
  static float up(float u) { return u; }
};
struct SwigluOai {
  static float gate(float g) {
    const float cut = at_most(g, 7.0f);
    return cut * sigmoid(1.702f * cut);
  }
  static float up(float u) { return 1.0f + clip(u, 7.0f); }
};

template <class A>
void apply(float limit, const float* up, const float* gate, float* out) {
  for (int i = 0; i < kLanes; ++i) out[i] = A::gate(at_most(gate[i], limit)) * A::up(clip(up[i], limit));
}

// x + bias, with zeros behind the last.
void load(const float* x, const float* bias, int n, float* to) {
  std::memcpy(to, x, static_cast<size_t>(n) * sizeof(float));
  std::memset(to + n, 0, static_cast<size_t>(kLanes - n) * sizeof(float));
  if (bias)
    for (int i = 0; i < n; ++i) to[i] += bias[i];
}

}  // namespace

void apply_gate(const GateRows& g, const float* up, const float* gate, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int part = static_cast<int>(n - i < kLanes ? n - i : kLanes);
    float u[kLanes], v[kLanes], y[kLanes];
    load(up + i, g.up_bias ? g.up_bias + i : nullptr, part, u);
    load(gate + i, g.gate_bias ? g.gate_bias + i : nullptr, part, v);
    switch (g.activation) {
      case Activation::kSilu:
        apply<Silu>(g.limit, u, v, y);
        break;
      case Activation::kGelu:
        apply<Gelu>(g.limit, u, v, y);
        break;
      case Activation::kRelu:
        apply<Relu>(g.limit, u, v, y);
        break;
      case Activation::kSwigluOai:
        apply<SwigluOai>(g.limit, u, v, y);
        break;
    }
    std::memcpy(out + i, y, static_cast<size_t>(part) * sizeof(float));
  }
}

}  // namespace iqk

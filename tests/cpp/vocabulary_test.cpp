// Compares every operation of an instruction set's vocabulary with its definition, cpp/iqk/isa/generic.h.
// Build with
//   -DIQK_VOCABULARY='"iqk/isa/avx2.h"' -DIQK_NS=iqk::avx2
// Prints the operations that failed and "N passed, M failed"; returns 0 if none did, 77 where the CPU lacks
// the set.
//
// Inputs end in front of an inaccessible page or begin behind one, so that reads outside of them fault, or
// are unaligned.

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#pragma push_macro("IQK_NS")
#undef IQK_NS
#define IQK_NS iqk::generic
#include "iqk/codebooks/codebooks.h"
#include "iqk/isa/generic.h"
#pragma pop_macro("IQK_NS")
#include IQK_VOCABULARY
#include "usable.h"

namespace {

using iqk::Constant;
using iqk::unroll;
namespace gen = iqk::generic;
namespace isa = IQK_NS;

static_assert(isa::kSignedBias == 0 || isa::kSignedBias == 128);
static_assert(isa::kPanelVectors > 0 && isa::kPanelColumns > 0 && isa::kSignedColumns > 0 &&
              isa::kFloatColumns > 0);

// ---- Results ---------------------------------------------------------------------------------------------

const char* current = "nothing";  // operation under test
std::map<std::string, int> failures;
int passed = 0, failed = 0;

void check(bool ok) {
  ok ? ++passed : ++failed;
  if (!ok) ++failures[current];
}

extern "C" void on_fault(int) {
  const auto say = [](const char* text) {
    if (write(STDOUT_FILENO, text, std::strlen(text)) < 0) _exit(3);
  };
  say("FAILED ");
  say(current);
  say(": memory fault or illegal instruction\n");
  _exit(2);
}

// ---- Inputs ----------------------------------------------------------------------------------------------

std::mt19937_64 random_bits(1);

int random_int(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_bits); }

// Memory with inaccessible pages on both sides.
class Guarded {
 public:
  Guarded() : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    void* p = mmap(nullptr, size() + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) std::abort();
    data_ = static_cast<uint8_t*>(p) + page_;
    if (mprotect(data_, size(), PROT_READ | PROT_WRITE) != 0) std::abort();
  }
  // `bytes` of memory at the end, at the front or at an odd address.
  uint8_t* get(size_t bytes) {
    if (bytes > page_) std::abort();
    const int place = random_int(0, 3);
    return place < 2 ? data_ + size() - bytes : place == 2 ? data_ : data_ + 2 * random_int(0, 99) + 1;
  }

 private:
  size_t size() const { return 2 * page_; }
  size_t page_;
  uint8_t* data_;
};

// What the bytes of an input look like, by round: extremes first, then random.
constexpr int kRounds = 40;
uint8_t input_byte(int round, size_t i) {
  static const uint8_t extremes[] = {0, 255, 128, 127, 1, 15, 240, 254};
  if (round < 8) return extremes[round];
  if (round < 12) return static_cast<uint8_t>(i * (2 * round - 15) + round);  // all values
  if (round < 16) return extremes[random_int(0, 7)];
  return static_cast<uint8_t>(random_bits());
}

// An input of `bytes` bytes with `mask` applied to each.
class Input {
 public:
  Input(int round, size_t bytes, int mask = 255) : data_(memory().get(bytes)), bytes_(bytes) {
    for (size_t i = 0; i < bytes; ++i) data_[i] = static_cast<uint8_t>(input_byte(round, i) & mask);
  }
  operator const uint8_t*() const { return data_; }
  uint8_t& operator[](size_t i) { return data_[i]; }
  template <class F>
  void fill(F f) {
    for (size_t i = 0; i < bytes_; ++i) data_[i] = static_cast<uint8_t>(f(i));
  }

 private:
  // More than any test uses at a time.
  static Guarded& memory() {
    static Guarded pool[32];
    static int next = 0;
    return pool[next++ % 32];
  }
  uint8_t* data_;
  size_t bytes_;
};

// Finite floats, among them subnormal and huge ones; no -0, whose sum with a masked-out +0 is +0.
std::vector<float> input_floats(int round, int count) {
  static const float extremes[] = {0.0f,     1.0f,      -1.0f,   0x1p-149f, -0x1p-149f, 0x1.8p-127f,
                                   0x1p-60f, -0x1p-60f, 0x1p60f, -0x1p60f,  0x1p23f,    16777217.0f};
  std::vector<float> x(count);
  for (float& f : x) {
    f = round % 2 ? extremes[random_int(0, 11)]
                  : std::ldexp(static_cast<float>(random_int(-(1 << 24), 1 << 24)), random_int(-20, 20));
    if (f == 0) f = 0;
  }
  return x;
}

// ---- Comparison ------------------------------------------------------------------------------------------

using Raw = std::vector<uint8_t>;

template <class T>
Raw raw(const T* x, size_t count) {
  Raw r(count * sizeof(T));
  std::memcpy(r.data(), x, r.size());
  return r;
}
#define IQK_RAW(ns)                               \
  Raw raw(ns::Bytes x) {                          \
    uint8_t to[65]; /* store at an odd address */ \
    ns::store(to + 1, x);                         \
    return raw(to + 1, 64);                       \
  }                                               \
  Raw raw(ns::Small x) {                          \
    uint8_t to[17];                               \
    ns::small_store(to + 1, x);                   \
    return raw(to + 1, 16);                       \
  }                                               \
  Raw raw(ns::Floats<8> x) {                      \
    std::array<float, 9> to;                      \
    ns::fstore(to.data() + 1, x);                 \
    return raw(to.data() + 1, 8);                 \
  }                                               \
  Raw raw(ns::Floats<16> x) {                     \
    std::array<float, 17> to;                     \
    ns::fstore(to.data() + 1, x);                 \
    return raw(to.data() + 1, 16);                \
  }
IQK_RAW(iqk::generic)
IQK_RAW(IQK_NS)

// Evaluates the expression with both vocabularies.
#define SAME(name, ...)             \
  do {                              \
    current = name;                 \
    const Raw want = [&] {          \
      using namespace iqk::generic; \
      return raw(__VA_ARGS__);      \
    }();                            \
    const Raw got = [&] {           \
      using namespace IQK_NS;       \
      return raw(__VA_ARGS__);      \
    }();                            \
    check(want == got);             \
  } while (0)

// ---- Bytes -----------------------------------------------------------------------------------------------

void test_bytes(int round) {
  const Input x(round, 64), y(round * 7 % kRounds, 64), table(kRounds, 64);
  SAME("load, store", load(x));
  {
    const Input lanes(round, 3 * 37 + 16), wide(round, 64 + 32);
    SAME("load_lanes", load_lanes(lanes, 37));
    SAME("load_lanes backwards", load_lanes(lanes + 3 * 37, -37));
    SAME("load_lanes", load_lanes(wide, 16));
    SAME("load_halves", load_halves(wide + 64, wide));
    const Input sixteen(round, 16);
    SAME("load_broadcast", load_broadcast(sixteen));
    SAME("load_lane_pairs", load_lane_pairs(sixteen, wide + 80));
    const Input dword(round, 4);
    SAME("load_dword_halves", load_dword_halves(dword, wide + 92));
    SAME("store_halves", [&] {
      Input to(0, 64);
      store_halves(&to[32], &to[0], load(x));
      return load(to);
    }());
    unroll<4>([&](auto k) { SAME("lane", lane<decltype(k)::value>(load(x))); });
  }
  SAME("splat", splat(round < 8 ? x[0] : static_cast<int8_t>(x[0])));
  SAME("&", load(x) & load(y));
  SAME("|", load(x) | load(y));
  SAME("^", load(x) ^ load(y));
  SAME("+", load(x) + load(y));
  SAME("-", load(x) - load(y));
  unroll<16>([&](auto n) {
    constexpr int k = decltype(n)::value;
    SAME("shr16", shr16<k>(load(x)));
    SAME("shl16", shl16<k>(load(x)));
    SAME("shr16_halves", shr16_halves<k, 15 - k>(load(x)));
    SAME("shr16_halves", shr16_halves<k, 0>(load(x)));
  });
  SAME("zip_lo8", zip_lo8(load(x), load(y)));
  SAME("zip_hi8", zip_hi8(load(x), load(y)));
  SAME("zip_lo32", zip_lo32(load(x), load(y)));
  SAME("zip_hi32", zip_hi32(load(x), load(y)));
  SAME("zip_lo64", zip_lo64(load(x), load(y)));
  SAME("zip_hi64", zip_hi64(load(x), load(y)));
  SAME("zip_even32", zip_even32(load(x), load(y)));
  SAME("zip_odd32", zip_odd32(load(x), load(y)));
  {
    Input index(round, 64);
    index.fill([&](size_t i) { return index[i] & 128 ? index[i] : index[i] & 15; });
    SAME("lookup", lookup(load(table), load(index)));
  }
  SAME("lookup_low", lookup_low(load_broadcast(table), load(x)));
  SAME("lookup_high", lookup_high(load_broadcast(table), load(x)));
  {
    const Input table32(kRounds, 32), table64(kRounds, 64);
    const Input five(round, 64, 31), six(round, 64, 63);
    SAME("lookup in Table32", lookup(load_table32(table32), load(five)));
    SAME("lookup in Table64", lookup(load_table64(table64), load(six)));
  }
  {
    current = "signed_codes";
    const Raw codes = raw(isa::signed_codes(isa::load(x)));
    bool ok = true;
    for (int i = 0; i < 64; ++i) ok &= codes[i] == static_cast<uint8_t>(x[i] + isa::kSignedBias);
    check(ok);
  }
  uint64_t bits;
  std::memcpy(&bits, x, 8);
  for (int value : {1, 4, 16, 128, 255, -1, -100}) SAME("expand_bits", expand_bits(bits, value));
  {
    uint64_t q[8];
    std::memcpy(q, x, 64);
    SAME("bytes_of", bytes_of(q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7]));
  }
  SAME("equal", equal(load(x), load(y)));
  SAME("equal", equal(load(x) & splat(3), load(y) & splat(3)));
  SAME("abs8", abs8(load(x)));
  for (int bit = 0; bit < 8; ++bit) {
    SAME("negate_where", negate_where(load(x), load(y), splat(1 << bit)));
    SAME("add_unless", add_unless(load(x), load(y), splat(1 << bit), splat(3)));
  }
  SAME("splat16", splat16(x[0] * 257 - 32768));
  SAME("mul16", mul16(load(x), load(y)));
  SAME("shr32", shr32<0, 4, 31, 7>(load(x)));
  SAME("shr32", shr32<24, 24, 24, 24>(load(x)));
  SAME("shr32", shr32(load(x), load(y) & splat32(31)));
  SAME("shl32", shl32<4>(load(x)));
  SAME("shl32", shl32<31>(load(x)));
  const Input words(round, 128);
  current = "lowest_word_bits";
  check(gen::lowest_word_bits(words) == isa::lowest_word_bits(words));
  SAME("zip_lo128", zip_lo128(load(x), load(y)));
  SAME("zip_hi128", zip_hi128(load(x), load(y)));
  SAME("even_lanes", even_lanes(load(x), load(y)));
  SAME("odd_lanes", odd_lanes(load(x), load(y)));
  const uint32_t factor = round < 4 ? 0xffffffffu : static_cast<uint32_t>(random_bits());
  SAME("splat32", splat32(factor));
  SAME("mul32", mul32(load(x), factor));
  SAME("add32 of a number", add32(load(x), factor));
  SAME("add32", add32(load(x), load(y)));
  {
    const Input a(round, 64, 63), b(round + 1, 64, 63), c(round + 2, 64, 63), d(1, 64, 63);
    SAME("byte_sums", byte_sums(load(a), load(b), load(c), load(d)));
    SAME("byte_sums", byte_sums(load(d), load(d), load(a), load(b)));
  }
  SAME("transpose_lanes32", transpose_lanes32(load(x)));
}

// ---- Small -----------------------------------------------------------------------------------------------

void test_small(int round) {
  const Input x(round, 16), y(round * 7 % kRounds, 16), table(kRounds, 16), eight(round, 8), four(round, 4);
  SAME("small_load, small_store", small_load(x));
  SAME("small_load8", small_load8(eight));
  SAME("small_load4", small_load4(four));
  SAME("small_splat", small_splat(static_cast<int8_t>(x[0])));
  SAME("small_splat32", small_splat32(0x01020380u * (x[0] | 1u)));
  SAME("small_of", small_of(0x0123456789abcdefull * (x[0] | 1u), 0x8091a2b3c4d5e6f7ull * (x[1] | 1u)));
  current = "low64";
  check(isa::low64(isa::small_load(x)) == gen::low64(gen::small_load(x)));
  SAME("Small &", small_load(x) & small_load(y));
  SAME("Small |", small_load(x) | small_load(y));
  SAME("Small ^", small_load(x) ^ small_load(y));
  SAME("Small +", small_load(x) + small_load(y));
  SAME("Small -", small_load(x) - small_load(y));
  unroll<16>([&](auto n) {
    constexpr int k = decltype(n)::value;
    SAME("Small shr16", shr16<k>(small_load(x)));
    SAME("Small shl16", shl16<k>(small_load(x)));
    SAME("Small shr32", shr32<k, 2 * k, 31 - k, 31 - 2 * k>(small_load(x)));
  });
  SAME("Small shr32", shr32<0, 2, 4, 6>(small_load(x)));
  SAME("Small zip_lo8", zip_lo8(small_load(x), small_load(y)));
  SAME("Small zip_lo32", zip_lo32(small_load(x), small_load(y)));
  SAME("Small zip_lo64", zip_lo64(small_load(x), small_load(y)));
  SAME("shuffle", shuffle<0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15>(small_load(x)));
  SAME("shuffle", shuffle<-1, 15, -1, 14, 13, 13, 12, -1, 0, 0, 0, 0, 1, -1, -1, 7>(small_load(x)));
  Input index(round, 16);
  index.fill([&](size_t i) { return index[i] & 128 ? index[i] : index[i] & 15; });
  SAME("Small lookup", lookup(small_load(table), small_load(index)));
}

// ---- Floats ----------------------------------------------------------------------------------------------

struct Natural {
  static constexpr int at[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
};
struct Twice {
  static constexpr int at[16] = {0, 0, 1, 1, 4, 4, 5, 5, 2, 2, 3, 3, 6, 6, 7, 7};
};
struct UpperFirst {  // a half of the result from one half only
  static constexpr int at[16] = {8, 15, 9, 14, 8, 8, 11, 12, 7, 0, 6, 1, 5, 2, 4, 3};
};
struct Mixed {
  static constexpr int at[16] = {0, 15, 1, 14, 2, 13, 3, 12, 4, 11, 5, 10, 6, 9, 7, 8};
};
struct First {
  static constexpr int at[16] = {};
};

// Within the rounding errors of any order of additions.
template <int N>
void test_sum(const float* x) {
  double exact = 0, magnitude = 0;
  for (int i = 0; i < N; ++i) exact += x[i], magnitude += std::fabs(x[i]);
  current = "sum";
  check(std::fabs(isa::sum(isa::fload<N>(x)) - exact) <= magnitude * N * 0x1p-24);
}

template <int C>
void test_sums(int round) {
  const std::vector<float> x = input_floats(round, 16 * C);
  isa::Floats<16> vectors[C];
  for (int c = 0; c < C; ++c) vectors[c] = isa::fload<16>(x.data() + 16 * c);
  float sums[C];
  isa::store_sums(vectors, sums);
  for (int c = 0; c < C; ++c) {
    double exact = 0, magnitude = 0;
    for (int i = 16 * c; i < 16 * c + 16; ++i) exact += x[i], magnitude += std::fabs(x[i]);
    current = "store_sums";
    check(std::fabs(sums[c] - exact) <= magnitude * 16 * 0x1p-24);
  }
}

template <int N>
void test_floats_of(int round) {
  const std::vector<float> a = input_floats(round, N + 1), b = input_floats(round + 1, N + 1),
                           c = input_floats(round + 2, 17);
  const float *x = a.data() + 1, *y = b.data() + 1, *z = c.data() + 1;
  SAME("fsplat", fsplat<N>(x[0]));
  SAME("fload, fstore", fload<N>(x));
  SAME("Floats *", fload<N>(x) * fload<N>(y));
  SAME("Floats +", fload<N>(x) + fload<N>(y));
  SAME("fma", fma(fload<N>(x), fload<N>(y), fload<N>(z)));
  for (uint32_t bits :
       {0u, 0xffffu, 0x5a3cu, static_cast<uint32_t>(random_int(0, 0xffff)), 0xff00u, 0x8001u}) {
    SAME("add_where", add_where(fload<N>(x), bits, fload<N>(y)));
    SAME("fma_where", fma_where(fload<N>(x), fload<N>(y), fload<N>(z), bits));
  }
  test_sum<N>(x);
  SAME("add_lowest", add_lowest(fload<16>(c.data()), fload<N>(x)));
  SAME("spread", spread<Twice>(fload<N>(x)));
  SAME("spread", spread<First>(fload<N>(x)));
  if constexpr (N == 8) {
    SAME("fsplat_two", fsplat_two(x + 1, x));
    float both[2][8];
    gen::fstore_two(both[0], both[0] + 4, gen::fload<8>(x));
    isa::fstore_two(both[1], both[1] + 4, isa::fload<8>(x));
    check(std::memcmp(both[0], both[1], sizeof both[0]) == 0);
  }
  if constexpr (N == 16) {
    SAME("spread", spread<Natural>(fload<N>(x)));
    SAME("spread", spread<UpperFirst>(fload<N>(x)));
    SAME("spread", spread<Mixed>(fload<N>(x)));
    const Input dwords(round, 64), entries(round + 1, 16);
    int8_t table[16];
    std::memcpy(table, entries, sizeof table);
    SAME("floats_i32", floats_i32(load(dwords)));
    SAME("lower", lower(fload<16>(x)));
    SAME("upper", upper(fload<16>(x)));
    SAME("look_up_floats of 16", look_up_floats(table, load(dwords)));
  }
  const Input bytes(round, 16);
  const Input half(round, 8);
  SAME("splat_half", splat_half<N>(half));
  SAME("splat_last_half", splat_last_half<N>(half + 6));
  SAME("floats_i8", floats_i8<N>(small_load(bytes)));
  SAME("floats_u8", floats_u8<N>(small_load(bytes)));
  if constexpr (N == 8) {
    const std::vector<float> table = input_floats(round, 64);
    Input codes(round, 16);
    for (uint8_t* code = &codes[0]; code != &codes[0] + 16; ++code) *code &= 63;
    SAME("look_up_floats", look_up_floats(table.data(), small_load(codes)));
  }
}

template <int Stride>
void test_strided(int round) {
  const Input x(round, 7 * Stride + 2);
  SAME("strided_halves", strided_halves<Stride>(x));
  SAME("strided_powers", strided_powers<Stride>(x));
  if constexpr (Stride == 18 || Stride == 22 || Stride == 26 || Stride == 34)
    SAME("strided_half_lanes", strided_half_lanes<Twice, Stride>(x));
}

template <int Stride>
void test_strided_pairs(int round) {
  const Input pairs(round, 7 * Stride + 4);
  SAME("strided_half_pairs", strided_half_pairs<Stride>(pairs));
}

void test_floats(int round) {
  test_floats_of<8>(round);
  test_floats_of<16>(round);
  test_sums<1>(round);
  test_sums<2>(round);
  test_sums<4>(round);
  test_sums<8>(round);
  const Input x(round, 64), half(round, 32);
  SAME("load_f32", load_f32(x));
  SAME("load_f16", load_f16(half));
  SAME("floats_f16", floats_f16(small_load(half), small_load(half + 16)));
  SAME("load_bf16", load_bf16(half));
  SAME("splat_half_and_minus", splat_half_and_minus<2>(half));
  SAME("splat_half_and_minus", splat_half_and_minus<8>(half));
  test_strided_pairs<20>(round);
  test_strided_pairs<24>(round);
  const Input eight(round, 8);
  SAME("strided_powers", strided_powers<1>(eight));
  test_strided<2>(round);
  test_strided<17>(round);
  test_strided<18>(round);
  test_strided<20>(round);
  test_strided<22>(round);
  test_strided<24>(round);
  test_strided<26>(round);
  test_strided<34>(round);
  test_strided<36>(round);
  test_strided<144>(round);
}

// All 65536 halves and bf16, all 256 powers.
void test_conversions() {
  for (int first = 0; first < 65536; first += 16) {
    Input x(0, 32);
    x.fill([&](size_t i) { return (first + static_cast<int>(i) / 2) >> (i % 2 * 8); });
    SAME("load_f16", load_f16(x));
    SAME("load_bf16", load_bf16(x));
    SAME("splat_half", splat_half<8>(x));
    Input spaced(0, 7 * 18 + 2);
    for (int i = 0; i < 8; ++i) std::memcpy(&spaced[i * 18], x + 2 * i, 2);
    SAME("strided_halves", strided_halves<18>(spaced));
  }
  for (int first = 0; first < 256; first += 8) {
    Input x(0, 7 * 17 + 2);
    for (int i = 0; i < 8; ++i) x[i * 17] = static_cast<uint8_t>(first + i);
    SAME("strided_powers", strided_powers<17>(x));
  }
}

// ---- Products --------------------------------------------------------------------------------------------

// Codes and activations by pattern: extremes of either sign, all alike (the largest sums) or by chance,
// random ones.
constexpr int kPatterns = 8;
int code(int pattern, int least, int most) {
  if (pattern < 2) return most;
  if (pattern < 4) return least;
  if (pattern < 6) return random_int(0, 1) ? least : most;
  return random_int(least, most);
}
int activation(int pattern) {
  if (pattern == 4) return random_int(0, 1) ? 127 : -127;
  if (pattern == 7) return random_int(-127, 127);
  return pattern % 2 ? -127 : 127;
}

// Signed codes carry kSignedBias as operands: its part of the sum is taken off again, as the kernels do.
template <int Max>
void test_acc(int pattern) {
  constexpr bool is_signed = Max == 0;
  for (int count = 1; count <= 16; ++count) {
    isa::Acc<Max> acc;
    gen::Acc<Max> wanted;
    acc.start();
    wanted.start();
    std::array<int, 16> biases{};
    unroll<16>([&](auto n) {
      if (n >= count) return;
      Input codes(0, 64), activations(3, 64);
      codes.fill([&](size_t) { return code(pattern, is_signed ? -128 : 0, is_signed ? 127 : Max); });
      activations.fill([&](size_t) { return activation(pattern); });
      for (int i = 0; i < 64; ++i)
        biases[i / 4] += is_signed * isa::kSignedBias * static_cast<int8_t>(activations[i]);
      const isa::Bytes x = isa::load(codes);
      acc.template add<decltype(n)::value>(is_signed ? isa::signed_codes(x) : x, isa::load(activations));
      wanted.template add<decltype(n)::value>(gen::load(codes), gen::load(activations));
    });
    const isa::Ints ints = acc.finish();
    float got[16], want[16], folded[8];
    isa::fstore(got, isa::to_float(ints));
    isa::fstore(folded, isa::folded_to_float(ints));
    float bits[16], wanted_bits[16];  // compared where the codes have no bias
    isa::fstore(bits, isa::as_floats(ints));
    gen::fstore(wanted_bits, gen::as_floats(wanted.finish()));
    gen::fstore(want, gen::to_float(wanted.finish()));
    static const std::string name = "Acc<" + std::to_string(Max) + ">";
    current = name.c_str();
    bool ok = true;
    for (int i = 0; i < 16; ++i) ok &= got[i] - static_cast<float>(biases[i]) == want[i];
    if (!is_signed || isa::kSignedBias == 0) ok &= std::memcmp(bits, wanted_bits, sizeof bits) == 0;
    for (int i = 0; i < 8; ++i)
      ok &= folded[i] - static_cast<float>(biases[i] + biases[i + 8]) == want[i] + want[i + 8];
    check(ok);
  }
}

template <int Max>
void test_panel_acc(int pattern) {
  constexpr bool is_signed = Max == 0;
  using PanelAcc = isa::PanelAcc<Max>;
  for (int count = 1; count <= 8; ++count) {
    PanelAcc acc;
    gen::PanelAcc<Max> wanted;
    Input first(0, 4);
    first.fill([&](size_t i) { return i < 2 ? random_int(0, 255) : 0; });  // small: sums are exact floats
    acc.start(first);
    wanted.start(first);
    int biases = 0;
    unroll<8>([&](auto n) {
      if (n >= count) return;
      Input codes(0, 64), line(0, 64), activations(0, 4);
      codes.fill([&](size_t) { return code(pattern, is_signed ? -128 : 0, is_signed ? 127 : Max); });
      activations.fill([&](size_t) { return activation(pattern); });
      const isa::Bytes x = isa::load(codes);
      isa::store(&line[0], is_signed ? isa::signed_codes(x) : x);
      int8_t four[4];
      std::memcpy(four, activations, 4);
      for (int8_t a : four) biases += is_signed * isa::kSignedBias * a;
      acc.template add<decltype(n)::value>(PanelAcc::prepare(line), PanelAcc::four(activations));
      wanted.template add<decltype(n)::value>(gen::PanelAcc<Max>::prepare(codes), activations);
    });
    float got[16], want[16];
    isa::fstore(got, isa::to_float(acc.finish()));
    gen::fstore(want, gen::to_float(wanted.finish()));
    static const std::string name = "PanelAcc<" + std::to_string(Max) + ">";
    current = name.c_str();
    bool ok = true;
    for (int i = 0; i < 16; ++i) ok &= got[i] - static_cast<float>(biases) == want[i];
    check(ok);
  }
}

template <int... Max>
void test_products() {
  for (int pattern = 0; pattern < kPatterns; ++pattern) {
    (test_acc<Max>(pattern), ...);
    (test_panel_acc<Max>(pattern), ...);
  }
}

void test_transpose(int round) {
  for (const int stride : {64, 256, 75}) {
    for (const int line_stride : {64, 128, 83}) {
      const Input rows(round + 16, 15 * stride + 64);
      Input at(0, 16);
      at.fill([](size_t i) { return i; });
      for (int i = 15; i > 0; --i) std::swap(at[i], at[random_int(0, i)]);
      Raw want(15 * line_stride + 64, 0xee), got(want);
      current = "transpose16";
      gen::transpose16(rows, stride, want.data(), at, line_stride);
      isa::transpose16(rows, stride, got.data(), at, line_stride);
      check(want == got);
    }
  }
}

// ---- Codebooks -------------------------------------------------------------------------------------------

template <int Stride>
void test_sign_fields(int round) {
  const Input x(round, 64), fields(round, 7 * Stride + 4);
  SAME("load_sign_fields", flip_signs<0>(load(x), load_sign_fields<Stride>(fields), 128));
  SAME("load_sign_fields", flip_signs<1>(load(x), load_sign_fields<Stride>(fields), 128));
  SAME("load_sign_fields", flip_signs<2>(load(x), load_sign_fields<Stride>(fields), 128));
  SAME("load_sign_fields", flip_signs<3>(load(x), load_sign_fields<Stride>(fields), 128));
}

// A grid of random entries whose digits choose from random levels.
template <class Entry, int Count>
struct RandomGrid {
  static constexpr int kCount = Count, kBias = 64;
  static constexpr bool kEight = sizeof(Entry) == 8;
  static constexpr int kDigitBits = kEight ? 2 : 3;
  std::vector<Entry> table;
  std::vector<uint8_t> bytes, by_index;
  const Entry* entries;
  const uint8_t* planes;
  const uint8_t* levels;
  RandomGrid() : table(Count), bytes(2 * Count), by_index(256) {
    uint8_t digits[1 << kDigitBits];
    for (uint8_t& x : digits) x = static_cast<uint8_t>(random_bits());
    for (int n = 0; n < Count; ++n) {
      const int code = static_cast<int>(random_bits() & 0xffff);
      for (int j = 0; j < static_cast<int>(sizeof(Entry)); ++j)
        table[n] |= static_cast<Entry>(digits[code >> kDigitBits * j & ((1 << kDigitBits) - 1)]) << 8 * j;
      for (int plane = 0; plane < 2; ++plane)
        bytes[plane * Count + n] = kEight ? iqk::plane_byte8(code, plane) : iqk::plane_byte4(code, plane);
    }
    const auto level = [&](int digit) { return static_cast<int>(digits[digit]); };
    for (int i = 0; i < (kEight ? 256 : 128); ++i)
      by_index[i] =
          iqk::signed_level((kEight ? iqk::kLevelBits8 : iqk::kLevelBits4)[i / 64], i % 64, level, kBias);
    entries = table.data();
    planes = bytes.data();
    levels = by_index.data();
  }
};

// What grid8_words and its like put.
template <class Vocabulary>
Raw all_vectors(Vocabulary run) {
  Raw all(256);
  run([&](auto v, auto x) { std::memcpy(all.data() + 64 * v, &x, 64); });
  return all;
}

// Each vocabulary has a first pass of its own over two units.
template <class Grid, class GenFirst, class IsaFirst>
void compare_grid8_words(const Grid& grid, const Input& signs, GenFirst gen_first, IsaFirst isa_first) {
  uint16_t gen_index[64], isa_index[64];
  gen_first(gen_index);
  isa_first(isa_index);
  for (int unit = 0; unit < 2; ++unit)
    check(all_vectors([&](auto put) {
            gen::grid8_words(grid, gen_index + 32 * unit, gen::load_signs(signs), put);
          }) == all_vectors([&](auto put) {
            isa::grid8_words(grid, isa_index + 32 * unit, isa::load_signs(signs), put);
          }));
}
template <int Count>
void test_grid8_words(int round) {
  const RandomGrid<uint64_t, Count> grid;
  const Input index(round, 64), next(kRounds - 1 - round, 64), signs(round, 32);
  current = "grid8_words";
  compare_grid8_words(
      grid, signs, [&](uint16_t* to) { gen::first_grid8_words(grid, gen::load(index), gen::load(next), to); },
      [&](uint16_t* to) { isa::first_grid8_words(grid, isa::load(index), isa::load(next), to); });
}
void test_grid8_parts(int round) {
  const RandomGrid<uint64_t, 1024> grid;
  const Input low(round, 32), high(round, 8), next_low(kRounds - 1 - round, 32), next_high(round, 8);
  uint16_t words[2][32];
  for (int g = 0; g < 32; ++g) {
    words[0][g] = static_cast<uint16_t>(low[g] | (high[g / 4] >> 2 * (g % 4) & 3) << 8);
    words[1][g] = static_cast<uint16_t>(next_low[g] | (next_high[g / 4] >> 2 * (g % 4) & 3) << 8);
  }
  current = "first_grid8_parts";
  compare_grid8_words(
      grid, low,
      [&](uint16_t* to) {
        gen::first_grid8_parts(grid, low, high, next_low, next_high, to,
                               [&](int n) { return gen::load(words[n]); });
      },
      [&](uint16_t* to) {
        isa::first_grid8_parts(grid, low, high, next_low, next_high, to,
                               [&](int n) { return isa::load(words[n]); });
      });
}

template <int R>
void test_grid_tile_row(int round) {
  const RandomGrid<uint64_t, 256> bytes_grid;
  const RandomGrid<uint64_t, 512> words_grid;
  const RandomGrid<uint64_t, 1024> parts_grid;
  const RandomGrid<uint32_t, 256> grid4;
  const Input tile(round, 128), wide(round, 256), high(kRounds - 1 - round, 32), bits(round, 32);
  uint16_t words[128];
  for (int i = 0; i < 128; ++i)
    words[i] = static_cast<uint16_t>(tile[i] | (high[i / 4] >> 2 * (i % 4) & 3) << 8);
  const auto put_words = [&](uint16_t* to) { std::memcpy(to, words, sizeof words); };
  uint16_t gen_first[128], isa_first[128];
  const auto same_words = [&](const auto& grid) {
    check(all_vectors([&](auto put) {
            gen::grid8_tile_words<R>(grid, gen_first, gen::load_signs(bits), put);
          }) == all_vectors([&](auto put) {
            isa::grid8_tile_words<R>(grid, isa_first, isa::load_signs(bits), put);
          }));
  };
  current = "grid8_tile_words";
  gen::first_grid8_tile_words(words_grid, wide, gen_first);
  isa::first_grid8_tile_words(words_grid, wide, isa_first);
  same_words(words_grid);
  current = "first_grid8_tile_parts";
  gen::first_grid8_tile_parts(parts_grid, tile, high, gen_first, put_words);
  isa::first_grid8_tile_parts(parts_grid, tile, high, isa_first, put_words);
  same_words(parts_grid);
  current = "grid8_tile_bytes";
  gen::first_grid8_tile_bytes(bytes_grid, tile, gen_first);
  isa::first_grid8_tile_bytes(bytes_grid, tile, isa_first);
  check(all_vectors([&](auto put) {
          gen::grid8_tile_bytes<R>(bytes_grid, tile, gen_first, gen::load_signs(bits), put);
        }) == all_vectors([&](auto put) {
          isa::grid8_tile_bytes<R>(bytes_grid, tile, isa_first, isa::load_signs(bits), put);
        }));
  current = "grid4_tile_bytes";
  check(all_vectors([&](auto put) { gen::grid4_tile_bytes<R>(grid4, wide, gen::load_signs(bits), put); }) ==
        all_vectors([&](auto put) { isa::grid4_tile_bytes<R>(grid4, wide, isa::load_signs(bits), put); }));
  // Words in the order that grids.h has where it multiplies, of bytes in that of the tile.
  const RandomGrid<uint32_t, 512> large;
  const Input ninth(round, 32), sixteen(round, 16);
  uint16_t gen_words[256] = {}, isa_words[256] = {};
  const auto put_grid4_words = [&](uint16_t* to) {
    for (int i = 0; i < 256; ++i) {
      const int b = i / 32, row = i / 8 % 4, u = i % 8;
      to[i] = static_cast<uint16_t>(wide[32 * b + 8 * (u % 4) + 4 * (u / 4) + row] |
                                    (ninth[4 * b + row] >> u & 1) << 8);
    }
  };
  gen::first_grid4_tile_parts(large, wide, ninth, gen_words, put_grid4_words);
  isa::first_grid4_tile_parts(large, wide, ninth, isa_words, put_grid4_words);
  current = "grid4_tile_words";
  check(all_vectors([&](auto put) {
          gen::grid4_tile_words<R>(large, gen_words, gen::load_signs(bits), put);
        }) == all_vectors([&](auto put) {
          isa::grid4_tile_words<R>(large, isa_words, isa::load_signs(bits), put);
        }));
  SAME("odd_listed", odd_listed<R, 0>(sixteen));
  SAME("odd_listed_lanes", odd_listed_lanes<R, 0>(sixteen));
  SAME("odd_bits", odd_bits<R, 3>(tile));
  SAME("odd_bit_lanes", odd_bit_lanes<R, 2>(tile));
  SAME("odd_row_nibbles", odd_row_nibbles<R, 3>(bits));
  const auto test_signs = [&](auto v) {
    constexpr int V = decltype(v)::value;
    SAME("row_signs", flip_signs<V>(load(tile), row_signs<R>(tile), 128));
    SAME("bit_row_signs", flip_signs<V>(load(tile), bit_row_signs<R>(tile), 128));
    SAME("recoded_row_signs", flip_signs<V>(load(tile), recoded_row_signs<R>(tile), 128));
    SAME("recoded_word_row_signs", flip_signs<V>(load(tile), recoded_word_row_signs<R>(wide), 128));
  };
  test_signs(iqk::Constant<0>{});
  test_signs(iqk::Constant<1>{});
  test_signs(iqk::Constant<2>{});
  test_signs(iqk::Constant<3>{});
}

void test_grids(int round) {
  test_grid8_words<256>(round);
  test_grid8_words<512>(round);
  test_grid8_parts(round);
  test_grid_tile_row<0>(round);
  test_grid_tile_row<1>(round);
  test_grid_tile_row<2>(round);
  test_grid_tile_row<3>(round);
  const Input blocks22(round, 7 * 22 + 4), blocks24(round, 7 * 24 + 4);
  SAME("transposed_block_bits", transposed_block_bits<22>(blocks22) & splat(0xf0));
  SAME("transposed_block_bits", transposed_block_bits<24>(blocks24) & splat(0xf0));
  const RandomGrid<uint64_t, 256> grid8;
  const RandomGrid<uint32_t, 256> grid4;
  const Input index(round, 64), next(kRounds - 1 - round, 64), signs(round, 32);
  current = "grid8_bytes";
  uint16_t gen_first[64], isa_first[64];
  gen::first_grid8_bytes(grid8, index, next, gen_first);
  isa::first_grid8_bytes(grid8, index, next, isa_first);
  for (int unit = 0; unit < 2; ++unit) {
    const Input& bytes = unit ? next : index;
    check(all_vectors([&](auto put) {
            gen::grid8_bytes(grid8, bytes, gen_first + 32 * unit, gen::load_signs(signs), put);
          }) == all_vectors([&](auto put) {
            isa::grid8_bytes(grid8, bytes, isa_first + 32 * unit, isa::load_signs(signs), put);
          }));
  }
  current = "grid4_bytes";
  check(all_vectors([&](auto put) { gen::grid4_bytes(grid4, index, gen::load_signs(signs), put); }) ==
        all_vectors([&](auto put) { isa::grid4_bytes(grid4, index, isa::load_signs(signs), put); }));

  const RandomGrid<uint32_t, 512> large;
  const Input high(round, 8);
  uint16_t gen_words[64], isa_words[64];
  gen::first_grid4_parts(large, index, high, gen_words);
  isa::first_grid4_parts(large, index, high, isa_words);
  current = "grid4_words";
  check(all_vectors([&](auto put) { gen::grid4_words(large, gen_words, gen::load_signs(signs), put); }) ==
        all_vectors([&](auto put) { isa::grid4_words(large, isa_words, isa::load_signs(signs), put); }));
}

void test_grid_scales(int round) {
  const Input x(round, 8), y(round, 4), fields4(round, 32), fields8(round, 60);
  SAME("odd_nibbles", odd_nibbles<16, 3>(x));
  SAME("odd_nibbles", odd_nibbles<8, 0>(y));
  SAME("odd_nibble_lanes", odd_nibble_lanes<0>(y));
  SAME("odd_upper_bits", odd_upper_bits<4, 2>(fields4));
  SAME("odd_upper_bits", odd_upper_bits<8, 3>(fields8));
  SAME("odd_upper_lanes", odd_upper_lanes<4, 2>(fields4));
  SAME("odd_upper_lanes", odd_upper_lanes<8, 3>(fields8));
}

void test_codebooks(int round) {
  std::vector<uint64_t> grid8_table(256);
  std::vector<uint32_t> grid4_table(256);
  for (uint64_t& x : grid8_table) x = random_bits();
  for (uint32_t& x : grid4_table) x = static_cast<uint32_t>(random_bits());
  const Input index(round, 16);
  SAME("grid8", grid8(grid8_table.data(), [&](auto c) { return index[decltype(c)::value]; }));
  SAME("grid4", grid4(grid4_table.data(), [&](auto c) { return index[decltype(c)::value]; }));

  test_grids(round);
  test_grid_scales(round);

  const Input x(kRounds - 1 - round, 64), signs(round, 32), words(round, 64);
  for (int twice : {0, 1, 2, 16, 32, 128, 255}) {
    SAME("flip_signs", flip_signs<0>(load(x), load_signs(signs), twice));
    SAME("flip_signs", flip_signs<1>(load(x), load_signs(signs), twice));
    SAME("flip_signs", flip_signs<2>(load(x), load_signs(signs), twice));
    SAME("flip_signs", flip_signs<3>(load(x), load_signs(signs), twice));
  }
  SAME("load_sign_words", flip_signs<0>(load(x), load_sign_words(words), 128));
  SAME("load_sign_words", flip_signs<1>(load(x), load_sign_words(words), 128));
  SAME("load_sign_words", flip_signs<2>(load(x), load_sign_words(words), 128));
  SAME("load_sign_words", flip_signs<3>(load(x), load_sign_words(words), 128));
  test_sign_fields<4>(round);
  test_sign_fields<8>(round);
}

}  // namespace

int main() {
  if (!usable()) return 77;
  for (int number : {SIGSEGV, SIGBUS, SIGILL}) signal(number, on_fault);
  for (int round = 0; round < kRounds; ++round) {
    test_bytes(round);
    test_small(round);
    test_floats(round);
    test_transpose(round);
    test_codebooks(round);
  }
  test_conversions();
  test_products<0, 1, 2, 3, 7, 15, 31, 63, 126, 127>();
  for (const auto& [name, count] : failures) std::printf("FAILED %s: %d times\n", name.c_str(), count);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

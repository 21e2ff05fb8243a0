// Decoding and products of every weight type on every instruction set of this machine: goldens, float64 on
// the decoded weights, and the scalar tier. Prints what failed and "N passed, M failed, S skipped"; returns 0
// if nothing failed.
//
//   kernels_test [--isa NAME] [--types A,B,..] [--quick] [DIRECTORY]
//
// DIRECTORY has the goldens as tests/tools/flatten_goldens.py writes them (tests/golden-flat or /data).

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "iqk/api.h"

namespace {

using iqk::Type;

bool quick = false;

// ---- Results ---------------------------------------------------------------------------------------------

char context[200] = "start";  // what is under test
int passed = 0, failed = 0, skipped = 0;
std::map<std::string, int> printed;  // failures by type and instruction set

__attribute__((format(printf, 1, 2))) void set_context(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::vsnprintf(context, sizeof context, format, args);
  va_end(args);
}

__attribute__((format(printf, 2, 3))) void check(bool ok, const char* format, ...) {
  ok ? ++passed : ++failed;
  if (ok) return;
  const std::string text = context, place = text.substr(0, text.find(':'));
  if (++printed[place] > 5) return;
  std::printf("FAILED %s: ", context);
  va_list args;
  va_start(args, format);
  std::vprintf(format, args);
  va_end(args);
  std::printf("\n");
  std::fflush(stdout);
}

extern "C" void on_fault(int) {
  const auto say = [](const char* text) {
    if (write(STDOUT_FILENO, text, std::strlen(text)) < 0) _exit(3);
  };
  say("FAILED ");
  say(context);
  say(": memory fault or illegal instruction\n");
  _exit(2);
}

// ---- Memory ----------------------------------------------------------------------------------------------

std::mt19937_64 random_bits(1);
uint8_t random_byte() { return static_cast<uint8_t>(random_bits() >> 20); }

// Bytes between inaccessible pages: right in front of one, right behind one, or at an odd address.
enum class Place { kEnd, kFront, kOdd };
class Guarded {
 public:
  Guarded(size_t bytes, Place place) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), inner = (bytes + page) / page * page;
    size_ = inner + 2 * page;
    memory_ = static_cast<uint8_t*>(mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED || mprotect(memory_ + page, inner, PROT_READ | PROT_WRITE) != 0) std::abort();
    data = memory_ + page + (place == Place::kEnd ? inner - bytes : place == Place::kOdd && bytes < inner);
  }
  Guarded(const void* from, size_t bytes, Place place) : Guarded(bytes, place) {
    if (bytes) std::memcpy(data, from, bytes);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(memory_, size_); }
  uint8_t* data;

 private:
  uint8_t* memory_;
  size_t size_;
};

// ---- Weights ---------------------------------------------------------------------------------------------

struct Golden {
  int64_t rows, k;
  std::vector<uint8_t> raw;
  std::vector<float> decoded;
};
std::map<std::string, Golden> goldens;

template <class T>
std::vector<T> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

void read_goldens(const std::string& directory) {
  std::ifstream list(directory + "/goldens.txt");
  for (std::string name; list >> name;) {
    Golden& g = goldens[name];
    list >> g.rows >> g.k;
    g.raw = read_file<uint8_t>(directory + "/" + name + ".raw");
    g.decoded = read_file<float>(directory + "/" + name + ".f32");
  }
}

// What the bytes of a type mean, as far as making weights needs it. Found by decoding.
struct Anatomy {
  int64_t k;                     // weights of the smallest row
  size_t header, unit;           // bytes of a row group's header, and of k weights of all its rows
  std::vector<uint8_t> typical;  // a byte each of header and unit; 0 if any value will do, else near what is
                                 // sane: these bytes hold exponents of floats
  bool signs;                    // their highest bit is a sign
  float largest;                 // of the weights of a row with such exponents
};

float largest_weight(const Type& type, int64_t k, const std::vector<uint8_t>& bytes) {
  std::vector<float> decoded(static_cast<size_t>(type.interleave * k));
  iqk::dequantize({&type, bytes.data(), type.interleave, k}, decoded.data(), 1);
  float largest = 0;
  for (const float w : decoded) largest = std::isfinite(w) ? std::max(largest, std::fabs(w)) : INFINITY;
  return largest;
}

const Anatomy& anatomy_of(const Type& type) {
  static std::map<int, Anatomy> known;
  const auto found = known.find(type.id);
  if (found != known.end()) return found->second;

  Anatomy a{type.block_weights, 0, 0, {}, false, 0};
  while (true) try {
      iqk::row_bytes(type, a.k);
      break;
    } catch (const iqk::BadShape&) {
      ++a.k;
    }
  a.header = static_cast<size_t>(type.header_bytes * type.interleave);
  a.unit = static_cast<size_t>(iqk::row_bytes(type, a.k) * type.interleave) - a.header;
  // 0x3b fits a float16, a float32, a bfloat16, and as an exponent of its own 0x78 fits better.
  std::vector<uint8_t> bytes(static_cast<size_t>(iqk::matrix_bytes(type, type.interleave, a.k)), 0x3b);
  const float usual = largest_weight(type, a.k, bytes);
  a.typical.assign(a.header + a.unit, 0);
  std::vector<size_t> exponents;
  const auto search = [&](auto&& self, size_t from, size_t to) -> void {
    const std::vector<uint8_t> saved = bytes;
    std::fill(bytes.begin() + static_cast<ptrdiff_t>(from), bytes.begin() + static_cast<ptrdiff_t>(to), 0xff);
    const bool wild = largest_weight(type, a.k, bytes) > 64 * usual;
    bytes = saved;
    if (!wild) return;
    if (to - from == 1) return exponents.push_back(from);
    self(self, from, (from + to) / 2);
    self(self, (from + to) / 2, to);
  };
  search(search, 0, a.typical.size());
  const auto distance = [&](int value) {  // of the largest weight from 1
    std::vector<uint8_t> changed = bytes;
    for (const size_t i : exponents) changed[i] = static_cast<uint8_t>(value);
    return std::fabs(std::log2(largest_weight(type, a.k, changed) + 1e-45f));
  };
  const int best = distance(0x78) < distance(0x3b) ? 0x78 : 0x3b;
  for (const size_t i : exponents) a.typical[i] = static_cast<uint8_t>(best);
  a.signs = std::fabs(distance(best | 0x80) - distance(best)) < 6;
  for (const size_t i : exponents) bytes[i] = static_cast<uint8_t>(best);
  a.largest = largest_weight(type, a.k, bytes);
  return known[type.id] = a;
}

// How the bytes that are no exponents look.
enum class Content { kGolden, kRandom, kZeros, kOnes, kLowest, kHighest, kLowNibbles, kHighNibbles, kWild };
const char* content_name(Content content) {
  static const char* const names[] = {"golden", "random", "00", "ff", "80", "7f", "0f", "f0", "any bytes"};
  return names[static_cast<int>(content)];
}

struct Matrix {
  const Type* type;
  Content content;
  int64_t rows, k;
  std::vector<uint8_t> bytes;
  std::vector<float> decoded;     // by the scalar tier
  std::vector<float> multiplied;  // what products see
  float noise;  // what rounding may add to a product, per sum of |x|: where weights are coded with an
                // offset of up to 128 steps, the offsets cancel only up to it
};

// IQ6_K decodes to a cubic and multiplies the integers nearest to it (formats/iq6_k.h).
std::vector<float> multiplied_weights(const Matrix& m) {
  std::vector<float> w = m.decoded;
  if (std::strcmp(m.type->name, "IQ6_K") != 0) return w;
  for (size_t i = 0; i < w.size(); ++i) {
    const uint8_t* block = m.bytes.data() + i / 256 * 212;
    const int scale = static_cast<int8_t>(block[4 + i % 256 / 16]);
    uint16_t half;
    std::memcpy(&half, block, 2);
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    const double d = std::ldexp(exponent ? mantissa + 1024 : mantissa, (exponent ? exponent : 1) - 25);
    const double step = (half & 0x8000 ? -d : d) * scale;
    if (step != 0) w[i] = static_cast<float>(std::nearbyint(static_cast<double>(w[i]) / step) * step);
  }
  return w;
}

Matrix make_matrix(const Type& type, int64_t rows, int64_t k, Content content) {
  const Anatomy& a = anatomy_of(type);
  Matrix m{&type, content, rows, k, {}, {}, {}, 0};
  m.bytes.assign(static_cast<size_t>(iqk::matrix_bytes(type, rows, k)), 0x3b);
  const bool is_float = !type.tier;
  const int sign = a.signs && random_bits() % 2 ? 0x80 : 0;
  size_t at = 0;
  const auto put = [&](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i, ++at) {
      static const int fills[] = {0, 0, 0, 0xff, 0x80, 0x7f, 0x0f, 0xf0};
      const int typical = a.typical[i];
      if (content == Content::kWild || (!typical && content == Content::kRandom))
        m.bytes[at] = random_byte();
      else if (!typical)
        m.bytes[at] = static_cast<uint8_t>(fills[static_cast<int>(content)]);
      else
        m.bytes[at] = static_cast<uint8_t>((typical - 6 + random_byte() % 9) |
                                           (is_float ? random_byte() & 0x80 : sign));
    }
  };
  if (content == Content::kGolden) {
    const Golden& g = goldens.at(type.name);
    const size_t to = static_cast<size_t>(iqk::row_bytes(type, k) * type.interleave);
    const size_t from = static_cast<size_t>(iqk::row_bytes(type, g.k) * type.interleave);
    for (int64_t group = 0; group < rows / type.interleave; ++group)
      std::memcpy(m.bytes.data() + static_cast<size_t>(group) * to,
                  g.raw.data() + static_cast<size_t>(group % (g.rows / type.interleave)) * from, to);
  } else {
    for (int64_t group = 0; group < rows / type.interleave; ++group) {
      put(0, a.header);
      for (int64_t unit = 0; unit < k / a.k; ++unit) put(a.header, a.header + a.unit);
    }
  }
  m.decoded.resize(static_cast<size_t>(rows * k));
  iqk::dequantize({&type, m.bytes.data(), rows, k}, m.decoded.data(), 1);
  m.multiplied = multiplied_weights(m);
  m.noise = a.largest;
  if (content == Content::kGolden)
    for (const float w : m.decoded) m.noise = std::max(m.noise, std::fabs(w));
  m.noise *= 5e-6f;
  return m;
}

// ---- Activations -----------------------------------------------------------------------------------------

// kSigns: one magnitude, any signs: every quantized code is 127 or -127, and nothing is lost. kPlus, kMinus:
// one sign.
enum class Kind { kNormal, kSigns, kPlus, kOutlier, kScaled, kMinus };
Kind kind_of(int64_t column) {
  static const Kind kinds[] = {Kind::kNormal,  Kind::kSigns,  Kind::kNormal, Kind::kPlus,
                               Kind::kOutlier, Kind::kNormal, Kind::kMinus,  Kind::kScaled};
  return kinds[column % 8];
}
bool is_exact(Kind kind) { return kind == Kind::kSigns || kind == Kind::kPlus || kind == Kind::kMinus; }

std::vector<float> make_activations(int64_t columns, int64_t k) {
  static const std::vector<float> normals = [] {
    std::vector<float> x(1 << 16);
    std::normal_distribution<float> normal;
    for (float& value : x) value = normal(random_bits);
    return x;
  }();
  std::vector<float> x(static_cast<size_t>(columns * k));
  for (int64_t c = 0; c < columns; ++c) {
    const Kind kind = kind_of(c);
    const size_t from = random_bits() % normals.size();
    const float magnitude = 0.25f + static_cast<float>(random_byte()) / 64;
    float* column = x.data() + c * k;
    for (int64_t i = 0; i < k; ++i) {
      const float n = normals[(from + static_cast<size_t>(i)) % normals.size()];
      if (kind == Kind::kSigns)
        column[i] = std::copysign(magnitude, n);
      else if (is_exact(kind))
        column[i] = kind == Kind::kPlus ? magnitude : -magnitude;
      else
        column[i] = kind == Kind::kScaled ? std::ldexp(n, 20) : n;
    }
    if (kind == Kind::kOutlier) column[random_bits() % static_cast<size_t>(k)] = 30;
  }
  return x;
}

// What products are judged by, [column][row].
struct Reference {
  std::vector<double> exact;     // float64
  std::vector<float> power;      // sum of w^2 x^2: the expected square of a product with random signs
  std::vector<float> magnitude;  // sum of |w x|
  std::vector<float> scalar;     // the scalar tier's product
  std::vector<float> absolute;   // sum of |x|, [column]
};

Reference make_reference(const Matrix& m, const std::vector<float>& x, int64_t columns) {
  Reference ref;
  const size_t outputs = static_cast<size_t>(columns * m.rows);
  ref.exact.resize(outputs);
  ref.power.resize(outputs);
  ref.magnitude.resize(outputs);
  ref.scalar.resize(outputs);
  for (int64_t c = 0; c < columns; ++c) {
    float sum = 0;
    for (int64_t i = 0; i < m.k; ++i) sum += std::fabs(x[static_cast<size_t>(c * m.k + i)]);
    ref.absolute.push_back(sum);
  }
  // Columns innermost: sums that compilers vectorize.
  const size_t n = static_cast<size_t>(columns);
  std::vector<float> across(static_cast<size_t>(m.k) * n), power(n), magnitude(n);
  std::vector<double> exact(n);
  for (size_t c = 0; c < n; ++c)
    for (size_t i = 0; i < static_cast<size_t>(m.k); ++i)
      across[i * n + c] = x[c * static_cast<size_t>(m.k) + i];
  for (int64_t r = 0; r < m.rows; ++r) {
    std::fill(exact.begin(), exact.end(), 0.0);
    std::fill(power.begin(), power.end(), 0.0f);
    std::fill(magnitude.begin(), magnitude.end(), 0.0f);
    for (int64_t i = 0; i < m.k; ++i) {
      const float w = m.multiplied[static_cast<size_t>(r * m.k + i)];
      const float* at = across.data() + static_cast<size_t>(i) * n;
      for (size_t c = 0; c < n; ++c) {
        const float product = w * at[c];
        exact[c] += static_cast<double>(w) * static_cast<double>(at[c]);
        power[c] += product * product;
        magnitude[c] += std::fabs(product);
      }
    }
    for (size_t c = 0; c < n; ++c) {
      const size_t to = c * static_cast<size_t>(m.rows) + static_cast<size_t>(r);
      ref.exact[to] = exact[c];
      ref.power[to] = power[c];
      ref.magnitude[to] = magnitude[c];
    }
  }
  iqk::mul_mat({m.type, m.bytes.data(), m.rows, m.k}, x.data(), columns, ref.scalar.data(), 1);
  return ref;
}

// ---- Products --------------------------------------------------------------------------------------------

constexpr uint32_t kPoison = 0x7fc5a5a5;  // a NaN that no arithmetic makes

// A product into poisoned memory; every float of it must be written, and none outside.
std::vector<float> multiply(const iqk::Weights& w, const float* x, int64_t batch, int threads) {
  constexpr size_t kFence = 16;
  const size_t outputs = static_cast<size_t>(batch * w.rows);
  std::vector<uint32_t> memory(outputs + 2 * kFence, kPoison);
  Guarded columns(x, static_cast<size_t>(batch * w.k) * sizeof(float), Place::kEnd);
  iqk::mul_mat(w, reinterpret_cast<const float*>(columns.data), batch,
               reinterpret_cast<float*>(memory.data() + kFence), threads);
  const auto is_poison = [](uint32_t bits) { return bits == kPoison; };
  const auto begin = memory.begin() + kFence, end = begin + static_cast<ptrdiff_t>(outputs);
  check(std::all_of(memory.begin(), begin, is_poison) && std::all_of(end, memory.end(), is_poison),
        "writes outside of the output");
  check(std::none_of(begin, end, is_poison), "outputs not written");
  std::vector<float> out(outputs);
  if (outputs) std::memcpy(out.data(), memory.data() + kFence, outputs * sizeof(float));
  return out;
}

// Sums of squared errors relative to the products' expected squares.
struct Noise {
  double sum = 0;
  int64_t count = 0;
  void add(double square, double expected) {
    if (expected > 0) sum += square / expected;
    ++count;
  }
  double mean() const { return count ? sum / static_cast<double>(count) : 0; }
};
// By kernel, of one type and instruction set: normal activations, and with an outlier. Only of long rows:
// there a mean means something.
struct Noises {
  Noise normal, outlier;
};

// What bfloat16 takes off weights and activations together, at most.
constexpr double kWideLoss = 0.8e-2;

// Products of `batch` columns from `first` on. What is certain is checked for each number; noise is
// collected. `wide`: in bfloat16, which is not exact where 8-bit activations are, but never far off.
void judge(const Matrix& m, const Reference& ref, int64_t first, int64_t batch, const std::vector<float>& out,
           bool wide, Noises& noises) {
  Noises own;
  int wrong = 0, unlike = 0;
  double worst = 0, most = 0;
  for (int64_t c = 0; c < batch; ++c) {
    const Kind kind = kind_of(first + c);
    for (int64_t r = 0; r < m.rows; ++r) {
      const size_t i = static_cast<size_t>((first + c) * m.rows + r);
      const double y = static_cast<double>(out[static_cast<size_t>(c * m.rows + r)]);
      const double error = std::fabs(y - ref.exact[i]),
                   difference = std::fabs(y - static_cast<double>(ref.scalar[i]));
      const double magnitude = static_cast<double>(ref.magnitude[i]);
      const double bound = (wide ? kWideLoss : 2e-5) * magnitude +
                           static_cast<double>(m.noise * ref.absolute[static_cast<size_t>(first + c)]);
      if (magnitude > 0) most = std::max(most, difference / magnitude);
      if (!wide && !(difference <= bound)) ++unlike;
      const bool exact = wide || is_exact(kind) || !m.type->tier;
      if (exact && magnitude > 0) worst = std::max(worst, error / magnitude);
      if (exact ? !(error <= bound) : !std::isfinite(y)) ++wrong;
      Noises& to = own;
      (kind == Kind::kOutlier ? to.outlier : to.normal)
          .add(is_exact(kind) ? 0 : error * error, static_cast<double>(ref.power[i]));
      if (is_exact(kind)) --to.normal.count;
    }
  }
  check(wrong == 0, "%d outputs are wrong, by up to %.1e of sum |w x|", wrong, worst);
  check(unlike == 0, "%d outputs differ from the scalar tier, by up to %.1e of sum |w x|", unlike, most);
  if (m.k < 768 || (m.content != Content::kGolden && m.content != Content::kRandom)) return;
  noises.normal.sum += own.normal.sum;
  noises.normal.count += own.normal.count;
  noises.outlier.sum += own.outlier.sum;
  noises.outlier.count += own.outlier.count;
}

struct Case {
  int64_t rows, k;
  Content content;
  std::vector<int64_t> batches;
};

// Columns that the fused kernels take at once; the first batch of tiles: the other kernels of a set with them
// are those of the set before it.
constexpr int kMostFused = 8, kTilesFrom = 1;

const std::vector<int64_t> kBatches = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 31, 32, 33, 65, 130};

// Rows: `n` or a few more, an odd number of groups.
int64_t odd_groups(const Type& type, int64_t n) {
  return ((n + type.interleave - 1) / type.interleave | 1) * type.interleave;
}

std::vector<Case> cases_of(const Type& type) {
  const int64_t step = anatomy_of(type).k;
  const bool has_golden = goldens.count(type.name) != 0;
  const auto units = [&](int64_t n, int64_t rest) {  // n * 256 weights and `rest` smallest rows
    return n * 256 + (step < 256 ? rest * step : 0);
  };
  const auto rows = [&](int64_t n) { return odd_groups(type, n); };
  const Content base = has_golden ? Content::kGolden : Content::kRandom;
  std::vector<Case> cases;
  if (quick) {
    cases.push_back({rows(1), step, Content::kRandom, {1, 2, 9}});
    cases.push_back({rows(5), units(1, 3), base, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}});
    cases.push_back({rows(33), units(3, 1), Content::kRandom, {1, 31}});
    cases.push_back({rows(3), units(2, 0), Content::kOnes, {3, 16}});
    cases.push_back({rows(3), step, Content::kZeros, {2, 16}});
    cases.push_back({rows(3), step, Content::kLowest, {1, 10}});
    cases.push_back({rows(7), units(1, 1), Content::kRandom, {7, 65}});
    cases.push_back({rows(19), units(9, 1), Content::kRandom, {8}});
    return cases;
  }
  static const Content contents[] = {Content::kRandom,      Content::kZeros,  Content::kLowNibbles,
                                     Content::kOnes,        Content::kRandom, Content::kLowest,
                                     Content::kHighNibbles, Content::kHighest};
  static const int64_t heights[] = {1, 3, 5, 7, 17, 33, 9, 49, 15};
  for (int64_t n = 1; n <= 9; ++n) {
    const std::vector<int64_t> batches =
        n % 3 == 0 ? kBatches : std::vector<int64_t>{1, 2 + n % 3, 4 + n % 4, 8 + n % 2, n % 2 ? 33 : 16};
    cases.push_back({rows(heights[n - 1]), n * step, contents[n % 8], batches});
    if (step < 256)
      cases.push_back(
          {rows(heights[(n + 3) % 9]), units(n / 2, n), contents[(n + 4) % 8], {1, 3, n, n + 7, 31 + n % 3}});
  }
  cases.push_back({rows(16), 1024, base, kBatches});
  cases.push_back({rows(67), units(5, 2), Content::kRandom, kBatches});
  cases.push_back({rows(35), units(17, 1), Content::kRandom, {1, 4, 7, 8}});
  return cases;
}

void run_case(const Type& type, const Case& test, const std::vector<std::string>& isas,
              std::map<std::string, Noises>& noises, int number) {
  iqk::use_isa("scalar");
  set_context("%s scalar: reference", type.name);
  const Matrix m = make_matrix(type, test.rows, test.k, test.content);
  int64_t columns = 1;
  for (const int64_t batch : test.batches) columns = std::max(columns, batch);
  columns += 7;  // every batch begins at another column
  const std::vector<float> x = make_activations(columns, test.k);
  const Reference ref = make_reference(m, x, columns);
  const Guarded bytes(m.bytes.data(), m.bytes.size(), static_cast<Place>(number % 3));
  const iqk::Weights w{&type, bytes.data, test.rows, test.k};

  for (const std::string& isa : isas) {
    iqk::use_isa(isa);
    set_context("%s %s: %lld x %lld, %s, decoding", type.name, isa.c_str(), static_cast<long long>(test.rows),
                static_cast<long long>(test.k), content_name(test.content));
    std::vector<float> decoded(m.decoded.size());
    iqk::dequantize(w, decoded.data(), 1);
    check(decoded == m.decoded, "decodes to something else than the scalar tier");
    int64_t first = number;
    for (const int64_t batch : test.batches) {
      first = (first + 3) % 8;
      set_context("%s %s: %lld x %lld, %s, batch %lld", type.name, isa.c_str(),
                  static_cast<long long>(test.rows), static_cast<long long>(test.k),
                  content_name(test.content), static_cast<long long>(batch));
      const int64_t start = std::min(first, columns - batch);
      const auto run = [&] {
        const iqk::Plan plan = iqk::plan(w, batch, 1);
        check(plan.isa == isa, "runs on %s", plan.isa.c_str());
        const std::vector<float> out = multiply(w, x.data() + start * test.k, batch, 1);
        judge(m, ref, start, batch, out, plan.kernel == "tiles", noises[isa + ", " + plan.kernel]);
        return plan.kernel;
      };
      if (run() != "panel" || batch > kMostFused) continue;
      // Which of the two is faster depends on the CPU: both are right.
      iqk::set_thresholds(kMostFused + 1, kTilesFrom);
      run();
      iqk::set_thresholds(-1, kTilesFrom);
    }
  }
}

// Any bytes: no fault, and every output is written.
void run_wild(const Type& type, const std::vector<std::string>& isas) {
  for (const int64_t batch : {1, 3, 12}) {
    iqk::use_isa("scalar");
    set_context("%s scalar: any bytes", type.name);
    const int64_t k = anatomy_of(type).k * (batch == 1 ? 1 : 3), rows = odd_groups(type, 3);
    const Matrix m = make_matrix(type, rows, k, Content::kWild);
    const std::vector<float> x = make_activations(batch, k);
    for (const std::string& isa : isas)
      for (const Place place : {Place::kEnd, Place::kFront}) {
        iqk::use_isa(isa);
        set_context("%s %s: any bytes, batch %d", type.name, isa.c_str(), static_cast<int>(batch));
        const Guarded bytes(m.bytes.data(), m.bytes.size(), place);
        multiply({&type, bytes.data, rows, k}, x.data(), batch, 1);
      }
  }
}

// A NaN or an infinity reaches all rows of its own column, as in float64, and changes no bit of the others.
void run_non_finite(const Type& type, const std::vector<std::string>& isas) {
  const int64_t k = anatomy_of(type).k * (anatomy_of(type).k < 256 ? 9 : 2), rows = odd_groups(type, 3);
  iqk::use_isa("scalar");
  set_context("%s scalar: NaN", type.name);
  const Matrix m = make_matrix(type, rows, k, Content::kRandom);
  const iqk::Weights w{&type, m.bytes.data(), rows, k};
  for (const int64_t batch : {4, 20}) {
    const std::vector<float> finite = make_activations(batch, k);
    std::vector<float> x = finite;
    x[static_cast<size_t>(k / 2)] = NAN;
    x[static_cast<size_t>(2 * k - 1)] = INFINITY;
    x[static_cast<size_t>(2 * k)] = -INFINITY;
    x[static_cast<size_t>(3 * k - 1)] = INFINITY;
    for (const std::string& isa : isas) {
      iqk::use_isa(isa);
      set_context("%s %s: NaN and infinity, batch %d", type.name, isa.c_str(), static_cast<int>(batch));
      const std::vector<float> clean = multiply(w, finite.data(), batch, 1),
                               out = multiply(w, x.data(), batch, 1);
      bool right = true;
      for (int64_t c = 0; c < 3; ++c)
        for (int64_t r = 0; r < rows; ++r) {
          double y = 0;
          for (int64_t i = 0; i < k; ++i)
            y += static_cast<double>(m.decoded[static_cast<size_t>(r * k + i)]) *
                 static_cast<double>(x[static_cast<size_t>(c * k + i)]);
          const float is = out[static_cast<size_t>(c * rows + r)];
          right &= std::isnan(y) ? std::isnan(is) : static_cast<double>(is) == y;
        }
      check(right, "not what float64 gives");
      check(std::equal(out.begin() + 3 * rows, out.end(), clean.begin() + 3 * rows), "other columns change");
    }
  }
}

// Nothing to add, nothing to write.
void run_empty(const Type& type, const std::vector<std::string>& isas) {
  const int64_t k = anatomy_of(type).k;
  const std::vector<uint8_t> bytes(static_cast<size_t>(iqk::matrix_bytes(type, type.interleave, k)), 0x3b);
  const std::vector<float> x(static_cast<size_t>(16 * k), 1.0f);
  for (const std::string& isa : isas) {
    iqk::use_isa(isa);
    set_context("%s %s: empty", type.name, isa.c_str());
    multiply({&type, bytes.data(), 0, k}, x.data(), 3, 1);
    for (const int64_t batch : {1, 16}) {
      const std::vector<float> zeros =
          multiply({&type, bytes.data(), type.interleave, 0}, x.data(), batch, 1);
      check(std::all_of(zeros.begin(), zeros.end(), [](float y) { return y == 0; }),
            "K = 0 does not give zeros");
    }
  }
}

// The same bits for every number of threads.
void run_threads(const Type& type, const std::vector<std::string>& isas) {
  const Anatomy& a = anatomy_of(type);
  const int64_t k = 1024 + (a.k < 256 ? a.k : 0), few = odd_groups(type, 24);
  iqk::use_isa("scalar");
  set_context("%s scalar: threads", type.name);
  const Matrix part = make_matrix(type, few, k, Content::kRandom);
  const std::vector<float> x = make_activations(43, k);
  for (const int64_t batch : quick ? std::vector<int64_t>{3, 43} : std::vector<int64_t>{1, 3, 43}) {
    // A thread gets at least 2^18 multiply-adds.
    const int64_t copies = ((8 << 18) / (k * batch) + few - 1) / few;
    const size_t size = part.bytes.size();
    std::vector<uint8_t> bytes(static_cast<size_t>(iqk::matrix_bytes(type, few * copies, k)), 0x3b);
    for (int64_t i = 0; i < copies; ++i)
      std::memcpy(bytes.data() + static_cast<size_t>(i * few * iqk::row_bytes(type, k)), part.bytes.data(),
                  size);
    const iqk::Weights w{&type, bytes.data(), few * copies, k};
    for (const std::string& isa : isas) {
      if (quick && isa == "scalar") continue;
      iqk::use_isa(isa);
      set_context("%s %s: threads, batch %d", type.name, isa.c_str(), static_cast<int>(batch));
      check(iqk::plan(w, batch, 7).threads == 7, "takes %d of 7 threads", iqk::plan(w, batch, 7).threads);
      const std::vector<float> one = multiply(w, x.data(), batch, 1);
      for (const int threads : quick ? std::vector<int>{7} : std::vector<int>{2, 3, 7}) {
        const std::vector<float> more = multiply(w, x.data(), batch, threads);
        check(std::memcmp(one.data(), more.data(), one.size() * sizeof(float)) == 0,
              "%d threads give other bits", threads);
      }
    }
  }
}

// Goldens decode exactly: one rounding of the product of their factors is free. -0 is 0.
void run_golden(const Type& type, const std::vector<std::string>& isas) {
  const auto found = goldens.find(type.name);
  if (found == goldens.end()) {
    ++skipped;
    return;
  }
  const Golden& g = found->second;
  const auto ordered = [](float x) {
    int32_t bits;
    std::memcpy(&bits, &x, 4);
    return bits < 0 ? -static_cast<int64_t>(bits & 0x7fffffff) : static_cast<int64_t>(bits);
  };
  for (const std::string& isa : isas)
    for (const Place place : {Place::kEnd, Place::kFront, Place::kOdd}) {
      iqk::use_isa(isa);
      set_context("%s %s: golden", type.name, isa.c_str());
      const Guarded bytes(g.raw.data(), g.raw.size(), place);
      std::vector<float> out(g.decoded.size(), NAN);
      iqk::dequantize({&type, bytes.data, g.rows, g.k}, out.data(), 1);
      int64_t wrong = 0;
      for (size_t i = 0; i < out.size(); ++i)
        if (!std::isfinite(out[i]) || std::llabs(ordered(out[i]) - ordered(g.decoded[i])) > 1) ++wrong;
      check(wrong == 0, "%lld weights decode wrongly", static_cast<long long>(wrong));
      if (quick) break;
    }
}

void run_type(const Type& type, const std::vector<std::string>& isas) {
  random_bits.seed(static_cast<uint64_t>(type.id));
  run_golden(type, isas);
  if (!iqk::can_multiply(type)) {
    ++skipped;
    return;
  }
  std::map<std::string, Noises> noises;
  int number = type.id;
  for (const Case& test : cases_of(type)) run_case(type, test, isas, noises, ++number);
  for (const auto& [name, noise] : noises) {
    set_context("%s %s: all cases", type.name, name.c_str());
    const double limit = type.tier ? 1e-4 : 1e-10;  // int8 activations alone: 2.9e-5 on average
    if (noise.normal.count >= 256)
      check(noise.normal.mean() <= limit, "normalised error %.2e", noise.normal.mean());
    if (noise.outlier.count >= 256)
      check(noise.outlier.mean() <= 5 * limit, "with outliers %.2e", noise.outlier.mean());
  }
  run_wild(type, isas);
  run_non_finite(type, isas);
  run_empty(type, isas);
  if (!quick || type.id % 8 == 0) run_threads(type, isas);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

[[noreturn]] void refuse(const std::string& what) {
  std::fprintf(stderr, "%s\nusage: kernels_test [--isa NAME] [--types A,B,..] [--quick] [DIRECTORY]\n",
               what.c_str());
  std::exit(2);
}

}  // namespace

int main(int count, char** arguments) {
  for (const int number : {SIGSEGV, SIGBUS, SIGILL}) signal(number, on_fault);
  std::vector<std::string> isas = iqk::isas(), names, directories = {"tests/golden-flat", "/data"};
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--quick")
      quick = true;
    else if (argument == "--isa" && i + 1 < count)
      isas = split(arguments[++i]);
    else if (argument == "--types" && i + 1 < count)
      names = split(arguments[++i]);
    else if (argument[0] != '-')
      directories = {argument};
    else
      refuse("unknown argument " + argument);
  }
  for (const std::string& directory : directories)
    if (goldens.empty()) read_goldens(directory);
  std::string known;
  for (const std::string& isa : iqk::isas()) known += " " + isa;
  for (const std::string& isa : isas)
    if ((known + " ").find(" " + isa + " ") == std::string::npos)
      refuse("this machine has" + known + ", not " + isa);

  iqk::set_thresholds(-1, kTilesFrom);
  std::printf("%s; instruction sets:", iqk::cpu_name().c_str());
  for (const std::string& isa : isas) std::printf(" %s", isa.c_str());
  std::printf("; %zu goldens\n", goldens.size());
  size_t types = 0;
  for (const Type& type : iqk::types()) {
    if (!names.empty() && std::find(names.begin(), names.end(), type.name) == names.end()) continue;
    ++types;
    run_type(type, isas);
  }
  if (types == 0 || (!names.empty() && types != names.size())) refuse("unknown type");
  for (const auto& [place, failures] : printed) std::printf("%s: %d failures\n", place.c_str(), failures);
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed == 0 ? 0 : 1;
}

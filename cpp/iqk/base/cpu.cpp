#include "iqk/base/cpu.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#else
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace iqk {
namespace {

#if defined(__APPLE__)

int64_t sysctl_number(const char* name) {
  int64_t value = 0;  // little-endian: a 4-byte answer fills the lower half
  size_t size = sizeof(value);
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

#endif

// --- Instruction sets, by architecture
// ------------------------------------------------------------------------------

#if defined(__x86_64__)

struct Cpuid {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  explicit Cpuid(uint32_t leaf, uint32_t subleaf = 0) {
    __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx);
  }
};

// The register sets that the OS saves. Legal only if CPUID reports OSXSAVE.
uint64_t xgetbv() {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// Tiles are 8 KiB of registers, which Linux saves for those who ask. It refuses if a thread has an alternate
// signal stack too small for them.
bool allowed_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

CpuFeatures detect() {
  CpuFeatures f{};
  const Cpuid leaf1(1), leaf7(7), leaf7_1(7, 1);  // a leaf that does not exist reads as 0
  const auto bit = [](uint32_t reg, int index) { return (reg >> index & 1) != 0; };
  const uint64_t saved = bit(leaf1.ecx, 27) ? xgetbv() : 0;
  const bool ymm = (saved & 0x06) == 0x06 && bit(leaf1.ecx, 28);
  const bool zmm = ymm && (saved & 0xe0) == 0xe0 && bit(leaf7.ebx, 16);  // opmask, upper halves, zmm16-31
  f.fma = ymm && bit(leaf1.ecx, 12);
  f.f16c = ymm && bit(leaf1.ecx, 29);
  f.avx2 = ymm && bit(leaf7.ebx, 5);
  f.gfni = ymm && bit(leaf7.ecx, 8);
  f.avxvnni = ymm && bit(leaf7_1.eax, 4);
  f.avx512f = zmm;
  f.avx512dq = zmm && bit(leaf7.ebx, 17);
  f.avx512bw = zmm && bit(leaf7.ebx, 30);
  f.avx512vl = zmm && bit(leaf7.ebx, 31);
  f.avx512vbmi = zmm && bit(leaf7.ecx, 1);
  f.avx512vnni = zmm && bit(leaf7.ecx, 11);
  f.avx512bf16 = zmm && bit(leaf7_1.eax, 5);
  constexpr uint64_t kTiles = 3 << 17;  // their shapes and what is in them
  f.amxbf16 = (saved & kTiles) == kTiles && bit(leaf7.edx, 22) && bit(leaf7.edx, 24) && allowed_tiles();
  return f;
}

#elif defined(__aarch64__) && defined(__APPLE__)

CpuFeatures detect() {
  CpuFeatures f{};
  f.neon = true;
  f.dotprod = sysctl_number("hw.optional.arm.FEAT_DotProd") != 0;
  f.i8mm = sysctl_number("hw.optional.arm.FEAT_I8MM") != 0;
  return f;
}

#elif defined(__aarch64__)

CpuFeatures detect() {
  CpuFeatures f{};
  f.neon = (getauxval(AT_HWCAP) >> 1 & 1) != 0;  // bit numbers: the kernel's asm/hwcap.h
  f.dotprod = (getauxval(AT_HWCAP) >> 20 & 1) != 0;
  f.i8mm = (getauxval(AT_HWCAP2) >> 13 & 1) != 0;
  return f;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

int64_t cpu_fetch_distance() {
#if defined(__x86_64__)
  constexpr uint32_t kGenu = 0x756e6547;  // "GenuineIntel"
  static const int64_t distance = Cpuid(0).ebx == kGenu ? 2048 : 0;
  return distance;
#else
  return 0;
#endif
}

// --- The machine, by operating system
// -------------------------------------------------------------------------------

#if defined(__APPLE__)

std::string cpu_name() {
  char name[256] = "";
  size_t size = sizeof(name);
  return sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0) == 0 ? name : "unknown CPU";
}

CacheSizes cache_sizes() {
  return {sysctl_number("hw.l1dcachesize"), sysctl_number("hw.l2cachesize"), sysctl_number("hw.l3cachesize")};
}

int cgroup_cpus(const std::string&) { return 0; }

int default_threads() { return std::max(1, static_cast<int>(sysctl_number("hw.physicalcpu"))); }

#else

namespace {

// The first line of a file, empty if it cannot be read.
std::string read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The value of the first "key : value" line of /proc/cpuinfo, empty if there is none.
std::string cpuinfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (colon != std::string::npos && line.compare(0, key.size(), key) == 0) return line.substr(colon + 2);
  }
  return "";
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  for (int capacity = 1024; cpus.empty() && capacity <= 1 << 18;
       capacity *= 2) {  // the kernel's mask must fit
    cpu_set_t* const set = CPU_ALLOC(capacity);
    if (set == nullptr) break;
    const size_t size = CPU_ALLOC_SIZE(capacity);
    if (sched_getaffinity(0, size, set) == 0) {
      for (int cpu = 0; cpu < capacity; ++cpu) {
        if (CPU_ISSET_S(cpu, size, set)) cpus.push_back(cpu);
      }
    }
    CPU_FREE(set);
  }
  return cpus;
}

}  // namespace

std::string cpu_name() {
  const std::string name = cpuinfo("model name");
  if (!name.empty()) return name;
  const std::string implementer = cpuinfo("CPU implementer"),
                    part = cpuinfo("CPU part");  // all that ARM says
  return part.empty() ? "unknown CPU" : "implementer " + implementer + " part " + part;
}

CacheSizes cache_sizes() {
  CacheSizes sizes{};
  for (int index = 0; index < 8; ++index) {
    const std::string cache = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
    if (read_line(cache + "/type") == "Instruction") continue;
    const std::string level = read_line(cache + "/level"),
                      size = read_line(cache + "/size");  // such as "32K"
    const int64_t bytes = std::atoll(size.c_str()) << (size.find('K') != std::string::npos ? 10 : 0);
    if (level == "1") sizes.l1d = bytes;
    if (level == "2") sizes.l2 = bytes;
    if (level == "3") sizes.l3 = bytes;
  }
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  const auto or_ask = [](int64_t size, int name) {
    return size > 0 ? size : std::max<int64_t>(0, sysconf(name));
  };
  sizes.l1d = or_ask(sizes.l1d, _SC_LEVEL1_DCACHE_SIZE);
  sizes.l2 = or_ask(sizes.l2, _SC_LEVEL2_CACHE_SIZE);
  sizes.l3 = or_ask(sizes.l3, _SC_LEVEL3_CACHE_SIZE);
#endif
  return sizes;
}

int cgroup_cpus(const std::string& root) {
  int64_t limit = 0;
  std::ifstream groups(root + "/proc/self/cgroup");  // lines "id:controllers:/path"
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    const std::string mount = root + (v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu");
    // From the group up to the mount itself, which inside a container may be all that is visible.
    for (std::string path = line.substr(second + 1);; path.erase(path.rfind('/'))) {
      const std::string group = mount + path;
      std::istringstream bandwidth(v2 ? read_line(group + "/cpu.max")  // "quota period" or "max period"
                                      : read_line(group + "/cpu.cfs_quota_us") + " " +
                                            read_line(group + "/cpu.cfs_period_us"));
      int64_t quota = 0, period = 0;
      if (bandwidth >> quota >> period && quota > 0 && period > 0) {
        const int64_t cpus = (quota + period - 1) / period;
        limit = limit == 0 ? cpus : std::min(limit, cpus);
      }
      if (path.find('/') == std::string::npos) break;
    }
  }
  return static_cast<int>(limit);
}

int default_threads() {
  std::set<std::string> cores;
  for (const int cpu : allowed_cpus()) {
    const std::string name = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
    const std::string siblings = read_line(name + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? name : siblings);  // the same text for all threads of one core
  }
  const int quota = cgroup_cpus();
  const int physical = static_cast<int>(cores.size());
  return std::max(1, quota > 0 ? std::min(physical, quota) : physical);
}

#endif

}  // namespace iqk

// What this machine is: instruction sets, cores that we may use, caches.
#pragma once

#include <cstdint>
#include <string>

namespace iqk {

// True only if both the CPU and the operating system (saved registers) allow it.
struct CpuFeatures {
  bool avx2, fma, f16c, avxvnni;
  bool avx512f, avx512bw, avx512dq, avx512vl, avx512vnni, avx512vbmi, gfni, avx512bf16;
  bool amxbf16;  // and the system lets this process use tiles
  bool neon, dotprod, i8mm;
};

// Bytes of the caches that the first core sees (a shared cache counts whole); 0 if unknown.
struct CacheSizes {
  int64_t l1d, l2, l3;
};

const CpuFeatures& cpu_features();
CacheSizes cache_sizes();

// How many bytes ahead of a stream of reads it pays to ask for by instruction; 0 where the hardware does as
// well on its own. 2048 on CPUs of Intel: a Xeon there read weights at 13 GB/s instead of 9 (batch 1, one
// core). AMD's Zen 3 and 4 gain nothing, or lose.
int64_t cpu_fetch_distance();
std::string cpu_name();

// Physical cores in the calling thread's affinity mask, limited by the cgroup CPU quota; at least 1. Asks the
// system at every call, because all three can change.
int default_threads();

// The cgroup CPU quota (v2 or v1, the tightest among the ancestors) in whole CPUs, rounded up; 0 if there is
// none. `root` is prepended to all paths, for tests.
int cgroup_cpus(const std::string& root = "");

}  // namespace iqk

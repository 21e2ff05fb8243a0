// Whether this CPU has the instruction set that a test of its vocabulary is compiled for, in IQK_NS.
#pragma once

#include <cstdio>
#include <cstring>

#include "iqk/base/cpu.h"

#define IQK_NAME_OF(space) #space
#define IQK_NAME(space) IQK_NAME_OF(space)

// Says so where it has not; the test is then to end with 77.
inline bool usable() {
  const iqk::CpuFeatures& cpu = iqk::cpu_features();
  static_cast<void>(cpu);
  bool found = true;
#define IQK_ISA(name, space, condition) \
  if (std::strcmp(IQK_NAME(IQK_NS), "iqk::" #space) == 0) found = condition;
#define IQK_TILED_ISA(name, space, base, condition) IQK_ISA(name, space, condition)
#include "iqk/isas.inc"
  if (!found) std::printf("this CPU lacks the instruction set\n0 passed, 0 failed, 1 skipped\n");
  return found;
}

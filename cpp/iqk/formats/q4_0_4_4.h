// Q4_0_4_4: four rows of Q4_0 as signed nibbles; runs of four code bytes of a row.
#pragma once

#include "iqk/formats/interleaved.h"
#include "iqk/formats/q4_0.h"

namespace IQK_NS {

// An old layout of Q4_0: runs of `Run` code bytes of each row, with code - 8 in two's complement for code.
template <class Self, class SelfFacts, int Run>
struct SignedNibbleRuns : Interleaved<Self, Q4_0, SelfFacts> {
  using SelfFacts::kRows;
  template <class Mover>
  static void map(Mover m, int row) {
    m.bytes(0, 2 * row, 2);
    for (int i = 0; i < 16; i += Run) m.bytes(2 + i, 2 * kRows + kRows * i + Run * row, Run, 0x88);
  }
};

struct Q4_0_4_4 : SignedNibbleRuns<Q4_0_4_4, Q4_0_4_4_facts, 4> {};

}  // namespace IQK_NS

// Q4_0_4_8: four rows of Q4_0 as signed nibbles; runs of eight code bytes of a row.
#pragma once

#include "iqk/formats/q4_0_4_4.h"

namespace IQK_NS {

struct Q4_0_4_8 : SignedNibbleRuns<Q4_0_4_8, Q4_0_4_8_facts, 8> {};

}  // namespace IQK_NS

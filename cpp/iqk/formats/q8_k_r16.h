// Q8_K_R16: sixteen rows of 256 codes, int8 plus 128, with an fp16 scale; 64 bytes are four columns.
#pragma once

#include "iqk/formats/q8_k_r8.h"

namespace IQK_NS {

struct Q8_K_R16 : Q8_K_rows<Q8_K_R16_facts, 128> {};

}  // namespace IQK_NS

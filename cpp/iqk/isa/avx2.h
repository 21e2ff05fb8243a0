// AVX2, FMA, F16C.
#pragma once

#include "iqk/isa/avx2_products.h"
#include "iqk/isa/avx2_vectors.h"

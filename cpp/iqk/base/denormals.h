// Denormal numbers as zeros while it lives, where the CPU would be many times slower with them: blocks of
// zeros have the smallest scale there is in some types, and that is one.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace iqk {

class FlushDenormals {
 public:
#if defined(__x86_64__)
  explicit FlushDenormals(bool flush) : saved_(_mm_getcsr()) {
    if (flush) _mm_setcsr(saved_ | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
  }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#else
  explicit FlushDenormals(bool) {}
#endif
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

}  // namespace iqk

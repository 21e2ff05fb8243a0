// For functions in headers that translation units with different instruction sets include. A plain `inline`
// function would leave one weak symbol per translation unit, of which the linker keeps any one: possibly the
// one compiled for a CPU that this machine is not.
#pragma once

#define IQK_INLINE static inline __attribute__((always_inline))
// The same for member functions that need an object.
#define IQK_MEMBER inline __attribute__((always_inline))

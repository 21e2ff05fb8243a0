// Blocks of independent multiply-adds that show what the core can do: twelve chains, which hide the latency.
// Integer products have no slow inputs, so the registers may hold anything; the factors of the floats are
// zero.
#pragma once

// `body` for r = 0 .. 11, with \r in the assembler's text.
#define IQK_TWELVE_CHAINS(before, body)                                                              \
  asm volatile(before ".irp r,0,1,2,3,4,5,6,7,8,9,10,11\n" body "\n.endr\n" ::                       \
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                     "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")
#define IQK_FLOAT_CHAINS(reg)                             \
  IQK_TWELVE_CHAINS("vxorps %%xmm12, %%xmm12, %%xmm12\n", \
                    "vfmadd231ps %%" reg "12, %%" reg "12, %%" reg "\\r")

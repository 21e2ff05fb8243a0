"""Quantized matrix products on CPUs: every GGUF weight type, SIMD kernels, NumPy in and out.

import iqkcpu
w = iqkcpu.quantize(weights, "IQ4_NL")      # (rows, K) floats to a QuantTensor
y = iqkcpu.mul_mat(w, x)                    # the same as x @ w.T
"""

from . import _core
from ._moe import moe_ffn, moe_up_gate, mul_mat_id, split_up_gate, up_gate
from ._ops import Plan, mul_mat, plan, quantize
from ._runtime import get_num_threads, isa, isas, set_num_threads, use_isa
from ._tensor import QuantTensor
from ._types import Type, types

__version__ = _core.version

__all__ = [
    "Plan",
    "QuantTensor",
    "Type",
    "get_num_threads",
    "isa",
    "isas",
    "moe_ffn",
    "moe_up_gate",
    "mul_mat",
    "mul_mat_id",
    "plan",
    "quantize",
    "set_num_threads",
    "split_up_gate",
    "types",
    "up_gate",
    "use_isa",
]

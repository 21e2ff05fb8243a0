"""Quantized matrix products on CPUs: every GGUF weight type, SIMD kernels, NumPy in and out.

import iqkcpu
w = iqkcpu.quantize(weights, "IQ4_NL")      # (rows, K) floats to a QuantTensor
y = iqkcpu.mul_mat(w, x)                    # the same as x @ w.T
"""

from . import _core
from ._moe import moe_ffn, moe_up_gate, mul_mat_id, split_up_gate, up_gate
from ._ops import Plan, mul_mat, plan
from ._quantize import quantize
from ._repack import RepackPlan, repack, repack_plan, unpack
from ._rows import get_rows
from ._runtime import get_num_threads, isa, isas, set_num_threads, use_isa
from ._tensor import QuantTensor
from ._types import Type, types
from .gguf import GGUFError, GGUFModel, LazyTensor, Metadata, RawTensor, TensorInfo, open_gguf, save_gguf

__version__ = _core.version

__all__ = [
    "GGUFError",
    "GGUFModel",
    "LazyTensor",
    "Metadata",
    "Plan",
    "QuantTensor",
    "RawTensor",
    "RepackPlan",
    "TensorInfo",
    "Type",
    "get_num_threads",
    "get_rows",
    "isa",
    "isas",
    "moe_ffn",
    "moe_up_gate",
    "mul_mat",
    "mul_mat_id",
    "open_gguf",
    "plan",
    "quantize",
    "repack",
    "repack_plan",
    "save_gguf",
    "set_num_threads",
    "split_up_gate",
    "types",
    "unpack",
    "up_gate",
    "use_isa",
]

"""Products, quantization, and what the library plans to do."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._arrays import FLOAT32, check_out, contiguous_float32, float_array
from ._fusion import Fused, can_fuse, why
from ._runtime import thread_count
from ._tensor import QuantTensor


def mul_mat(
    w: QuantTensor,
    x: ArrayLike,
    *,
    out: NDArray[np.float32] | None = None,
    threads: SupportsIndex | None = None,
) -> NDArray[np.float32]:
    """Return `x @ w.T`: the product of activations with a quantized matrix.

    The GIL is released during the work. The result has the same bits for every number of threads; it differs within
    rounding between instruction sets, and between batches (`plan` tells which kernel a batch takes).

    Args:
        w: weights of shape (rows, K).
        x: activations of shape (..., K), any strides: float32, float16 or bfloat16 (wider ones are rounded to float32).
            NaN and infinity reach the rows that they should, and no others.
        out: where to write: C-contiguous float32 of shape (..., rows) that overlaps neither x nor w.
        threads: how many to use at most; by default `get_num_threads()`.

    Returns:
        float32 of shape (..., rows): `out` where it was given.

    Raises:
        TypeError: x holds integers, complex numbers or objects.
        ValueError: the last axis of x is not K; w holds experts or has a type that cannot be multiplied; `out` does not
            fit; threads < 1.
    """
    rows, k = _matrix_shape(w)
    if type(x) is np.ndarray and x.dtype is FLOAT32 and x.flags.c_contiguous:
        a = x
    else:
        a = contiguous_float32(float_array(x, "x"))
    shape = a.shape
    if not shape or shape[-1] != k:
        raise ValueError(f"x has shape {shape}: its last axis must be K = {k} of w, shape {w.shape}")
    shape = (*shape[:-1], rows)
    if out is None:
        out = np.empty(shape, FLOAT32)
    else:
        check_out(out, shape, FLOAT32, x=x, w=w.raw)
    _core.mul_mat(w._matrix, a, out, thread_count(threads))
    return out


@dataclass(frozen=True)
class Plan:
    """What `mul_mat`, or `up_gate`, will do with weights and a batch."""

    kernel: str
    """"gemv", "panel" or "tiles" for codes, "float_gemv" or "float_panel" for float types, "plain" on the scalar tier,
    "none" for an empty batch."""
    weights: str
    """What the kernel multiplies: the type itself, or the panel that it is unpacked to."""
    activations: str
    """What the activations become, such as "int8, one float32 scale per 32"."""
    isa: str
    """The instruction set."""
    threads: int
    """How many threads take part at most."""
    why: str
    """Why this kernel, in words."""
    threshold: int
    """The first batch that takes the panel; 0 where there is none."""
    fused: bool | None = None
    """Whether up and gate are multiplied in one pass; None for a product of one matrix."""


def plan(
    w: QuantTensor,
    batch: SupportsIndex,
    *,
    gate: QuantTensor | None = None,
    fused: Fused = "auto",
    threads: SupportsIndex | None = None,
) -> Plan:
    """Tell what `mul_mat(w, x)` will do for x of `batch` rows, or, with `gate`, `up_gate(w, gate, x, fused=fused)`.

    With `gate`, both may hold experts: `batch` is then the number of rows that one expert gets. Where up and gate
    take two products, the kernel is that of up, and `why` has both.

    Raises:
        TypeError: `fused` is True and the types of up and gate differ.
        ValueError: batch < 0, threads < 1, a tensor that `mul_mat` refuses, or up and gate of different shapes.
    """
    size = operator.index(batch)
    if size < 0:
        raise ValueError(f"batch must not be negative, is {size}")
    count = thread_count(threads)
    if gate is None:
        _matrix_shape(w)
        return _plan_matrix(w, size, count)
    for name, t in (("w", w), ("gate", gate)):
        tensor_shape(t, name, "tensor", 2, 3)
    together, reason = can_fuse(w, gate, fused), why(w, gate, fused)
    up, beside = (_plan_matrix(_one_matrix(t), size, count) for t in (w, gate))
    if together:
        return replace(up, fused=True, why=f"{up.why}; up and gate in one pass: {reason}")
    both = up.why if up.why == beside.why else f"{up.why}; gate: {beside.why}"
    return replace(up, fused=False, why=f"{both}; up and gate as two products: {reason}")


def _plan_matrix(w: QuantTensor, batch: int, threads: int) -> Plan:
    p = _core.plan(w._matrix, batch, threads)
    return Plan(p.kernel, p.weights, p.activations, p.isa, p.threads, p.why, p.threshold)


def _one_matrix(w: QuantTensor) -> QuantTensor:
    if w.ndim == 2:
        return w
    if len(w) == 0:
        raise ValueError(f"w of shape {w.shape} holds no expert")
    return w[0]


def tensor_shape(w: QuantTensor, name: str, what: str, *ndims: int) -> tuple[int, ...]:
    """Return the shape of the argument `name`, which must be `what`: a tensor of one of `ndims` axes."""
    if not isinstance(w, QuantTensor):
        raise TypeError(f"{name} must be an iqkcpu.QuantTensor, not {type(w).__name__}")
    if w.ndim not in ndims:
        raise ValueError(f"{name} must be a {what}, its shape is {w.shape}")
    return w.shape


def _matrix_shape(w: QuantTensor) -> tuple[int, ...]:
    shape = tensor_shape(w, "w", "tensor", 2, 3)
    if len(shape) != 2:
        raise ValueError(
            f"w holds experts, shape {shape}: multiply by one of them, w[e], or by chosen ones, mul_mat_id"
        )
    return shape

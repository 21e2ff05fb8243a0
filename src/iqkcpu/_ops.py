"""Products, quantization, and what the library plans to do."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._arrays import FLOAT32, check_out, contiguous_float32, float_array
from ._fusion import Fused, can_fuse, why
from ._runtime import thread_count
from ._tensor import QuantTensor
from ._types import Type, tensor_bytes, types


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


def quantize(
    a: ArrayLike,
    type: str | SupportsIndex | Type,
    imatrix: ArrayLike | None = None,
    threads: SupportsIndex | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> QuantTensor:
    """Return weights quantized to a type.

    Rows are independent of each other, and the bytes do not depend on the instruction set or the threads.

    Args:
        a: weights of shape (rows, K) or (experts, rows, K), any strides: float32, float16 or bfloat16 (wider ones are
            rounded to float32).
        type: a `Type`, its name or its GGUF id.
        imatrix: importance of each column, of shape (K,), or (experts, K) for experts: finite and not negative.
            Types with `needs_imatrix` give poor weights without.
        threads: how many to use at most; by default `get_num_threads()`.
        progress: called as `progress(rows done, rows in all)` several times a second; an exception that it raises ends
            the work, as KeyboardInterrupt does.

    Raises:
        TypeError: `a` or `imatrix` holds integers, complex numbers or objects.
        ValueError: unknown type, or one that has no quantizer; K no multiple of the block, rows no multiple of the
            interleave; NaN or infinity in `a` (the message has its position); an `imatrix` of another shape, or with a
            value that is negative or not finite; threads < 1.
    """
    type = Type(type)
    if not type._info.can_quantize:
        able = ", ".join(t.name for t in types.values() if t._info.can_quantize)
        raise ValueError(f"there is no quantizer for {type.name}; there is for {able}")
    array = float_array(a, "a")
    raw = np.empty(tensor_bytes(type, array.shape), np.uint8)
    *experts, rows, k = array.shape
    raw = raw.reshape(*experts, rows, type.row_bytes(k))
    importance = None if imatrix is None else _checked_imatrix(imatrix, (*experts, k))
    count = thread_count(threads)
    done, total = 0, math.prod(array.shape[:-1])
    for expert in np.ndindex(*experts):
        columns = importance if importance is None or importance.ndim == 1 else importance[expert]
        start = 0
        for stop in _row_chunks(rows, k, type.interleave):
            part = array[expert][start:stop]
            try:
                chunk = contiguous_float32(part)
                _core.quantize(type.id, chunk, stop - start, k, columns, raw[expert][start:stop], count)
            except ValueError:
                _refuse_non_finite(part, (*expert, start, 0))
                raise
            done += stop - start
            start = stop
            if progress is not None:
                progress(done, total)
    return QuantTensor(raw, type, array.shape)


@dataclass(frozen=True)
class Plan:
    """What `mul_mat`, or `up_gate`, will do with weights and a batch."""

    kernel: str
    """"gemv" or "panel" for codes, "float_gemv" or "float_panel" for float types, "plain" on the scalar tier, "none"
    for an empty batch."""
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


def _row_chunks(rows: int, k: int, group: int) -> Iterator[int]:
    """Ends of chunks of whole groups of rows, each to take about a tenth of a second."""
    chunk = max(1, (1 << 18) // max(1, k * group))  # groups
    stop = 0
    while stop < rows:
        begin = time.perf_counter()
        stop = min(rows, stop + chunk * group)
        yield stop
        seconds = time.perf_counter() - begin
        chunk = max(1, chunk // 2) if seconds > 0.2 else 2 * chunk if seconds < 0.05 else chunk


def _checked_imatrix(imatrix: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    importance = contiguous_float32(float_array(imatrix, "imatrix"))
    if importance.shape not in (shape, shape[-1:]):
        raise ValueError(f"imatrix has shape {importance.shape}, one value per column is {shape}")
    if not np.all(np.isfinite(importance) & (importance >= 0)):
        raise ValueError("imatrix must be finite and not negative")
    return importance


def _refuse_non_finite(part: NDArray[Any], origin: tuple[int, ...]) -> None:
    """Raise ValueError with the position of the first NaN or infinity of a chunk of rows, if there is one."""
    bad = np.argwhere(~np.isfinite(contiguous_float32(part)))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        position = (*origin[:-2], origin[-2] + row, column)
        raise ValueError(f"a{list(position)} is {part[row, column]}: only finite values can be quantized") from None

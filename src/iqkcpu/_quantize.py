"""Float weights to quantized ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._arrays import contiguous_float32, float_array
from ._repack import repack
from ._runtime import thread_count
from ._tensor import QuantTensor
from ._types import Type, can_quantize, fallback, tensor_bytes, types

QUANTIZER_VERSION = 2
"""Raised when a quantizer gives other bytes than before: files record it, so that none of theirs are reused then."""


def quantize(
    a: ArrayLike,
    type: str | SupportsIndex | Type,
    imatrix: ArrayLike | None = None,
    threads: SupportsIndex | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> QuantTensor:
    """Return weights quantized to a type.

    Rows are independent of each other, and the bytes do not depend on the instruction set or the threads. Types that
    store rows together are quantized as their base type, and repacked.

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
        ValueError: unknown type, or one that has no quantizer; K no multiple of the block (the message names the usual
            type for such rows), rows no multiple of the interleave; NaN or infinity in `a` (the message has its
            position); an `imatrix` of another shape, or with a value that is negative or not finite; threads < 1.
    """
    type = Type(type)
    if not can_quantize(type):
        able = ", ".join(t.name for t in types.values() if can_quantize(t))
        raise ValueError(f"there is no quantizer for {type.name}; there is for {able}")
    array = float_array(a, "a")
    if array.ndim > 1 and array.shape[-1] % type.block_size and array.shape[-1] % 32 == 0:
        raise ValueError(
            f"K = {array.shape[-1]} is no multiple of the {type.block_size} weights in a block of {type.name}; "
            f"{fallback(type).name} is the usual type for such rows"
        )
    size = tensor_bytes(type, array.shape)
    if type.base is not None:
        plain = quantize(array, type.base, imatrix, threads, progress)
        return repack(plain, type, threads=threads)
    raw = np.empty(size, np.uint8)
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
                refuse_non_finite(part, (*expert, start, 0))
                raise
            done += stop - start
            start = stop
            if progress is not None:
                progress(done, total)
    return QuantTensor(raw, type, array.shape)


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


def refuse_non_finite(part: NDArray[Any], origin: tuple[int, ...]) -> None:
    """Raise ValueError with the position of the first NaN or infinity of a chunk of rows, if there is one."""
    bad = np.argwhere(~np.isfinite(contiguous_float32(part)))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        position = (*origin[:-2], origin[-2] + row, column)
        raise ValueError(f"a{list(position)} is {part[row, column]}: only finite values can be quantized") from None

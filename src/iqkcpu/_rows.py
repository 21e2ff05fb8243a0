"""Looking rows up: embeddings of tokens."""

from __future__ import annotations

from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._runtime import thread_count
from ._tensor import QuantTensor


def get_rows(w: QuantTensor, ids: ArrayLike, *, threads: SupportsIndex | None = None) -> NDArray[np.float32]:
    """Return chosen rows of a quantized matrix, decoded: `w.dequantize()[ids]` without decoding the others.

    Args:
        w: weights of shape (rows, K), of a type that stores rows one by one.
        ids: numbers of rows, integers of any shape, repeated as often as one likes.
        threads: how many to use at most; by default `get_num_threads()`.

    Returns:
        float32 of shape (*ids.shape, K).

    Raises:
        TypeError: w is no QuantTensor, ids are no integers.
        ValueError: w holds experts, or its type stores rows together (`unpack` it first); threads < 1.
        IndexError: an id outside 0..rows - 1.
    """
    if not isinstance(w, QuantTensor):
        raise TypeError(f"w must be an iqkcpu.QuantTensor, not {type(w).__name__}")
    count = thread_count(threads)
    if w.ndim != 2:
        raise ValueError(f"w holds experts, shape {w.shape}: take rows of one of them, w[e]")
    if w.type.interleave > 1:
        raise ValueError(f"{w.type.name} stores {w.type.interleave} rows together: take rows of unpack(w)")
    chosen = np.asarray(ids)
    if chosen.size == 0 and chosen.dtype.kind == "f":  # an empty list
        chosen = chosen.astype(np.intp)
    if chosen.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers, not {chosen.dtype}")
    rows, k = w.shape
    outside = (chosen < 0) | (chosen >= rows)
    if outside.any():
        raise IndexError(f"row {chosen[outside][0]} is outside of 0..{rows - 1}")
    flat = chosen.astype(np.intp).reshape(-1)
    row_bytes = w.type.row_bytes(k)
    raw = w.raw.reshape(-1)
    picked = raw[: rows * row_bytes].reshape(rows, row_bytes)[flat].reshape(-1)
    tail = raw[rows * row_bytes :]  # I2_S has its scale behind all rows
    if tail.size:
        picked = np.concatenate([picked, tail])
    out = np.empty((*chosen.shape, k), np.float32)
    _core.dequantize(QuantTensor(picked, w.type, (flat.size, k))._matrix, out, count)
    return out

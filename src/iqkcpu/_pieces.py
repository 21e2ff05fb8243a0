"""Quantizing weights piece by piece, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._quantize import quantize, refuse_non_finite
from ._tensor import QuantTensor
from ._types import Type

_PIECE = 1 << 23  # weights at a time: 32 MiB of float32

Weights: TypeAlias = QuantTensor | NDArray[Any]


def quantized_pieces(
    w: Weights,
    type: Type,
    imatrix: NDArray[np.float32] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Iterator[QuantTensor]:
    """Yield weights quantized to a type, some rows at a time.

    The bytes of all pieces, one behind the other, are those of `quantize`. At no time more than some 150 MB are held
    besides `w`; but weights of the type I2_S, which have one scale for all, are decoded as a whole.

    Args:
        w: weights of shape (rows, K) or (experts, rows, K): a QuantTensor or an array of floats.
        type: what to make of them.
        imatrix: importance of each column, as `quantize` takes it.
        progress: called as `progress(rows done, rows in all)`.

    Raises:
        ValueError: as `quantize`; positions count from the beginning of `w`.
    """
    *experts, rows, _ = w.shape
    total, done = math.prod(w.shape[:-1]), 0
    step = _rows_at_a_time(w, type)
    for index in np.ndindex(*experts):
        columns = imatrix if imatrix is None or imatrix.ndim == 1 else imatrix[index]
        matrix = w[index[0]] if index else w
        for start in range(0, rows, step):
            part = _floats(matrix, start, min(rows, start + step))

            def tell(rows_done: int, _: int, before: int = done) -> None:
                if progress is not None:
                    progress(before + rows_done, total)

            try:
                yield quantize(part, type, columns, progress=tell)
            except ValueError:
                refuse_non_finite(part, (*index, start, 0))
                raise
            done += len(part)


def _rows_at_a_time(w: Weights, type: Type) -> int:
    """How many rows: whole groups of both types."""
    group = type.interleave
    if isinstance(w, QuantTensor):
        if w.type.name == "I2_S":
            return max(1, len(w))
        group = max(group, w.type.interleave)  # both are powers of two
    return max(1, _PIECE // (w.shape[-1] * group)) * group


def _floats(matrix: Weights, start: int, stop: int) -> NDArray[Any]:
    if not isinstance(matrix, QuantTensor):
        return matrix[start:stop]
    return (matrix if (start, stop) == (0, len(matrix)) else matrix[start:stop]).dequantize()

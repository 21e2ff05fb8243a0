"""Some rows of a tensor, decoded: what its errors are measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._rows import get_rows
from .._tensor import QuantTensor
from ..gguf.tensors import matrix_shape


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows of a tensor."""

    rows: NDArray[np.float32]
    """Shape (n, K)."""
    experts: NDArray[np.intp]
    """Shape (n,): which expert each row belongs to, 0 for a matrix."""


def sample_rows(tensor: QuantTensor | NDArray[Any], count: int, rng: np.random.Generator) -> Sample:
    """Return `count` rows of a tensor, one from each of as many equal parts of it; all if there are no more.

    No more than these rows is decoded, of types that store rows together no more than their groups.

    Raises:
        ValueError: a row holds NaN or infinity; the message has the position.
    """
    *_, rows, k = matrix_shape(tensor.shape)
    total = tensor_rows(tensor.shape)
    edges = np.linspace(0, total, min(count, total) + 1).astype(np.intp)
    chosen = rng.integers(edges[:-1], edges[1:])
    values = _decoded(tensor, chosen, rows, k)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        expert, of_expert = divmod(int(chosen[row]), rows)
        place = [of_expert, int(column)] if len(tensor.shape) < 3 else [expert, of_expert, int(column)]
        raise ValueError(f"{place} is {values[row, column]}: only finite values can be quantized")
    return Sample(values, chosen // rows)


def tensor_rows(shape: tuple[int, ...]) -> int:
    """Return how many rows a tensor has, those of all experts together."""
    return int(np.prod(matrix_shape(shape)[:-1], dtype=object))


def _decoded(tensor: QuantTensor | NDArray[Any], chosen: NDArray[np.intp], rows: int, k: int) -> NDArray[np.float32]:
    if isinstance(tensor, np.ndarray):
        with np.errstate(over="ignore"):
            return np.asarray(tensor.reshape(-1, k)[chosen], np.float32)
    if tensor.type.interleave == 1:
        return get_rows(QuantTensor(tensor.raw, tensor.type, (tensor_rows(tensor.shape), k)), chosen)
    return np.concatenate([_row_of_group(tensor, *divmod(int(i), rows)) for i in chosen])


def _row_of_group(tensor: QuantTensor, expert: int, row: int) -> NDArray[np.float32]:
    matrix = tensor if tensor.ndim == 2 else tensor[expert]
    first = row - row % tensor.type.interleave
    group: NDArray[np.float32] = matrix[first : first + tensor.type.interleave].dequantize()
    return group[row - first : row - first + 1]

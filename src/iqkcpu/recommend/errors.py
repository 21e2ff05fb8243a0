"""What quantizing to a type loses of sampled rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._quantize import quantize
from .._tensor import QuantTensor
from .._types import Type
from .sampling import Sample


def quantize_sample(sample: Sample, type: Type, importance: NDArray[np.float32] | None) -> QuantTensor:
    """Return sampled rows as the whole tensor would have them, shape (n, K): rows are quantized on their own.

    Args:
        sample: the rows.
        type: of rows that are stored one by one.
        importance: of the columns, shape (K,) or (experts, K).
    """
    n, k = sample.rows.shape
    # Each row is an expert of its own here, as rows of different experts have different importance.
    columns = importance[sample.experts] if importance is not None and importance.ndim == 2 else importance
    return QuantTensor(quantize(sample.rows.reshape(n, 1, k), type, columns).raw, type, (n, k))


def relative_error(sample: Sample, made: QuantTensor, importance: NDArray[np.float32] | None) -> float:
    """Return sum(importance * (w - made)^2) / sum(importance * w^2) over the sampled rows; 0 where w is.

    Args:
        sample: the rows, w.
        made: the same after quantizing.
        importance: as that of `quantize_sample`; None: all columns matter the same.
    """
    weight = 1.0 if importance is None else importance.astype(np.float64)
    if isinstance(weight, np.ndarray) and weight.ndim == 2:
        weight = weight[sample.experts]
    w = sample.rows.astype(np.float64)
    power = float(np.sum(weight * np.square(w)))
    lost = float(np.sum(weight * np.square(w - made.dequantize())))
    return lost / power if power else 0.0

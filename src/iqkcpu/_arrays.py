"""Checks and conversions of the arrays that calls take and give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FLOAT32 = np.dtype(np.float32)


def float_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return `values` as an array of floating-point numbers, as it is or made from lists.

    Raises:
        TypeError: it holds something else (integers, complex numbers, objects).
    """
    array = np.asarray(values)
    if not is_float(array.dtype):
        raise TypeError(f"{name} must hold float32, float16 or bfloat16, not {array.dtype}")
    return array


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether the numbers are floating-point; bfloat16 (of ml_dtypes) is known by its name."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def contiguous_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return the array as contiguous float32, itself where it is; what is too large becomes infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array, dtype=FLOAT32, order="C")


def check_out(out: object, shape: tuple[int, ...], dtype: np.dtype[Any], **inputs: object) -> None:
    """Check an `out=` argument: its shape and dtype, that it can be written, and that no input lies under it.

    Raises:
        TypeError: it is no array.
        ValueError: anything else is wrong with it.
    """
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy.ndarray, not {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, the result has {shape}")
    if out.dtype != dtype:
        raise ValueError(f"out has dtype {out.dtype}, the result has {dtype}")
    if not out.flags.c_contiguous:
        raise ValueError("out must be C-contiguous")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    for name, array in inputs.items():
        if isinstance(array, np.ndarray) and np.shares_memory(out, array):
            raise ValueError(f"out overlaps {name}")

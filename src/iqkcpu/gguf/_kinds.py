"""The kinds of values that GGUF metadata has, and the number types that tensors may have besides weights."""

from __future__ import annotations

from typing import Any

import numpy as np

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MOST_DIMS = 4

STRING, ARRAY = 8, 9
NUMBERS: dict[int, np.dtype[Any]] = {
    0: np.dtype("u1"),
    1: np.dtype("i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    6: np.dtype("<f4"),
    7: np.dtype("?"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}
"""Kinds of numbers, by their ids in metadata."""
KIND_NAMES: dict[int, str] = {kind: dtype.name for kind, dtype in NUMBERS.items()} | {STRING: "string", ARRAY: "array"}
KIND_OF = {dtype: kind for kind, dtype in NUMBERS.items()}

ARRAYS: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    1: np.dtype("<f2"),
    24: np.dtype("i1"),
    25: np.dtype("<i2"),
    26: np.dtype("<i4"),
    27: np.dtype("<i8"),
    28: np.dtype("<f8"),
}
"""Types of tensors that are plain arrays, by their ids."""
ARRAY_NAMES = {0: "F32", 1: "F16", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64"}
ARRAY_TYPE_OF = {dtype: type_id for type_id, dtype in ARRAYS.items()}

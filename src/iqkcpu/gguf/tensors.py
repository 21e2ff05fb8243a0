"""What a file says of a tensor, and tensors that are neither QuantTensor nor array."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._tensor import QuantTensor
from .._types import Type, tensor_bytes
from ._kinds import ARRAY_NAMES, ARRAYS


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor in a file."""

    name: str
    type_id: int
    shape: tuple[int, ...]
    """Counted in weights, as NumPy has it: the last axis is that of the rows' elements."""
    offset: int
    """First byte, counted from the beginning of its file."""
    nbytes: int
    """Of an unknown type: the bytes up to the next tensor."""
    shard: int = 0
    """Which of the model's files."""

    @property
    def type(self) -> Type | None:
        """The type of weights; None for other numbers and for types that are unknown."""
        return known_type(self.type_id)

    @property
    def type_name(self) -> str:
        """The name of the type, "unknown (99)" if it has none."""
        return type_name(self.type_id)

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class RawTensor:
    """A tensor of a type that this package does not know: its bytes."""

    raw: NDArray[np.uint8]
    type_id: int
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """The size of `raw`."""
        return self.raw.size


@dataclass(frozen=True, slots=True, eq=False)
class LazyTensor:
    """A tensor for `save_gguf` that is made when it is written, and forgotten thereafter."""

    type_id: int
    shape: tuple[int, ...]
    nbytes: int
    make: Callable[[], Tensor]
    """Returns a tensor of this type and size."""


Tensor: TypeAlias = QuantTensor | RawTensor | NDArray[Any]
"""What a model holds."""


def known_type(type_id: int) -> Type | None:
    """Return the type of weights with an id, if there is one."""
    return Type._by_id.get(type_id)


def type_name(type_id: int) -> str:
    """Return the name of a type by its id."""
    known = known_type(type_id)
    return known.name if known else ARRAY_NAMES.get(type_id, f"unknown ({type_id})")


def file_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor as files have them; copied only where they lie otherwise."""
    if isinstance(tensor, (QuantTensor, RawTensor)):
        return tensor.raw.reshape(-1).data
    little = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a QuantTensor: a vector has one row, of four axes the first two are experts."""
    if len(shape) < 2:
        return (1,) * (2 - len(shape)) + shape
    return shape if len(shape) <= 3 else (math.prod(shape[:-2]), *shape[-2:])


def stored_bytes(type_id: int, shape: tuple[int, ...]) -> int | None:
    """Bytes of a tensor in a file; None: the type is unknown.

    Raises:
        ValueError: a shape that the type cannot have.
    """
    if type_id in ARRAYS:
        return ARRAYS[type_id].itemsize * math.prod(shape)
    known = known_type(type_id)
    return None if known is None else tensor_bytes(known, matrix_shape(shape))

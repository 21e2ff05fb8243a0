"""Writing files, tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from .._tensor import QuantTensor
from ._atomic import atomic_file
from ._kinds import ARRAY_TYPE_OF
from ._layout import Entry, Layout
from .metadata import Metadata
from .tensors import LazyTensor, RawTensor, Tensor, file_bytes

_CHUNK = 16 << 20  # bytes written at a time
_BF16 = 30

Writable: TypeAlias = Tensor | LazyTensor


def save_gguf(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Writable],
    metadata: Mapping[str, Any] | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Write a GGUF file (version 3).

    The file appears under its name when it is complete and on the disk; what had the name before stays until then.

    Args:
        path: where to.
        tensors: names with QuantTensors, arrays (float32, float16, bfloat16, float64, signed integers), RawTensors, or
            LazyTensors, which are made one after the other when their turn comes.
        metadata: keys with values, see `Metadata`; that of an open file is written back byte by byte.
            "general.alignment" says where tensors may begin, by default at multiples of 32.
        progress: called as `progress(bytes written, bytes in all)`; an exception that it raises ends the work.

    Raises:
        TypeError, ValueError: a name, a tensor or a value cannot be in a file; nothing is written.
        OSError: writing failed; there is no new file, and the old one is as it was.
    """
    values = Metadata(metadata)
    if not isinstance(tensors, Mapping):
        raise TypeError(f"tensors must be a mapping of names, not {type(tensors).__name__}")
    layout = Layout({name: _entry(name, tensor) for name, tensor in tensors.items()}, values)
    out = _Output(layout.size, progress)
    with atomic_file(path) as out.file:
        out.write(memoryview(layout.head))
        for name, tensor in tensors.items():
            data = file_bytes(_made(name, tensor))
            out.write(data)
            del data
            out.write(memoryview(bytes(layout.padding(name))))


def _made(name: str, tensor: Writable) -> Tensor:
    if not isinstance(tensor, LazyTensor):
        return tensor
    made = tensor.make()
    e = _entry(name, made)
    if (e.type_id, e.nbytes) != (tensor.type_id, tensor.nbytes):
        raise ValueError(
            f"the tensor {name!r} was announced with {tensor.nbytes} bytes of type {tensor.type_id}, "
            f"made are {e.nbytes} of type {e.type_id}"
        )
    return made


class _Output:
    """A file that is written in pieces, so that progress and interrupts come in between."""

    file: BinaryIO

    def __init__(self, total: int, progress: Callable[[int, int], object] | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def write(self, data: memoryview) -> None:
        at = 0
        while at < len(data):
            written = self.file.write(data[at : at + _CHUNK])
            at += written
            self._done += written
            if self._progress is not None:
                self._progress(self._done, self._total)


def _entry(name: object, tensor: Writable) -> Entry:
    if isinstance(tensor, QuantTensor):
        return Entry(tensor.type.id, tensor.shape, tensor.nbytes)
    if isinstance(tensor, (RawTensor, LazyTensor)):
        return Entry(tensor.type_id, tensor.shape, tensor.nbytes)
    if isinstance(tensor, np.ndarray):
        return Entry(_array_type(name, tensor.dtype), tensor.shape, tensor.nbytes)
    raise TypeError(f"{name!r} is no tensor but {type(tensor).__name__}")


def _array_type(name: object, dtype: np.dtype[Any]) -> int:
    if dtype.name == "bfloat16":  # of ml_dtypes
        return _BF16
    little = dtype.newbyteorder("<")
    if little not in ARRAY_TYPE_OF:
        raise TypeError(f"{name!r}: arrays of {dtype} have no place in a GGUF file")
    return ARRAY_TYPE_OF[little]

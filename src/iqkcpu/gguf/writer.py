"""Writing files, tensor by tensor."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from .._tensor import QuantTensor
from ._atomic import atomic_file
from ._kinds import ARRAY_TYPE_OF, DEFAULT_ALIGNMENT, MAGIC, MOST_DIMS
from .metadata import MOST_KEY_BYTES, Metadata
from .tensors import LazyTensor, RawTensor, Tensor

_VERSION = 3
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
    alignment = _alignment(values)
    if not isinstance(tensors, Mapping):
        raise TypeError(f"tensors must be a mapping of names, not {type(tensors).__name__}")
    entries = {name: _entry(name, tensor) for name, tensor in tensors.items()}
    head, data_bytes = _head(entries, values, alignment)
    out = _Output(len(head) + data_bytes, progress)
    with atomic_file(path) as out.file:
        out.write(memoryview(head))
        for name, e in entries.items():
            data = e.data(name)
            out.write(data)
            del data
            out.write(memoryview(bytes(-e.nbytes % alignment)))


def file_bytes(tensors: Mapping[str, Writable], metadata: Mapping[str, Any]) -> tuple[int, int]:
    """Return the size of the file that `save_gguf` would write, and the alignment to which each tensor is padded."""
    values = Metadata(metadata)
    alignment = _alignment(values)
    head, data_bytes = _head({name: _entry(name, tensor) for name, tensor in tensors.items()}, values, alignment)
    return len(head) + data_bytes, alignment


def _head(entries: Mapping[str, _Entry], values: Metadata, alignment: int) -> tuple[bytearray, int]:
    """Return what comes before the tensors, and how many bytes these take."""
    head = bytearray(MAGIC + struct.pack("<IQQ", _VERSION, len(entries), len(values)))
    for pair in values.wire():
        head += pair
    offset = 0
    for name, e in entries.items():
        text = name.encode()
        head += struct.pack("<Q", len(text)) + text
        head += struct.pack(f"<I{len(e.shape)}QIQ", len(e.shape), *e.shape[::-1], e.type_id, offset)
        offset += -(-e.nbytes // alignment) * alignment
    head += bytes(-len(head) % alignment)
    return head, offset


@dataclass(frozen=True)
class _Entry:
    """A tensor to write."""

    type_id: int
    shape: tuple[int, ...]
    nbytes: int
    tensor: Writable

    def data(self, name: str) -> memoryview:
        made = self.tensor
        if isinstance(made, LazyTensor):
            made = made.make()
            e = _entry(name, made)
            if (e.type_id, e.nbytes) != (self.type_id, self.nbytes):
                raise ValueError(
                    f"the tensor {name!r} was announced with {self.nbytes} bytes of type {self.type_id}, "
                    f"made are {e.nbytes} of type {e.type_id}"
                )
        if isinstance(made, (QuantTensor, RawTensor)):
            return made.raw.reshape(-1).data
        little = np.ascontiguousarray(made, made.dtype.newbyteorder("<"))
        return little.reshape(-1).view(np.uint8).data


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


def _alignment(metadata: Metadata) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if "general.alignment" not in metadata:
        return DEFAULT_ALIGNMENT
    if metadata.kind("general.alignment") != "uint32" or alignment < 1 or alignment & (alignment - 1):
        raise ValueError(f"general.alignment is {alignment!r}: it must be an integer and a power of two")
    return int(alignment)


def _entry(name: object, tensor: Writable) -> _Entry:
    if not isinstance(name, str):
        raise TypeError(f"the names of tensors are strings, not {type(name).__name__}")
    if not 0 < len(name.encode()) <= MOST_KEY_BYTES:
        raise ValueError(f"the name of a tensor has 1 to {MOST_KEY_BYTES} bytes: {name[:60]!r}")
    if isinstance(tensor, QuantTensor):
        return _Entry(tensor.type.id, tensor.shape, tensor.nbytes, tensor)
    if isinstance(tensor, (RawTensor, LazyTensor)):
        shape, type_id = tensor.shape, tensor.type_id
    elif isinstance(tensor, np.ndarray):
        shape, type_id = tensor.shape, _array_type(name, tensor.dtype)
    else:
        raise TypeError(f"{name!r} is no tensor but {type(tensor).__name__}")
    if not 0 < len(shape) <= MOST_DIMS:
        raise ValueError(f"{name!r} has the shape {shape}: tensors in files have 1 to {MOST_DIMS} axes")
    return _Entry(type_id, shape, tensor.nbytes, tensor)


def _array_type(name: str, dtype: np.dtype[Any]) -> int:
    if dtype.name == "bfloat16":  # of ml_dtypes
        return _BF16
    little = dtype.newbyteorder("<")
    if little not in ARRAY_TYPE_OF:
        raise TypeError(f"{name!r}: arrays of {dtype} have no place in a GGUF file")
    return ARRAY_TYPE_OF[little]

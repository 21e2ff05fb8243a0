"""Reading the head of a file: every number is checked before it is used."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._kinds import ARRAY, DEFAULT_ALIGNMENT, MAGIC, MOST_DIMS, NUMBERS, STRING, VERSIONS
from .errors import GGUFError
from .metadata import MOST_KEY_BYTES, Metadata
from .tensors import TensorInfo, stored_bytes, type_name

_MOST_DEPTH = 8  # of arrays in arrays
_MOST_NUMBERS = 1 << 59  # of a tensor: their bytes can be counted, also where one axis is 0
_LEAST_PAIR = 13  # bytes of a key and its value
_LEAST_INFO = 24  # bytes that tell a tensor
_U64 = struct.Struct("<Q")


@dataclass(frozen=True)
class Header:
    """The head of one file."""

    version: int
    metadata: Metadata
    alignment: int
    infos: list[TensorInfo]
    """In the order of the file; offsets count from the beginning of the file."""


class _Cursor:
    """A place in the bytes of a file."""

    def __init__(self, data: memoryview, name: str) -> None:
        self.data, self.name, self.at = data, name, 0

    def fail(self, message: str, at: int | None = None) -> GGUFError:
        return GGUFError(f"{self.name}: byte {self.at if at is None else at}: {message}")

    def take(self, count: int, what: str) -> memoryview:
        if count > len(self.data) - self.at:
            raise self.fail(f"{what} takes {count} bytes, the file ends after {len(self.data) - self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def u32(self, what: str) -> int:
        return int.from_bytes(self.take(4, what), "little")

    def u64(self, what: str) -> int:
        return int.from_bytes(self.take(8, what), "little")

    def count(self, what: str, least: int) -> int:
        """Read how many of something follow, each of at least so many bytes."""
        begin = self.at
        n = self.u64(f"the number of {what}")
        if n > (len(self.data) - self.at) // least:
            raise self.fail(f"{n} {what} do not fit in the rest of the file", begin)
        return n

    def text(self, what: str) -> str:
        """Read a name: UTF-8, not too long."""
        begin = self.at
        size = self.u64(f"the length of {what}")
        if size > MOST_KEY_BYTES:
            raise self.fail(f"{what} has {size} bytes, more than {MOST_KEY_BYTES}", begin)
        try:
            return str(self.take(size, what), "utf-8")
        except UnicodeDecodeError:
            raise self.fail(f"{what} is not UTF-8", begin) from None


def read_header(data: memoryview, name: str, expected: bytes = MAGIC) -> Header:
    """Read the head of a file; `name` is for messages, `expected` are the first four bytes.

    Raises:
        GGUFError: the head is damaged, or a tensor does not lie inside the file.
    """
    c = _Cursor(data, name)
    magic = bytes(c.data[:4])
    if magic != expected:
        raise c.fail(f"no GGUF file: it begins with {magic!r} where {expected!r} should be")
    c.at = 4
    version = c.u32("the version")
    if version not in VERSIONS:
        c.at = 4
        if int.from_bytes(version.to_bytes(4, "little"), "big") in range(1, 256):
            raise c.fail("a big-endian file: only little-endian files can be read")
        raise c.fail(f"version {version} is not supported, only {' and '.join(map(str, VERSIONS))}")
    tensors = c.count("tensors", _LEAST_INFO)
    pairs = c.count("metadata keys", _LEAST_PAIR)
    metadata = _read_metadata(c, pairs)
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if "general.alignment" in metadata and (
        metadata.kind("general.alignment") != "uint32" or alignment < 1 or alignment & (alignment - 1)
    ):
        raise GGUFError(f"{name}: general.alignment is {alignment!r}, it must be a uint32 and a power of two")
    return Header(version, metadata, alignment, _read_infos(c, tensors, alignment))


def _read_metadata(c: _Cursor, pairs: int) -> Metadata:
    metadata = Metadata()
    for _ in range(pairs):
        begin = c.at
        key = c.text("a metadata key")
        if not key:
            raise c.fail("an empty metadata key", begin)
        if key in metadata:
            raise c.fail(f"the metadata key {key!r} is there twice", begin)
        value_at = c.at
        value = _read_value(c, key, c.u32(f"the kind of {key!r}"), 0)
        metadata._put(key, value, bytes(c.data[value_at : c.at]))
    return metadata


def _read_value(c: _Cursor, key: str, kind: int, depth: int) -> Any:
    dtype = NUMBERS.get(kind)
    if dtype is not None:
        return _read_numbers(c, key, dtype, 1)[0].item()
    if kind == STRING:
        return str(c.take(c.u64(f"the length of {key!r}"), f"the text of {key!r}"), "utf-8", "surrogateescape")
    if kind != ARRAY:
        raise c.fail(f"{key!r} is of the unknown kind {kind}", c.at - 4)
    if depth == _MOST_DEPTH:
        raise c.fail(f"{key!r} has arrays in arrays more than {_MOST_DEPTH} deep")
    of = c.u32(f"the kind of the elements of {key!r}")
    dtype = NUMBERS.get(of)
    if dtype is not None:
        return _read_numbers(c, key, dtype, c.count(f"elements of {key!r}", dtype.itemsize))
    if of == STRING:
        return _read_strings(c, key, c.count(f"elements of {key!r}", 8))
    if of == ARRAY:
        return [_read_value(c, key, ARRAY, depth + 1) for _ in range(c.count(f"elements of {key!r}", 12))]
    raise c.fail(f"the elements of {key!r} are of the unknown kind {of}", c.at - 4)


def _read_numbers(c: _Cursor, key: str, dtype: np.dtype[Any], count: int) -> np.typing.NDArray[Any]:
    begin = c.at
    data = c.take(count * dtype.itemsize, f"the value of {key!r}")
    wire = np.dtype(np.uint8) if dtype.kind == "b" else dtype
    numbers: np.typing.NDArray[Any] = np.frombuffer(data, wire).copy()  # aligned, and not over the mapped file
    if dtype.kind == "b":
        if numbers.size and numbers.max() > 1:
            raise c.fail(f"{key!r} is a bool of the value {numbers.max()}", begin)
        numbers = numbers.astype(np.bool_)
    numbers.flags.writeable = False
    return numbers


def _read_strings(c: _Cursor, key: str, count: int) -> list[str]:
    # Written out: tokenizers have hundreds of thousands of strings.
    data, at, end, length_at = c.data, c.at, len(c.data), _U64.unpack_from
    strings = []
    for _ in range(count):
        if at + 8 > end:
            raise c.fail(f"the strings of {key!r} run over the end of the file", at)
        (size,) = length_at(data, at)
        if size > end - at - 8:
            raise c.fail(f"a string of {key!r} takes {size} bytes, the file ends after {end - at - 8}", at)
        strings.append(str(data[at + 8 : at + 8 + size], "utf-8", "surrogateescape"))
        at += 8 + size
    c.at = at
    return strings


def _read_infos(c: _Cursor, tensors: int, alignment: int) -> list[TensorInfo]:
    found: list[tuple[str, int, tuple[int, ...], int, int | None]] = []
    names: set[str] = set()
    for _ in range(tensors):
        begin = c.at
        name = c.text("the name of a tensor")
        if not name:
            raise c.fail("a tensor without a name", begin)
        if name in names:
            raise c.fail(f"the tensor {name!r} is there twice", begin)
        names.add(name)
        dims = c.u32(f"the number of axes of {name!r}")
        if dims > MOST_DIMS:
            raise c.fail(f"{name!r} has {dims} axes, at most {MOST_DIMS} are possible", c.at - 4)
        shape = tuple(c.u64(f"the shape of {name!r}") for _ in range(dims))[::-1]
        if math.prod(n or 1 for n in shape) >= _MOST_NUMBERS:
            raise c.fail(f"the shape {shape} of {name!r} is too large", begin)
        type_id = c.u32(f"the type of {name!r}")
        offset = c.u64(f"the offset of {name!r}")
        if offset % alignment:
            raise c.fail(f"the offset {offset} of {name!r} is no multiple of the alignment, {alignment}", c.at - 8)
        try:
            nbytes = stored_bytes(type_id, shape)
        except ValueError as error:
            raise c.fail(f"{name!r} of type {type_name(type_id)}, shape {shape}: {error}", begin) from None
        found.append((name, type_id, shape, offset, nbytes))
    return _placed(c, found, -(-c.at // alignment) * alignment)


def _placed(c: _Cursor, found: list[tuple[str, int, tuple[int, ...], int, int | None]], begin: int) -> list[TensorInfo]:
    """Turn offsets into places in the file, none outside of it, no two on the same bytes."""
    end = len(c.data)
    by_offset = sorted(range(len(found)), key=lambda i: (found[i][3], found[i][4] or 0))
    infos: dict[int, TensorInfo] = {}
    last_name, last_end = "", begin
    for place, i in enumerate(by_offset):
        name, type_id, shape, offset, nbytes = found[i]
        first = begin + offset
        following = min(end, begin + found[by_offset[place + 1]][3]) if place + 1 < len(found) else end
        size = max(0, following - first) if nbytes is None else nbytes
        if first + size > max(begin, end):
            raise GGUFError(
                f"{c.name}: the tensor {name!r} ({type_name(type_id)}, shape {shape}) takes the bytes {first} to "
                f"{first + size}, the file ends at byte {end}"
            )
        if first < last_end and size:
            raise GGUFError(f"{c.name}: byte {first}: the tensors {last_name!r} and {name!r} overlap")
        if size:
            last_name, last_end = name, first + size
        infos[i] = TensorInfo(name, type_id, shape, first, size)
    return [infos[i] for i in range(len(found))]

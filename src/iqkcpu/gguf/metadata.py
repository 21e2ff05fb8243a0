"""Metadata: keys with values whose kinds on the wire are kept."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ._kinds import ARRAY, KIND_NAMES, KIND_OF, STRING

MOST_KEY_BYTES = 65535


class Metadata(Mapping[str, Any]):
    """The metadata of a file: a read-only mapping.

    Values are str, bool, int and float; arrays of numbers are read-only arrays of their dtype, arrays of strings and of
    arrays are lists. Text that is not UTF-8 has surrogates in place of its bytes. The kind of each value on the wire is
    kept, so that what was read is written back byte by byte; `kind` tells it.

    `metadata | {"key": value}` gives a changed copy, in which the kinds of new values follow from them: NumPy numbers
    and arrays keep their dtype, int becomes uint32 (int32 if negative, 64 bits if large), float becomes float32, lists
    of int become int32.
    """

    __slots__ = ("_encoded", "_values")

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values: dict[str, Any] = {}
        self._encoded: dict[str, bytes] = {}
        if values is None:
            return
        if isinstance(values, Metadata):
            self._values.update(values._values)
            self._encoded.update(values._encoded)
            return
        for key, value in values.items():
            self._put(key, value, encode(key, value))

    def _put(self, key: str, value: Any, encoded: bytes) -> None:
        """Take a value as it is on the wire, its kind first."""
        self._values[key] = value
        self._encoded[key] = encoded

    def kind(self, key: str) -> str:
        """The kind of a value on the wire, such as "uint32", "string" or "array[int32]"."""
        return _kind_name(self._encoded[key])

    def without(self, *keys: str) -> Metadata:
        """Return a copy without some keys."""
        result = Metadata(self)
        for key in keys:
            result._values.pop(key, None)
            result._encoded.pop(key, None)
        return result

    def wire(self) -> Iterator[bytes]:
        """Yield the pairs as they stand in files."""
        for key, encoded in self._encoded.items():
            yield _string(key.encode()) + encoded

    def __or__(self, changes: Mapping[str, Any]) -> Metadata:
        result = Metadata(self)
        other = Metadata(changes)
        result._values.update(other._values)
        result._encoded.update(other._encoded)
        return result

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Metadata({len(self)} keys)"


def encode(key: str, value: object) -> bytes:
    """Return a value as files have it, its kind first.

    Raises:
        TypeError, ValueError: it cannot be in a file; the message names the key.
    """
    if not isinstance(key, str):
        raise TypeError(f"keys of metadata are strings, not {type(key).__name__}")
    if not 0 < len(key.encode()) <= MOST_KEY_BYTES:
        raise ValueError(f"a key of metadata has 1 to {MOST_KEY_BYTES} bytes: {key[:60]!r}")
    kind, body = _encode(key, value)
    return struct.pack("<I", kind) + body


def _encode(key: str, value: object) -> tuple[int, bytes]:
    if isinstance(value, str):
        return STRING, _string(value.encode(errors="surrogateescape"))
    if isinstance(value, (bool, int, float)) and not isinstance(value, np.generic):
        return _number(np.asarray(value, _dtype_of([value], key, scalar=True)), key)
    if isinstance(value, np.generic):
        return _number(np.asarray(value), key)
    if isinstance(value, np.ndarray):
        return ARRAY, _array(key, value)
    if isinstance(value, (list, tuple)):
        return ARRAY, _list(key, value)
    raise TypeError(f"metadata {key!r}: {type(value).__name__} has no place in a GGUF file")


def _array(key: str, value: np.typing.NDArray[Any]) -> bytes:
    if value.ndim == 0:
        raise TypeError(f"metadata {key!r}: an array without axes")
    if value.ndim > 1:
        parts = [_array(key, part) for part in value]
        return struct.pack("<IQ", ARRAY, len(parts)) + b"".join(parts)
    if value.dtype.kind == "U":
        return _list(key, value.tolist()) if value.size else struct.pack("<IQ", STRING, 0)
    kind, body = _number(value, key)
    return struct.pack("<IQ", kind, value.size) + body


def _list(key: str, value: list[Any] | tuple[Any, ...]) -> bytes:
    if not value:
        raise ValueError(
            f"metadata {key!r}: an empty list has no kind; use an empty array, such as np.empty(0, np.int32)"
        )
    if all(isinstance(item, str) for item in value):
        strings = (_string(item.encode(errors="surrogateescape")) for item in value)
        return struct.pack("<IQ", STRING, len(value)) + b"".join(strings)
    if all(isinstance(item, (list, tuple, np.ndarray)) for item in value):
        parts = [_encode(key, item)[1] for item in value]
        return struct.pack("<IQ", ARRAY, len(value)) + b"".join(parts)
    if all(isinstance(item, (bool, int, float, np.number, np.bool_)) for item in value):
        return _array(key, np.asarray(value, _dtype_of(value, key, scalar=False)))
    raise TypeError(f"metadata {key!r}: a list holds strings, numbers or lists, one kind of them")


def _dtype_of(values: list[Any] | tuple[Any, ...], key: str, *, scalar: bool) -> np.dtype[Any]:
    """The dtype of Python numbers: the usual one of GGUF files that holds all."""
    if all(isinstance(v, (bool, np.bool_)) for v in values):
        return np.dtype("?")
    if any(isinstance(v, (float, np.floating)) for v in values):
        finite = [abs(v) for v in values if np.isfinite(v)]
        return np.dtype("<f4" if max(finite, default=0) <= np.finfo(np.float32).max else "<f8")
    low, high = min(values), max(values)
    for name in ("<u4", "<i4", "<u8", "<i8") if scalar else ("<i4", "<u4", "<i8", "<u8"):
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return np.dtype(name)
    raise ValueError(f"metadata {key!r}: {low if low < 0 else high} does not fit 64 bits")


def _number(value: np.typing.NDArray[Any], key: str) -> tuple[int, bytes]:
    dtype = value.dtype.newbyteorder("<")
    if dtype not in KIND_OF:
        raise TypeError(f"metadata {key!r}: numbers of {value.dtype} have no place in a GGUF file")
    return KIND_OF[dtype], value.astype(dtype).tobytes()


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _kind_name(encoded: bytes) -> str:
    kind, of = (int.from_bytes(encoded[i : i + 4], "little") for i in (0, 4))
    return f"array[{KIND_NAMES[of]}]" if kind == ARRAY else KIND_NAMES[kind]

"""Importance matrices: how much each column of a tensor matters, as measured on text."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gguf import GGUFModel, TensorInfo, open_gguf
from .gguf._kinds import MAGIC
from .gguf.tensors import matrix_shape

_SUMS, _COUNTS = ".in_sum2", ".counts"


def read_imatrix(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float32]]:
    """Return the importance of the columns of each tensor by its name, flat: (K,) or (experts * K,).

    The file is a GGUF file with `<name>.in_sum2` and `<name>.counts`, or of the older form (.dat). Of columns and of
    experts that no text reached nothing is known; where that is a whole expert its columns all matter the same.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or holds no importance matrix.
    """
    with Path(path).open("rb") as file:
        is_gguf = file.read(len(MAGIC)) == MAGIC
    found = _from_gguf(open_gguf(path), str(path)) if is_gguf else _from_dat(Path(path).read_bytes(), str(path))
    if not found:
        raise ValueError(f"{path} holds no importance matrix")
    for name, values in found.items():
        if not np.all(np.isfinite(values) & (values >= 0)):
            raise ValueError(f"{path}: {name!r} has values that are negative or not finite")
    return found


def for_tensor(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the importance as `quantize` takes it for weights of a shape, (rows, K) or (experts, rows, K).

    Raises:
        ValueError: another number of values.
    """
    *experts, _, k = shape
    if values.size == k:
        return _known(values.reshape(1, k)).reshape(k)
    if values.size != k * int(np.prod(experts)):
        raise ValueError(f"the imatrix has {values.size} values, weights of shape {shape} need {k} per matrix")
    return _known(values.reshape(*experts, k))


def for_tensors(
    imatrix: Mapping[str, NDArray[np.float32]], infos: Iterable[TensorInfo]
) -> dict[str, NDArray[np.float32]]:
    """Return the importance as `quantize` takes it, of those tensors that have one.

    Raises:
        ValueError: another number of values than a tensor needs; the message has its name.
    """
    found = {}
    for info in infos:
        if info.name in imatrix:
            try:
                found[info.name] = for_tensor(imatrix[info.name], matrix_shape(info.shape))
            except ValueError as error:
                raise ValueError(f"{info.name}: {error}") from None
    return found


def _known(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace rows of zeros by ones."""
    known: NDArray[np.float32] = np.where(values.any(axis=-1, keepdims=True), values, np.float32(1))
    return known


def _from_gguf(model: GGUFModel, path: str) -> dict[str, NDArray[np.float32]]:
    found = {}
    for key in model:
        if not key.endswith(_SUMS):
            continue
        name = key.removesuffix(_SUMS)
        if name + _COUNTS not in model:
            raise ValueError(f"{path}: {name!r} has no {_COUNTS}")
        sums, counts = (
            _numbers(model[key], key, path),
            _numbers(model[name + _COUNTS], name + _COUNTS, path).reshape(-1),
        )
        if not counts.size or sums.size % counts.size:
            raise ValueError(f"{path}: {name!r} has {sums.size} sums and {counts.size} counts")
        # Each expert has its own count.
        found[name] = _mean(sums.reshape(counts.size, -1), counts[:, None]).reshape(-1)
    return found


def _numbers(tensor: object, key: str, path: str) -> NDArray[Any]:
    if not isinstance(tensor, np.ndarray):
        raise ValueError(f"{path}: {key!r} does not hold plain numbers")
    return tensor.astype(np.float64)


def _mean(sums: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(sums / np.where(counts == 0, 1, counts), np.float32)


def _from_dat(data: bytes, path: str) -> dict[str, NDArray[np.float32]]:
    """Read the older form: int32 entries, each an int32 length with a name, int32 calls, int32 values, their sums."""
    at = 0

    def take(count: int, what: str) -> bytes:
        nonlocal at
        if not 0 <= count <= len(data) - at:
            raise ValueError(f"{path}: byte {at}: no importance matrix, or a damaged one: {what} takes {count} bytes")
        at += count
        return data[at - count : at]

    def integer(what: str) -> int:
        return int(struct.unpack("<i", take(4, what))[0])

    found = {}
    for _ in range(integer("the number of entries")):
        name = take(integer("the length of a name"), "a name").decode(errors="surrogateescape")
        calls = integer(f"the number of calls of {name!r}")
        size = integer(f"the number of values of {name!r}")
        sums = np.frombuffer(take(4 * size, f"the values of {name!r}"), "<f4").astype(np.float64)
        found[name] = _mean(sums, np.float64(max(1, calls)))
    return found

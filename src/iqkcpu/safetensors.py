"""Safetensors files: the tensors of one file or of several that belong together, mapped."""

from __future__ import annotations

import json
import math
import mmap
import operator
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._safetensors_index import check_index, model_file, read_index
from ._tensor import QuantTensor
from .gguf import Metadata, TensorInfo
from .gguf._kinds import ARRAYS
from .gguf.tensors import Tensor, matrix_shape, stored_bytes

_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.safetensors")
_TYPE_IDS = {"F32": 0, "F16": 1, "BF16": 30, "I8": 24, "I16": 25, "I32": 26, "I64": 27, "F64": 28}
_MOST_HEADER_BYTES = 100_000_000


class SafetensorsModel(Mapping[str, Tensor]):
    """The tensors of a safetensors file, or of all shards of a model, as a mapping by their names.

    BF16 comes as `QuantTensor`, all else as read-only arrays over the mapped files.

    Args:
        path: a file; any shard, "name-00002-of-00005.safetensors", whose others lie beside it; an index,
            "model.safetensors.index.json", or the directory that has it.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is damaged, a shard is missing, the index and the shards do not agree, or a tensor has a type
            that GGUF files do not have.
    """

    def __init__(self, path: Path) -> None:
        named = path.absolute().parent.name if path.suffix == ".json" else path.stem
        if path.is_dir():
            named, path = path.absolute().name, model_file(path)
        index = read_index(path) if path.suffix == ".json" else None
        shards = _shards(path) if index is None else tuple(sorted(set(index.values())))
        self.paths: tuple[Path, ...] = shards if index is None else (*shards, path)
        """The files; the index, if there is one, is the last."""
        self.metadata = Metadata({"general.name": named})
        self.infos: dict[str, TensorInfo] = {}
        """As those of a GGUF file; a scalar has one axis."""
        self._maps: list[mmap.mmap] = []
        for number, file in enumerate(shards):
            with file.open("rb") as opened:
                if file.stat().st_size < 8:
                    raise ValueError(f"{file}: too short for a safetensors file")
                self._maps.append(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
            for info in _infos(self._maps[-1], str(file), number):
                if info.name in self.infos:
                    raise ValueError(f"{file}: the tensor {info.name!r} is in another shard too")
                self.infos[info.name] = info
        if index is not None:
            check_index(path, index, ((name, shards[info.shard]) for name, info in self.infos.items()))

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor over the mapped file."""
        info = self.infos[name]
        raw: NDArray[np.uint8] = np.frombuffer(self._maps[info.shard], np.uint8, info.nbytes, info.offset)
        if info.type_id in ARRAYS:
            # Tensors may begin anywhere, and NumPy reads them from anywhere.
            array: NDArray[Any] = np.ndarray(info.shape, ARRAYS[info.type_id], raw.data)
            return array
        return QuantTensor(raw, info.type_id, matrix_shape(info.shape))

    def release(self, name: str) -> None:
        """Let go of the memory in which the file's bytes of a tensor are cached for this process."""
        info, page = self.infos[name], mmap.PAGESIZE
        first, last = -(-info.offset // page) * page, (info.offset + info.nbytes) // page * page
        if first < last:
            self._maps[info.shard].madvise(mmap.MADV_DONTNEED, first, last - first)

    def __iter__(self) -> Iterator[str]:
        return iter(self.infos)

    def __len__(self) -> int:
        return len(self.infos)


def _shards(path: Path) -> tuple[Path, ...]:
    name = _SHARD.fullmatch(path.name)
    if name is None:
        return (path,)
    count = int(name["count"])
    paths = tuple(path.with_name(f"{name['stem']}-{i:05}-of-{count:05}.safetensors") for i in range(1, count + 1))
    missing = [p.name for p in paths if not p.exists()]
    if missing:
        raise ValueError(f"{path}: shards are missing: {', '.join(missing[:3])}")
    return paths


def _infos(data: mmap.mmap, path: str, shard: int) -> Iterator[TensorInfo]:
    """Read the head of a file: 8 bytes of length, then JSON; offsets count from its end."""
    size = int.from_bytes(data[:8], "little")
    if size > min(len(data) - 8, _MOST_HEADER_BYTES):
        raise ValueError(f"{path}: no safetensors file, or a damaged one: a head of {size} bytes does not fit")
    try:
        head = json.loads(data[8 : 8 + size])
        tensors = {name: entry for name, entry in head.items() if name != "__metadata__"}
        for name, entry in tensors.items():
            begin, end = map(operator.index, entry["data_offsets"])
            if begin < 0:
                raise ValueError(f"{name!r} begins before the data")
            shape = tuple(map(operator.index, entry["shape"])) or (1,)
            yield _info(name, str(entry["dtype"]), shape, (8 + size + begin, 8 + size + end), len(data), shard)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no safetensors file, or a damaged one: {error}") from None


def _info(name: str, dtype: str, shape: tuple[int, ...], span: tuple[int, int], size: int, shard: int) -> TensorInfo:
    type_id: Any = _TYPE_IDS.get(dtype)
    if type_id is None:
        raise ValueError(f"{name!r} is of type {dtype}, only {', '.join(_TYPE_IDS)} can be read")
    begin, end = span
    if min(shape) < 1 or math.prod(shape) > size or not 8 <= begin <= end <= size:
        raise ValueError(f"{name!r} of shape {shape} does not lie inside the file")
    if stored_bytes(type_id, shape) != end - begin:
        raise ValueError(f"{name!r} of type {dtype} and shape {shape} does not take {end - begin} bytes")
    return TensorInfo(name, type_id, shape, begin, end - begin, shard)

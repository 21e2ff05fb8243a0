"""Opening files: mapped into memory, split files joined, weights repacked on first use."""

from __future__ import annotations

import difflib
import mmap
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._repack import repack as repack_tensor
from .._repack import repack_plan
from .._tensor import QuantTensor
from ._header import Header, read_header
from ._kinds import ARRAYS
from .errors import GGUFError
from .metadata import Metadata
from .tensors import RawTensor, Tensor, TensorInfo, matrix_shape

SPLIT_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
SPLIT_KEYS = ("split.no", "split.count", "split.tensors.count")
LOOKED_UP = re.compile(r"^(token_embd|per_layer_token_embd|position_embd|token_types)\.")
"""Tensors whose rows are fetched one by one: by default they stay plain."""

Chosen: TypeAlias = bool | str | re.Pattern[str] | Callable[[TensorInfo], bool]


class GGUFModel(Mapping[str, Tensor]):
    """The tensors of a GGUF file, or of all files of a split model, as a mapping by their names.

    Nothing is read before it is used. Weights come as `QuantTensor`s over the mapped file, of shape (rows, K) or
    (experts, rows, K): a vector has one row, of four axes the first two are experts. F32, F16 and plain numbers come as
    read-only arrays, tensors of unknown types as `RawTensor`s. They stay valid after `close`.
    """

    def __init__(self, path: str | os.PathLike[str], repack: Chosen = False) -> None:
        self._lock = threading.Lock()
        self._repacked: dict[str, QuantTensor] = {}
        self._shards = _open_shards(Path(path))
        first = self._shards[0].header
        self.metadata: Metadata = first.metadata.without(*SPLIT_KEYS)
        """The metadata of the (first) file, without what tells its place among split files."""
        self.version: int = first.version
        """The version of the format, 2 or 3."""
        self.alignment: int = first.alignment
        """Tensors of the (first) file begin at multiples of this."""
        self.infos: Mapping[str, TensorInfo] = _joined(self._shards)
        """What the files say of each tensor."""
        self._chosen = _chooser(repack, self.infos)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(shard.path for shard in self._shards)

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor; the first use of one that is to be repacked takes as long as that takes.

        Raises:
            KeyError: there is none of that name; the message has near matches.
            ValueError: the model is closed.
        """
        info = self.infos.get(name)
        if info is None:
            near = difflib.get_close_matches(str(name), self.infos, n=3)
            raise KeyError(f"no tensor {name!r}{'; near matches: ' + ', '.join(near) if near else ''}")
        if not self._chosen(info):
            return self._mapped(info)
        with self._lock:
            w = self._repacked.get(name)
            if w is None:
                plain = self._mapped(info)
                if not isinstance(plain, QuantTensor) or repack_plan(plain).target is None:
                    return plain
                w = self._repacked[name] = repack_tensor(plain)
                self.release(name)
            return w

    def _mapped(self, info: TensorInfo) -> Tensor:
        if not self._shards:
            raise ValueError("the model is closed")
        raw = self._shards[info.shard].bytes[info.offset : info.offset + info.nbytes]
        if info.type_id in ARRAYS:
            return _as_array(raw, info)
        if info.type is None:
            return RawTensor(raw, info.type_id, info.shape)
        return QuantTensor(raw, info.type, matrix_shape(info.shape))

    def release(self, name: str) -> None:
        """Let go of the memory in which the file's bytes of a tensor are cached for this process.

        The tensor stays usable: what is needed again is read again.
        """
        info = self.infos[name]
        if self._shards:
            self._shards[info.shard].release(info.offset, info.offset + info.nbytes)

    def close(self) -> None:
        """Let go of the files. Tensors that were taken keep theirs mapped."""
        self._shards = []
        self._repacked = {}

    def __enter__(self) -> GGUFModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self.infos)

    def __len__(self) -> int:
        return len(self.infos)

    def __contains__(self, name: object) -> bool:
        return name in self.infos

    def __repr__(self) -> str:
        where = ", ".join(str(path) for path in self.paths) or "closed"
        return f"GGUFModel({where}: {len(self)} tensors)"


def open_gguf(path: str | os.PathLike[str], repack: Chosen = False) -> GGUFModel:
    """Open a GGUF file: mapped, not read, so that a model larger than memory opens at once.

    Args:
        path: a file, or any file of a split model ("name-00002-of-00005.gguf"), whose others lie beside it.
        repack: which weights to repack (as `repack` does) on their first use: True, all but those whose rows are looked
            up one by one (token_embd and the like); a regular expression that is searched for in names; or a function
            of a `TensorInfo`. A repacked tensor is kept as long as the model is open, and the file's pages under it are
            released: the process holds about the size of the file. Weights that cannot be repacked without loss stay.

    Raises:
        OSError: there is no such file, or it cannot be read.
        GGUFError: it is no GGUF file, it is damaged, or files of a split model are missing or do not belong together.
        ValueError: `repack` is no regular expression, or one that no tensor matches.
    """
    return GGUFModel(path, repack)


class _Shard:
    """One mapped file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise GGUFError(f"{path}: the file is empty")
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.bytes: NDArray[np.uint8] = np.frombuffer(self.map, np.uint8)
        self.header: Header = read_header(memoryview(self.map), str(path))

    def release(self, begin: int, end: int) -> None:
        page = mmap.PAGESIZE
        first, last = -(-begin // page) * page, end // page * page
        if first < last:
            self.map.madvise(mmap.MADV_DONTNEED, first, last - first)


def _open_shards(path: Path) -> list[_Shard]:
    opened = _Shard(path)
    count = opened.header.metadata.get("split.count", 1)
    if not isinstance(count, int) or count <= 1:
        return [opened]
    name = SPLIT_NAME.fullmatch(path.name)
    if name is None or int(name["count"]) != count:
        raise GGUFError(
            f"{path}: one of {count} files of a split model, but not named like one (name-00001-of-{count:05}.gguf)"
        )
    paths = [path.with_name(f"{name['stem']}-{i:05}-of-{name['count']}.gguf") for i in range(1, count + 1)]
    missing = [p.name for p in paths if not p.exists()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise GGUFError(f"{path}: files of the split model are missing: {', '.join(missing[:3])}{more}")
    shards = [opened if p == path else _Shard(p) for p in paths]
    for number, shard in enumerate(shards):
        metadata = shard.header.metadata
        if metadata.get("split.count") != count or metadata.get("split.no") != number:
            raise GGUFError(
                f"{shard.path}: the metadata calls it file {metadata.get('split.no')} (from 0) of "
                f"{metadata.get('split.count')}, its name {number} of {count}"
            )
    total = shards[0].header.metadata.get("split.tensors.count")
    found = sum(len(shard.header.infos) for shard in shards)
    if total is not None and total != found:
        raise GGUFError(f"{shards[0].path}: split.tensors.count is {total}, the files have {found} tensors")
    return shards


def _joined(shards: list[_Shard]) -> dict[str, TensorInfo]:
    infos: dict[str, TensorInfo] = {}
    for number, shard in enumerate(shards):
        for i in shard.header.infos:
            if i.name in infos:
                raise GGUFError(f"{shard.path}: the tensor {i.name!r} is in {shards[infos[i.name].shard].path} too")
            infos[i.name] = TensorInfo(i.name, i.type_id, i.shape, i.offset, i.nbytes, number) if number else i
    return infos


def _as_array(raw: NDArray[np.uint8], info: TensorInfo) -> NDArray[Any]:
    return raw.view(ARRAYS[info.type_id]).reshape(info.shape)


def _chooser(repack: Chosen, infos: Mapping[str, TensorInfo]) -> Callable[[TensorInfo], bool]:
    """Return which tensors are to be repacked; F32 and F16, which come as arrays, never are."""
    if isinstance(repack, bool):
        return (lambda info: not LOOKED_UP.search(info.name)) if repack else _none
    if callable(repack):
        return repack
    try:
        pattern = re.compile(repack)
    except re.error as error:
        raise ValueError(f"repack={repack!r} is no regular expression: {error}") from None
    if not any(pattern.search(name) for name in infos):
        raise ValueError(f"repack={pattern.pattern!r} matches no tensor")
    return lambda info: pattern.search(info.name) is not None


def _none(info: TensorInfo) -> Literal[False]:
    return False

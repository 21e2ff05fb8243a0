"""Unfinished files, which another run can go on with."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._atomic import create, give_name, regular_target, temporary_name
from ._header import read_header
from ._kinds import MAGIC
from ._layout import Layout
from .errors import GGUFError
from .metadata import Metadata
from .tensors import TensorInfo

PART_MAGIC = b"IQKP"
"""In place of GGUF's, so that no program takes an unfinished file for a model."""
_CHUNK = 16 << 20  # bytes written at a time


class OldPart:
    """What an earlier run left.

    Raises:
        GGUFError: its head is damaged.
    """

    def __init__(self, fd: int, path: Path, magic: bytes) -> None:
        self.path = path
        self._map = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        header = read_header(memoryview(self._map), str(path), magic)
        self.metadata: Metadata = header.metadata
        self.infos: Mapping[str, TensorInfo] = {info.name: info for info in header.infos}

    def data(self, name: str) -> NDArray[np.uint8]:
        """Return the bytes of a tensor, whole or not."""
        info = self.infos[name]
        return np.frombuffer(self._map, np.uint8, info.nbytes, info.offset)

    def has_head(self, layout: Layout, but: range) -> bool:
        """Whether it is a file of this layout, whatever the bytes `but` of its head are."""
        head = self._map[: len(layout.head)]
        return (
            len(self._map) == layout.size
            and head[len(MAGIC) : but.start] == layout.head[len(MAGIC) : but.start]
            and head[but.stop :] == layout.head[but.stop :]
        )


class PartFile:
    """A GGUF file that is written tensor by tensor, in any order: `<path>.part` until it is complete.

    The value of one key of its metadata is filled in piece by piece, as the tensors become whole. The part has its name
    as soon as it holds more whole tensors than what had that name before; what another run left with the same layout is
    gone on with in place. See `part_file`.
    """

    def __init__(self, path: str | os.PathLike[str], layout: Layout, key: str | None) -> None:
        self._target = regular_target(path)
        self.path: Path = self._target.with_name(f"{self._target.name}.part")
        self._layout = layout
        self._head = bytearray(PART_MAGIC + layout.head[len(PART_MAGIC) :])
        self._value = layout.values[key] if key is not None else range(0)
        self.old: OldPart | None = None
        """What another run left, with this layout or another."""
        self.damaged = False
        """Whether another run left something that cannot be read."""
        self.continues = False
        """Whether what the other run left is gone on with in place."""
        self._fd = self._old_fd = -1
        self._name: Path | None = None  # that the file has now
        self._whole = self._worth = 0
        self._directory = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)

    def open_old(self) -> None:
        """Look for what another run left."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        self._old_fd = fd
        self._lock(fd)
        magic = os.pread(fd, len(MAGIC), 0)
        if magic in (PART_MAGIC, MAGIC):
            try:
                self.old = OldPart(fd, self.path, magic)
                self.continues = self.old.has_head(self._layout, self._value)
            except GGUFError:
                self.damaged = True
        # One with GGUF's magic was complete, and lacked its final name only; else it is another program's.
        if magic != PART_MAGIC and not self.continues:
            self.old = None
            raise ValueError(f"{self.path} is in the way, and not what an interrupted run left: remove or rename it")

    def begin(self, worth: int, filled: Iterable[tuple[int, bytes]] = ()) -> None:
        """Make the file, or go on with the old one.

        Args:
            worth: how many tensors of the old part are whole and can be used.
            filled: of a part that is gone on with, what to fill in for its whole tensors, as `fill` takes it.

        Raises:
            OSError: it cannot be written, or there is not enough room on the disk.
        """
        self._worth = worth
        if self.continues:
            self._fd, self._name = self._old_fd, self.path
        held = os.fstat(self._fd).st_blocks * 512 if self.continues else 0
        room = shutil.disk_usage(self._target.parent).free + held
        if self._layout.size > room:
            raise OSError(f"the file takes {self._layout.size} bytes, the disk has room for {room}")
        if not self.continues:
            temporary = temporary_name(self._target)
            self._fd, unnamed = create(self._target.parent, temporary)
            self._name = None if unnamed else temporary
            self._lock(self._fd)
        if self._target.exists():
            os.fchmod(self._fd, stat.S_IMODE(self._target.stat().st_mode))
        for at, data in filled:
            self._put(at, data)
        os.ftruncate(self._fd, self._layout.size)
        self._write(0, memoryview(self._head))
        os.fsync(self._fd)

    def write(self, name: str, pieces: Iterable[memoryview]) -> None:
        """Write a tensor.

        Raises:
            ValueError: it has another size than the layout says.
            OSError: writing failed.
        """
        first = self._layout.offsets[name]
        at, end = first, first + self._layout.entries[name].nbytes
        for piece in pieces:
            if len(piece) > end - at:
                raise ValueError(f"{name!r} has more than {end - first} bytes")
            self._write(at, piece)
            at += len(piece)
        if at < end:
            raise ValueError(f"{name!r} has {at - first} bytes, not {end - first}")
        self.pad(name)

    def pad(self, name: str) -> None:
        """Write the zeros behind a tensor."""
        end = self._layout.offsets[name] + self._layout.entries[name].nbytes
        self._write(end, memoryview(bytes(self._layout.padding(name))))

    def fill(self, at: int, data: bytes) -> None:
        """Fill in bytes of the value, which say that one more tensor is whole."""
        self._put(at, data)
        self._write(self._value.start + at, memoryview(data))
        if self._name != self.path and self._whole >= max(1, self._worth):
            if self._old_fd < 0 and self.path.exists():
                raise self._busy()
            self._take_name(self.path)

    def _put(self, at: int, data: bytes) -> None:
        place = self._value.start + at
        self._head[place : place + len(data)] = data
        self._whole += 1

    def _take_name(self, path: Path) -> None:
        if self._name is None:
            self._name = temporary_name(self._target)
            give_name(self._fd, self._name, self._directory)
        self._name.replace(path)
        self._name = path

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._busy() from None
        except OSError:  # not on this file system
            pass

    def _busy(self) -> OSError:
        return OSError(f"{self.path}: another process is writing it")

    def finish(self) -> None:
        """Give the complete file its final name."""
        os.fsync(self._fd)
        self._write(0, memoryview(MAGIC))
        os.fsync(self._fd)
        superseded = self._old_fd >= 0 and self._name != self.path
        self._take_name(self._target)
        if superseded:
            self.path.unlink()
        os.fsync(self._directory)

    def abandon(self, *, refused: bool) -> bool:
        """Keep a part with whole tensors; where the work was refused, only one that was there before.

        Returns:
            Whether there is one.
        """
        appeared = self._name == self.path
        if self._name is not None and (not appeared or (refused and not self.continues)):
            self._name.unlink(missing_ok=True)
            appeared = False
        return appeared or (self.old is not None and self.path.exists())

    def close(self) -> None:
        """Let go of the file."""
        for fd in {self._fd, self._old_fd} - {-1}:
            with contextlib.suppress(OSError):  # locks are not on every file system
                fcntl.flock(fd, fcntl.LOCK_UN)  # a map holds on to it
            os.close(fd)
        os.close(self._directory)

    def _write(self, at: int, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, data[done : done + _CHUNK], at + done)


@contextlib.contextmanager
def part_file(
    path: str | os.PathLike[str], layout: Layout, key: str | None, kept: Callable[[Path], object]
) -> Iterator[PartFile]:
    """Yield a file to write, tensor by tensor; when the block ends without an exception, it replaces `path`.

    With an exception, and also when the process is killed, `<path>.part` stays if it holds whole tensors; a ValueError
    takes away what this run began. A process that goes on with it has to check those tensors: after a loss of power
    their bytes may be missing.

    Args:
        path: the file to write; links are followed, permissions kept.
        layout: what is to be written.
        key: the key of the metadata whose value is filled in while writing.
        kept: after an exception, called with the path of a part that another run can go on with.

    Raises:
        OSError: the directory does not exist, or another process is writing the same file.
        ValueError: `path` is there and no regular file, or `<path>.part` is and was not written by this function.
    """
    part = PartFile(path, layout, key)
    try:
        part.open_old()
        yield part
        part.finish()
    except BaseException as error:
        if part.abandon(refused=isinstance(error, ValueError)):
            kept(part.path)
        raise
    finally:
        part.close()

"""Files that appear under their name when they are complete, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file to write; when the block ends without an exception, it replaces `path`.

    The file that was there before stays as it is until then, for those who have it open also after. Where the file
    system can do it, the new file has no name while it is written, so that not even a killed process leaves it behind.
    A symbolic link is followed, permissions are kept.

    Raises:
        OSError: the directory does not exist, or writing failed.
        ValueError: `path` is there and no regular file.
    """
    target = regular_target(path)
    temporary = temporary_name(target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fd, unnamed = create(target.parent, temporary)
        try:
            with os.fdopen(fd, "wb", buffering=0) as file:
                if target.exists():
                    os.fchmod(fd, stat.S_IMODE(target.stat().st_mode))
                yield file
                os.fsync(fd)
                if unnamed:
                    give_name(fd, temporary, directory)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        os.fsync(directory)
    finally:
        os.close(directory)


def regular_target(path: str | os.PathLike[str]) -> Path:
    """Return what a path leads to, links followed.

    Raises:
        ValueError: it is there and no regular file.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise ValueError(f"{path} is no regular file")
    return target


def temporary_name(target: Path) -> Path:
    """Return a name beside a file that nothing else has."""
    return target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.tmp")


def create(directory: Path, temporary: Path) -> tuple[int, bool]:
    """Open a new file; whether it is without a name, else it has that of `temporary`."""
    if Path("/proc/self/fd").exists():
        try:
            return os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o666), True
        except OSError:  # not on this file system; what is wrong with the directory shows below
            pass
    return os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), False


def give_name(fd: int, path: Path, directory: int) -> None:
    """Give a file without a name one that nothing has, in its directory, which is open too."""
    # The directory's descriptor makes os.link follow the link in /proc.
    os.link(f"/proc/self/fd/{fd}", path.name, src_dir_fd=directory, dst_dir_fd=directory)

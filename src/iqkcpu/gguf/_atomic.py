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
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise ValueError(f"{path} is no regular file")
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.tmp")
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fd, unnamed = _create(target.parent, temporary)
        try:
            with os.fdopen(fd, "wb", buffering=0) as file:
                if target.exists():
                    os.fchmod(fd, stat.S_IMODE(target.stat().st_mode))
                yield file
                os.fsync(fd)
                if unnamed:  # the directory's descriptor makes os.link follow the link in /proc
                    os.link(f"/proc/self/fd/{fd}", temporary.name, src_dir_fd=directory, dst_dir_fd=directory)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        os.fsync(directory)
    finally:
        os.close(directory)


def _create(directory: Path, temporary: Path) -> tuple[int, bool]:
    """Open a new file; whether it is without a name."""
    if Path("/proc/self/fd").exists():
        try:
            return os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o666), True
        except OSError:  # not on this file system; what is wrong with the directory shows below
            pass
    return os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), False

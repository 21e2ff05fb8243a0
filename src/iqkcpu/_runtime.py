"""Where the work runs: the instruction set and the number of threads, both for the whole process."""

from __future__ import annotations

import operator
import os
from types import TracebackType
from typing import SupportsIndex, final

from . import _core

_num_threads: int | None = None  # None: not yet asked for


def isas() -> tuple[str, ...]:
    """Instruction sets usable on this machine, best last, such as ("scalar", "avx2", "avx512vnni")."""
    return tuple(_core.isas())


def isa() -> str:
    """The instruction set in use: the last `use_isa`, else the environment's IQKCPU_ISA, else the best.

    Raises:
        ValueError: IQKCPU_ISA names one that is unknown or that this machine lacks.
    """
    return _core.isa()


@final
class use_isa:  # noqa: N801
    """Run on the instruction set `name` from now on, or within a `with` block.

    The choice holds for the whole process, for all its threads. As a context manager it is undone at the end of the
    block.

    Raises:
        ValueError: an instruction set that is unknown or that this machine lacks; nothing changes.
    """

    __slots__ = ("_before",)

    def __init__(self, name: str) -> None:
        try:
            self._before: str | None = _core.isa()
        except ValueError:  # IQKCPU_ISA is wrong: what is said here replaces it
            self._before = None
        _core.use_isa(name)

    def __enter__(self) -> str:
        """Return the name of the instruction set in use."""
        return _core.isa()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go back to the instruction set of before."""
        if self._before is not None:
            _core.use_isa(self._before)


def set_num_threads(threads: SupportsIndex) -> None:
    """Set how many threads a call uses where it does not say so itself.

    Raises:
        ValueError: `threads` is less than 1.
    """
    global _num_threads
    _num_threads = _checked(threads)


def get_num_threads() -> int:
    """How many threads a call uses where it does not say so itself.

    That is the last `set_num_threads`, else the environment's IQKCPU_NUM_THREADS, else the physical cores that the
    affinity mask and the control group allow.

    Raises:
        ValueError: IQKCPU_NUM_THREADS is not an integer of at least 1.
    """
    global _num_threads
    if _num_threads is None:
        text = os.environ.get("IQKCPU_NUM_THREADS", "").strip()
        if text and not (text.isdecimal() and int(text) >= 1):
            raise ValueError(f"IQKCPU_NUM_THREADS must be an integer of at least 1, not {text!r}")
        _num_threads = int(text) if text else _core.default_threads()
    return _num_threads


def thread_count(threads: SupportsIndex | None) -> int:
    """Return the number of threads that a call's `threads` argument asks for."""
    return get_num_threads() if threads is None else _checked(threads)


def _checked(threads: SupportsIndex) -> int:
    count = operator.index(threads)
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {count}")
    return min(count, _MOST)


_MOST = 1 << 16  # more than any machine has: keeps the number within the core's int

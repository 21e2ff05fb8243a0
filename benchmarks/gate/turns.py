"""Two workers that take turns, and the ratios that come of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from cases import Case

_TURNS = 3  # of each side in a round


class Worker:
    """A process that runs cases on one build."""

    def __init__(self, build: Path, isa: str | None, planted: float) -> None:
        environment = os.environ | {"PYTHONPATH": str(build)} | ({} if isa is None else {"IQKCPU_ISA": isa})
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py")), str(planted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def seconds(self, case: Case) -> float | None:
        """The time of a case, None where this build does not have its type.

        Raises:
            RuntimeError: the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(case.message()) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a worker ended with status {self._process.wait()}")
        seconds: float | None = json.loads(answer).get("seconds")
        return seconds


def round_of_ratios(start: Callable[[int], Worker], cases: Sequence[Case], first: int) -> dict[Case, float]:
    """Return head's time by base's of each case that both have.

    Both processes are new: where memory happens to lie is part of the noise, and differs from round to round. The sides
    strictly alternate, as the second of two turns in a row would find warm caches.

    Args:
        start: starts the worker of base (0) or head (1).
        cases: what to run.
        first: the side that begins; rounds take it in turn.
    """
    ratios: dict[Case, float] = {}
    with start(0) as base, start(1) as head:
        for case in cases:
            best = [float("inf")] * 2
            for side in (first, 1 - first) * _TURNS:
                seconds = (base, head)[side].seconds(case)
                if seconds is None:
                    break
                best[side] = min(best[side], seconds)
            else:
                ratios[case] = best[1] / best[0]
    return ratios

"""Linear programs over variables of 0 and 1, by scipy's `milp` (HiGHS)."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_OBJECTIVE_SCALE = 1e6  # of the sum of costs: the solver stops at an absolute gap of 1e-6
_OPTIMAL, _INFEASIBLE = 0, 2  # of the status of a result


@dataclass(frozen=True, slots=True)
class Optimum:
    """The values found for the variables."""

    values: NDArray[np.int64]
    bound: float | None
    """No values have a smaller cost; None: that is the cost of these."""


class BinaryProgram:
    """Find values of 0 and 1 with the smallest cost that keep to linear constraints, up to a tolerance.

    Args:
        costs: per variable, not negative.
    """

    def __init__(self, costs: ArrayLike) -> None:
        self._costs: NDArray[np.float64] = np.asarray(costs, np.float64)
        self._columns: list[NDArray[np.intp]] = []
        self._factors: list[NDArray[np.float64]] = []
        self._bounds: list[tuple[float, float]] = []

    def constrain(self, columns: Iterable[int], factors: ArrayLike, least: float, most: float) -> None:
        """Ask for least <= sum(factors * values[columns]) <= most."""
        self._columns.append(np.fromiter(columns, np.intp))
        self._factors.append(np.asarray(factors, np.float64))
        self._bounds.append((least, most))

    def forbid(self, values: NDArray[np.int64]) -> None:
        """Ask for other values than these."""
        self.constrain(range(len(values)), 1 - 2 * values, 1 - int(values.sum()), np.inf)

    def minimise(self, deadline: float, gap: float = 0.0) -> Optimum | None:
        """Return the best values; None: the constraints cannot be kept.

        Args:
            deadline: a time of `time.monotonic`, at which the best values so far are returned.
            gap: values whose cost is above the smallest by so small a share are good enough.

        Raises:
            TimeoutError: nothing was found by the deadline.
        """
        from scipy.optimize import Bounds, LinearConstraint
        from scipy.sparse import csr_array

        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("no choice was found in time")
        starts = np.cumsum([0, *map(len, self._columns)])
        rows = csr_array(
            (np.concatenate(self._factors), np.concatenate(self._columns), starts),
            shape=(len(self._bounds), len(self._costs)),
        )
        scale = _OBJECTIVE_SCALE / (self._costs.sum() or 1.0)
        result = _solve(
            c=self._costs * scale,
            integrality=np.ones(len(self._costs)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(rows, *np.transpose(self._bounds)),
            options={"mip_rel_gap": gap, "time_limit": seconds},
        )
        if result.status == _INFEASIBLE:
            return None
        if result.x is None:
            raise TimeoutError(f"no choice was found in time: {result.message}")
        proved = result.status == _OPTIMAL and gap == 0
        return Optimum(np.rint(result.x).astype(np.int64), None if proved else result.mip_dual_bound / scale)


def _solve(**program: Any) -> Any:
    """Call `milp` on a thread of its own, as it takes no notice of interrupts."""
    from scipy.optimize import milp

    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(milp(**program))
        except BaseException as error:
            future.set_exception(error)

    with _silence():
        threading.Thread(target=run, daemon=True).start()
        return future.result()


@contextmanager
def _silence() -> Iterator[None]:
    """Keep off the standard output what HiGHS prints there even when it is told to be quiet."""
    libc = ctypes.CDLL(None)
    libc.fflush(None)
    stdout, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        libc.fflush(None)
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)

"""Timing one product: weights beyond the caches, the best of several runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import iqkcpu

from .._machine import Peaks, last_level_cache
from .._weights import random_weights

_MOST_COPIES = 512 << 20  # bytes of weights that one type takes at most
_LEAST_SECONDS = 0.02  # of one run, where there are rows enough


@dataclass(frozen=True)
class Result:
    """The best of several runs of one product."""

    type: str
    bpw: float
    batch: int
    rows: int
    cols: int
    kernel: str
    seconds: float
    gflops: float
    """2 * rows * cols * batch operations a second."""
    gbs: float
    """Bytes of weights a second."""


@dataclass(frozen=True)
class Shares:
    """What a result reaches of the machine's limits."""

    of_peak: float | None
    """Share of the int8 peak of all threads, which tiles may exceed, and of the float peak for float types; the scalar
    tier has none."""
    of_read: float
    """Share of the memory's read rate."""

    @staticmethod
    def of(r: Result, peaks: Peaks, threads: int) -> Shares:
        """Return the shares that a result of so many threads has."""
        of_floats = iqkcpu.Type(r.type).family == "float"
        peak = (peaks.float_gflops if of_floats else peaks.int8_gops) * threads
        return Shares(r.gflops / peak if peak else None, r.gbs / peaks.read_gbs)


def measure(t: iqkcpu.Type, batches: Sequence[int], rows: int, cols: int, seconds: float) -> Iterator[Result]:
    """Yield a result per batch, each from runs of `seconds` in all."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((max(batches), cols), np.float32)
    w = random_weights(t, rows * copies(rows * t.row_bytes(cols)), cols, rng)
    for batch in batches:
        used, best = _best_of(w, x[:batch], rows, seconds)
        gflops = 2e-9 * used * cols * batch / best
        gbs = 1e-9 * used * t.row_bytes(cols) / best
        yield Result(t.name, t.bpw, batch, used, cols, iqkcpu.plan(w, batch).kernel, best, gflops, gbs)


def copies(matrix_bytes: int, most: int = _MOST_COPIES) -> int:
    """How many copies of a matrix take twice the last-level cache, `most` bytes at most."""
    return max(1, min(-(-2 * last_level_cache() // matrix_bytes), most // matrix_bytes))


def seconds_of(call: Callable[[], object]) -> float:
    """How long a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _best_of(w: iqkcpu.QuantTensor, x: NDArray[np.float32], rows: int, seconds: float) -> tuple[int, float]:
    """Rows per product and the shortest time of one, from runs that take `seconds` in all, at least two."""
    group = w.type.interleave
    used = min(rows, max(group, rows // 64 // group * group))
    # Doubling, not in proportion: a part of the time, quantizing x, is the same for any number of rows.
    while used < rows and _time(w, x, used, 0.0) < max(seconds / 6, _LEAST_SECONDS):
        used = min(rows, 2 * used)
    return used, _time(w, x, used, seconds)


def _time(w: iqkcpu.QuantTensor, x: NDArray[np.float32], rows: int, seconds: float) -> float:
    """Shortest time of the product with `rows` rows of w, taking other rows each time."""
    parts = w.shape[0] // rows
    out = np.empty((len(x), rows), np.float32)
    best, runs, start = np.inf, 0, time.perf_counter()
    while runs < 2 or time.perf_counter() - start < seconds:
        first = runs % parts * rows
        part = w[first : first + rows]
        begin = time.perf_counter()
        iqkcpu.mul_mat(part, x, out=out)
        best = min(best, time.perf_counter() - begin)
        runs += 1
    return best

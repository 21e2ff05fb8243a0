"""How long products take on this machine, per weight, for each type and shape."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._ops import mul_mat
from .._repack import repack
from .._tensor import QuantTensor
from .._types import Type

_MOST_WEIGHTS = 1 << 24  # of a matrix: larger ones take as long per weight
_MOST_WORK = 1 << 30  # multiply-adds of a product
_LEAST_ROWS = 16  # whole groups of any type
_TILE_ROWS = 64  # that differ
_ROUNDS = 3
_SECONDS = 0.03  # of a type and shape in a round
_GRID = 0.02  # times closer than this are the same: less is noise


@dataclass(frozen=True, slots=True)
class ProductShape:
    """The shape of a product whose time stands for that of similar ones."""

    rows: int
    k: int
    batch: int

    @staticmethod
    def standing_for(rows: int, k: int, batch: int) -> ProductShape:
        """Return the shape to measure for a matrix of (rows, k) and a batch: rows are a power of two, and not many."""
        most = min(rows, _MOST_WEIGHTS // k, _MOST_WORK // (k * batch))
        return ProductShape(max(_LEAST_ROWS, 1 << max(0, most.bit_length() - 1)), k, batch)


def seconds_per_weight(
    samples: Mapping[tuple[ProductShape, Type], QuantTensor],
    footprint: int,
    progress: Callable[[], object],
) -> dict[tuple[ProductShape, Type], float]:
    """Return the shortest time of a product over its number of weights, rounded to two percent.

    The weights are the sampled rows over and over. The types take turns, so that what else runs on the machine meets
    all of them.

    Args:
        samples: rows to make the weights of, shape (n, K), by shape and type; for types that store rows together, rows
            of the type that those are repacked from.
        footprint: bytes of weights that products go through, more than caches hold.
        progress: called once per type and shape.
    """
    best = dict.fromkeys(samples, math.inf)
    scratch = np.empty(max([footprint, *(s.rows * t.row_bytes(s.k) for s, t in samples)]), np.uint8)
    for turn in range(_ROUNDS):
        for (shape, t), sample in samples.items():
            size = _bytes(shape, t)
            memory = scratch[: max(footprint, size) // size * size].reshape(-1, size)
            _fill(memory, sample, t, shape)
            seconds = _shortest(memory, t, shape)
            best[shape, t] = min(best[shape, t], seconds / (shape.rows * shape.k))
            if turn == _ROUNDS - 1:
                progress()
    return {key: math.exp(round(math.log(seconds) / _GRID) * _GRID) for key, seconds in best.items()}


def _bytes(shape: ProductShape, t: Type) -> int:
    return shape.rows * t.row_bytes(shape.k)


def _fill(memory: NDArray[np.uint8], sample: QuantTensor, t: Type, shape: ProductShape) -> None:
    """Fill the lines of memory with a matrix each, of a type and shape."""
    tile_rows = min(shape.rows, _TILE_ROWS)
    raw = np.resize(sample.raw, (tile_rows, sample.raw.shape[1]))
    tile = QuantTensor(raw, sample.type, (tile_rows, shape.k))
    if t is not sample.type:
        tile = repack(tile, t)
    memory.reshape(-1, tile.nbytes)[:] = tile.raw.reshape(-1)


def _shortest(memory: NDArray[np.uint8], t: Type, shape: ProductShape) -> float:
    """Seconds of the fastest product of several, at least two, each with the matrix of the next line of memory."""
    x = np.random.default_rng(0).standard_normal((shape.batch, shape.k), np.float32)
    out = np.empty((shape.batch, shape.rows), np.float32)
    best, runs, start = math.inf, 0, time.perf_counter()
    while runs < 2 or time.perf_counter() - start < _SECONDS:
        w = QuantTensor(memory[runs % len(memory)], t, (shape.rows, shape.k))
        begin = time.perf_counter()
        mul_mat(w, x, out=out)
        best = min(best, time.perf_counter() - begin)
        runs += 1
    return best

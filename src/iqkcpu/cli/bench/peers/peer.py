"""What every peer is, and what it is given to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import iqkcpu

from ..._weights import random_weights


@dataclass(frozen=True)
class Work:
    """A problem made ready."""

    run: Callable[[], object]
    """Takes all matrices once."""
    result: Callable[[], NDArray[np.float32]]
    """What a run made of the last matrix: of shape (batch, rows), or (rows, cols) where it is decoded."""
    weights: Callable[[], NDArray[np.float32]]
    """The last matrix as floats, of shape (rows, cols)."""


class UnavailableError(Exception):
    """A peer cannot run here; the message says what to install, or what it does not take."""


@dataclass(frozen=True)
class Problem:
    """A product y = x @ w.T of each of several matrices w, or decoding them.

    Numbers are random: what they are does not change the time.
    """

    rows: int
    cols: int
    batch: int
    """Columns of the product; 0: the matrices are decoded."""
    copies: int
    """Matrices, which a pass takes one after the other."""
    threads: int

    def x(self) -> NDArray[np.float32]:
        """Return activations of shape (batch, cols)."""
        return np.random.default_rng(1).standard_normal((self.batch, self.cols), np.float32)

    def weights(self, name: str) -> list[iqkcpu.QuantTensor]:
        """Return the matrices in a type of this library, of shape (rows, cols)."""
        w = random_weights(iqkcpu.Type(name), self.copies * self.rows, self.cols, np.random.default_rng(2))
        return [w[i * self.rows : (i + 1) * self.rows] for i in range(self.copies)]


@dataclass(frozen=True)
class Peer:
    """One way of another library to do the work."""

    name: str
    type: str
    """The type of this library to compare with: the same, or the nearest in bits."""
    bpw: float
    prepare: Callable[[Problem], Work]
    """Loads what it needs; raises `UnavailableError` where that is not there."""
    decodes: bool = False
    """Whether it decodes, in one thread; else it multiplies."""

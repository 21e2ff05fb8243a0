"""What ratios of times, one per round, say about a change: how large it is, how sure that is, and the verdict.

A round gives one ratio, head to base. Of all rounds the median is the estimate. Its interval comes from the order
statistics: the k-th smallest and the k-th largest ratio enclose the true median with a probability that the binomial
distribution tells exactly, whatever the noise looks like.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

LEAST_ROUNDS = 7
CONFIDENCE = 0.98  # of the interval; cases are many, and unclear ones are looked at again and again


class Verdict(Enum):
    """What is to be said about a case."""

    SLOWER = "slower"
    """The whole interval lies beyond the limit: a loss."""
    FASTER = "faster"
    """The whole interval lies beyond the limit's inverse."""
    NO_DIFFERENCE = "no difference"
    """The whole interval lies within the limit and its inverse."""
    UNCLEAR = "unclear"
    """The noise is too large, or there were too few rounds, for one of the others."""


@dataclass(frozen=True)
class Estimate:
    """Time of head by time of base."""

    ratio: float
    low: float
    high: float
    """The interval of the ratio."""

    @property
    def noise(self) -> float:
        """Half the width of the interval, as a share of the ratio."""
        return (self.high - self.low) / 2 / self.ratio


def estimate(ratios: Sequence[float]) -> Estimate:
    """Return the median of the ratios and its interval, of the coverage `CONFIDENCE` at least.

    Raises:
        ValueError: fewer than `LEAST_ROUNDS` ratios, or one that is not a positive number.
    """
    if len(ratios) < LEAST_ROUNDS:
        raise ValueError(f"{len(ratios)} rounds are too few: {LEAST_ROUNDS} or more tell noise from change")
    if not all(0 < r < math.inf for r in ratios):
        raise ValueError("ratios of times are positive numbers")
    ordered = sorted(ratios)
    k = _rank(len(ratios))
    return Estimate(statistics.median(ordered), ordered[k], ordered[-1 - k])


def verdict(e: Estimate, limit: float) -> Verdict:
    """Return the verdict on an estimate.

    Args:
        e: the estimate.
        limit: the ratio from which on a difference counts, above 1.
    """
    if e.low > limit:
        return Verdict.SLOWER
    if e.high < 1 / limit:
        return Verdict.FASTER
    return Verdict.NO_DIFFERENCE if 1 / limit <= e.low and e.high <= limit else Verdict.UNCLEAR


def _rank(n: int) -> int:
    """The largest k for which the k-th smallest and largest, from 0, of n enclose the median surely enough."""
    outside = 0.0  # probability that the median is below the k-th smallest
    for k in range(n // 2):
        outside += math.comb(n, k) / 2**n
        if 1 - 2 * outside < CONFIDENCE:
            return k - 1
    return n // 2 - 1

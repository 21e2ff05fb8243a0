"""The choice of one type per tensor: a multiple-choice knapsack, solved exactly as an integer program."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress, islice, pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .binary_program import BinaryProgram

Quantity: TypeAlias = Literal["size", "error", "seconds"]
QUANTITIES: tuple[Quantity, ...] = ("size", "error", "seconds")
_SECONDS = 10.0  # when the caller does not say
_TIE_SECONDS = 5.0  # for each objective after the first
_ROW_SCALE = 1e3  # of a limit in the program: the solver's tolerance is absolute
_ROUNDING = 1e-9  # relative to a limit: what floats may be off before sums are checked


@dataclass(frozen=True, slots=True)
class Choice:
    """What a type means for a tensor, or types for a model."""

    size: int
    """Bytes."""
    error: float
    """Its part of the model's error."""
    seconds: float
    """Of the products with it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the sums over all items must not exceed; None: anything goes."""

    size: int | None = None
    error: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Solution:
    """One choice per item."""

    chosen: tuple[int, ...]
    """The index of each item's choice."""
    total: Choice
    gap: float
    """By what share the first objective may be above the smallest possible; 0: it is proved to be that."""


class InfeasibleError(ValueError):
    """No choice keeps within the limits."""

    def __init__(self, reachable: Limits) -> None:
        super().__init__("no choice keeps within the limits")
        self.reachable = reachable
        """Of each quantity that has a limit, the smallest sum that the other limits allow; None: they allow none."""


def solve(
    items: Sequence[Sequence[Choice]],
    limits: Limits,
    objectives: Sequence[Quantity],
    seconds: float = _SECONDS,
    gap: float = 0.0,
) -> Solution:
    """Return the choices with the smallest sum of the first objective; of equal ones, of the next, and so on.

    Args:
        items: what there is to choose from, at least one choice for each; all numbers finite and not negative.
        limits: on the sums over all items.
        objectives: the quantities to make small, at least one, the most important first.
        seconds: how long to work at most: what was found by then is returned with its gap. Ties, which are mostly
            none, get a few seconds more.
        gap: stop when the first objective is above the smallest possible by so small a share.

    Raises:
        InfeasibleError: the limits cannot be kept.
        TimeoutError: nothing was found in time.
    """
    knapsack = _Knapsack(items)
    found = knapsack.minimise(objectives[0], limits, seconds, gap)
    if found is None:
        raise InfeasibleError(_reachable(knapsack, limits, seconds))
    for before, quantity in pairwise(objectives):
        if found.gap:
            break  # what is not proved to be the smallest is no bound
        limits = _with(limits, before, getattr(found.total, before))
        try:
            better = knapsack.minimise(quantity, limits, _TIE_SECONDS)
        except TimeoutError:
            break
        if better is None or better.gap:
            break
        found = better
    return found


def total_of(items: Sequence[Sequence[Choice]], chosen: Sequence[int]) -> Choice:
    """Return the sums of a choice; those of floats are rounded once, so that the order of items does not matter."""
    picked = [choices[index] for choices, index in zip(items, chosen, strict=True)]
    return Choice(
        sum(choice.size for choice in picked),
        math.fsum(choice.error for choice in picked),
        math.fsum(choice.seconds for choice in picked),
    )


def _with(limits: Limits, quantity: Quantity, value: Any) -> Limits:
    changed: dict[str, Any] = {quantity: value}
    return replace(limits, **changed)


def _limited(limits: Limits) -> Iterator[tuple[Quantity, float]]:
    """Yield the quantities that have a limit, and the limits."""
    for quantity in QUANTITIES:
        limit = getattr(limits, quantity)
        if limit is not None:
            yield quantity, limit


def _within(total: Choice, limits: Limits) -> bool:
    return all(getattr(total, quantity) <= limit for quantity, limit in _limited(limits))


def _reachable(knapsack: _Knapsack, limits: Limits, seconds: float) -> Limits:
    reachable = Limits()
    for quantity, _ in _limited(limits):
        found = knapsack.minimise(quantity, _with(limits, quantity, None), seconds)
        if found is not None:
            reachable = _with(reachable, quantity, getattr(found.total, quantity))
    return reachable


def _undominated(choices: Sequence[Choice]) -> list[int]:
    """Return the indices of the choices that no other one equals or beats in everything, sorted by size."""
    kept: list[int] = []
    for i in sorted(range(len(choices)), key=lambda i: (choices[i].size, choices[i].error, choices[i].seconds)):
        c = choices[i]
        if not any(choices[k].error <= c.error and choices[k].seconds <= c.seconds for k in kept):
            kept.append(i)
    return kept


@dataclass(frozen=True, slots=True)
class _Bit:
    """A variable: `count` items of a group get one of the group's choices."""

    group: int
    choice: int
    count: int


class _Knapsack:
    """What there is to choose from, as an integer program for any objective and limits.

    Items that have the same choices are a group: how many of them get a choice matters, not which. That number is
    written in binary, one variable per bit, so that one linear constraint forbids one solution and no other.
    """

    def __init__(self, items: Sequence[Sequence[Choice]]) -> None:
        self._items = items
        self._kept = [_undominated(choices) for choices in items]
        members: dict[tuple[Choice, ...], list[int]] = {}
        for number, kept in enumerate(self._kept):
            members.setdefault(tuple(items[number][i] for i in kept), []).append(number)
        self._groups = list(members.items())
        """Choices, and the numbers of the items that have them."""

    def minimise(self, quantity: Quantity, limits: Limits, seconds: float, gap: float = 0.0) -> Solution | None:
        """Return the choice with the smallest sum of a quantity; None: the limits cannot be kept.

        Raises:
            TimeoutError: nothing was found in so many seconds.
        """
        deadline = time.monotonic() + seconds
        if any(self._least(q) > limit for q, limit in _limited(limits)):
            return None
        if not self._items:
            return Solution((), total_of((), ()), 0.0)
        bits = self._bits(limits)
        program = BinaryProgram(self._above_least(bits, quantity))
        in_group: list[list[int]] = [[] for _ in self._groups]
        for i, bit in enumerate(bits):
            in_group[bit.group].append(i)
        if not all(in_group):
            return None
        for of, (_, members) in zip(in_group, self._groups, strict=True):
            program.constrain(of, [bits[i].count for i in of], len(members), len(members))
        for q, limit in _limited(limits):
            share = self._above_least(bits, q) / self._room(q, limit)
            program.constrain(range(len(bits)), share * _ROW_SCALE, -np.inf, _ROW_SCALE)
        while True:
            found = program.minimise(deadline, gap)
            if found is None:
                return None
            chosen = self._chosen(bits, found.values)
            total = total_of(self._items, chosen)
            if _within(total, limits):
                bound = math.inf if found.bound is None else self._least(quantity) + found.bound
                value = float(getattr(total, quantity))
                return Solution(chosen, total, 1 - bound / value if bound < value else 0.0)
            program.forbid(found.values)  # within the solver's tolerance, but not within the limits

    def _least(self, quantity: Quantity) -> float:
        """The smallest sum of a quantity."""
        parts = (len(members) * [min(getattr(c, quantity) for c in choices)] for choices, members in self._groups)
        return math.fsum(chain.from_iterable(parts))

    def _room(self, quantity: Quantity, limit: float) -> float:
        """How far a limit is above the smallest sum; never so little that rounding matters."""
        return max(limit - self._least(quantity), _ROUNDING * limit, sys.float_info.min)

    def _above_least(self, bits: Sequence[_Bit], quantity: Quantity) -> NDArray[np.float64]:
        """By how much more than the smallest a quantity gets by each variable."""
        least = [min(getattr(c, quantity) for c in choices) for choices, _ in self._groups]
        return np.array(
            [b.count * (getattr(self._groups[b.group][0][b.choice], quantity) - least[b.group]) for b in bits]
        )

    def _bits(self, limits: Limits) -> list[_Bit]:
        """The variables, without those for choices that alone break a limit."""
        rooms = [(q, self._room(q, limit) * (1 + _ROUNDING)) for q, limit in _limited(limits)]
        bits = []
        for number, (choices, members) in enumerate(self._groups):
            least = {q: min(getattr(c, q) for c in choices) for q, _ in rooms}
            for index, c in enumerate(choices):
                if all(getattr(c, q) - least[q] <= room for q, room in rooms):
                    bits += [_Bit(number, index, 1 << k) for k in range(len(members).bit_length())]
        return bits

    def _chosen(self, bits: Sequence[_Bit], values: NDArray[np.int64]) -> tuple[int, ...]:
        """Hand the choices of each group out to its items."""
        waiting = [iter(members) for _, members in self._groups]
        chosen = [0] * len(self._items)
        for bit in compress(bits, values):
            for number in islice(waiting[bit.group], bit.count):
                chosen[number] = self._kept[number][bit.choice]
        return tuple(chosen)

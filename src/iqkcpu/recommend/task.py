"""What there is to choose from for a model, and what choices mean for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._types import Type
from .budget import Budget
from .measure import Item, Measured
from .output import OutputFile, stored_bytes
from .solver import Choice, Limits, Quantity, solve

_FRONT_POINTS = 24
_FRONT_GAP, _FRONT_SECONDS = 1e-3, 2.0  # of each point: it is for looking at


@dataclass(frozen=True)
class Recipe:
    """A type for each item, and what that means for the model."""

    types: tuple[Type, ...]
    nbytes: int
    """Of all tensors of the file."""
    bpw: float
    """Bits per weight of all tensors of the file."""
    error: float
    """The mean of the items' relative errors over their weights."""
    seconds: float
    """Of the products in a pass."""


@dataclass(frozen=True)
class Task:
    """The items with what was measured, and the limits."""

    file: OutputFile
    items: Sequence[Item]
    measured: Sequence[Mapping[Type, Measured]]
    budget: Budget | None
    max_error: float | None

    @cached_property
    def limits(self) -> Limits:
        """What the sums of the choices must not exceed."""
        size = None
        if self.budget is not None and self.budget.nbytes is not None:
            size = self.file.room(self.budget.nbytes)
        elif self.budget is not None and self.budget.bpw is not None:
            size = math.floor(self.budget.bpw * self.file.weights / 8) - self.file.kept
        return Limits(size=size, error=self.max_error)

    @cached_property
    def choices(self) -> list[list[Choice]]:
        """What the solver chooses from, per item and type. Where the file's size is limited, sizes are shares of it."""
        whole = self.budget is not None and self.budget.nbytes is not None
        in_all = sum(item.info.size for item in self.items)
        return [
            [
                Choice(
                    self.file.share(item.info, t) if whole else stored_bytes(item.info, t),
                    item.info.size / in_all * measured[t].error,
                    measured[t].seconds,
                )
                for t in item.types
            ]
            for item, measured in zip(self.items, self.measured, strict=True)
        ]

    def best(self) -> tuple[Recipe, float]:
        """Return the recipe of the smallest error, or, where that is limited, of the least time; and its gap.

        Raises:
            InfeasibleError: the limits cannot be kept.
            TimeoutError: nothing was found in time.
        """
        objectives: tuple[Quantity, ...] = ("error", "seconds") if self.max_error is None else ("seconds", "size")
        found = solve(self.choices, self.limits, objectives)
        return self._recipe_of(found.chosen), found.gap

    def front(self, others: Iterable[Recipe]) -> list[Recipe]:
        """Return recipes of the smallest error, nearly, for sizes from the smallest to that without error.

        The sizes of the others are among them: what can be seen is how much better than those one can do. Sizes for
        which nothing is found in time are left out.
        """
        least = sum(min(c.size for c in of) for of in self.choices)
        most = sum(min((c.error, c.size) for c in of)[1] for of in self.choices)
        sizes = {math.ceil(size) for size in np.geomspace(max(1, least), max(1, most), _FRONT_POINTS)}
        sizes |= {self._size(recipe) for recipe in others}
        front = []
        for size in sorted(sizes):
            with suppress(TimeoutError):
                found = solve(self.choices, Limits(size=size), ("error",), _FRONT_SECONDS, _FRONT_GAP)
                front.append(self._recipe_of(found.chosen))
        return front

    def recipe(self, types: Sequence[Type]) -> Recipe:
        """Return what types mean, one for each item."""
        return self._recipe_of([item.types.index(t) for item, t in zip(self.items, types, strict=True)])

    def fits(self, recipe: Recipe) -> bool:
        """Whether a recipe keeps within the limits."""
        limits = self.limits
        return (limits.size is None or self._size(recipe) <= limits.size) and (
            limits.error is None or recipe.error <= limits.error
        )

    def _size(self, recipe: Recipe) -> int:
        """Return the size of a recipe as the solver counts it."""
        picked = zip(self.items, self.choices, recipe.types, strict=True)
        return sum(choices[item.types.index(t)].size for item, choices, t in picked)

    def _recipe_of(self, chosen: Sequence[int]) -> Recipe:
        types = tuple(item.types[index] for item, index in zip(self.items, chosen, strict=True))
        picked = [choices[index] for choices, index in zip(self.choices, chosen, strict=True)]
        nbytes = self.file.kept + sum(stored_bytes(item.info, t) for item, t in zip(self.items, types, strict=True))
        return Recipe(
            types,
            nbytes,
            8 * nbytes / self.file.weights,
            math.fsum(choice.error for choice in picked),
            math.fsum(choice.seconds for choice in picked),
        )

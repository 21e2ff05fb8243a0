"""What `iqkcpu recommend` says: tables, JSON, the recipe, and what cannot be had."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer

from iqkcpu import Type
from iqkcpu.recommend.measure import Item, Measured
from iqkcpu.recommend.output import stored_bytes
from iqkcpu.recommend.rules import family, recipe_lines
from iqkcpu.recommend.solver import Limits
from iqkcpu.recommend.task import Recipe, Task

from ._files import size_text
from ._machine import Setting, as_json, count
from ._output import print_json, print_table

_NUMBERS = ["bpw", "size", "error", "ms"]


@dataclass(frozen=True)
class Recommendation:
    """A recipe beside those of one type everywhere."""

    task: Task
    best: Recipe
    gap: float
    """By what share `best` may be worse than what is possible; 0: by nothing."""
    uniform: Mapping[str, Recipe]
    """By the names of the types."""
    source: str
    """The name of the model's file."""
    setting: Setting
    batch: int

    def recipe_text(self) -> str:
        """Return the file for `iqkcpu quantize --recipe`, with a rule for each tensor that could be quantized."""
        chosen = {item.info.name: t for item, t in zip(self.task.items, self.best.types, strict=True)}
        lines = [
            f"# For {self.source!a}, by `iqkcpu recommend`; use it without --type.",
            f"# Tensors: {self.best.nbytes} bytes, {self.best.bpw:.5g} bits per weight. Error: {self.best.error:.4g}.",
            f"# Products in a pass of {count(self.batch, 'token')}: {1e3 * self.best.seconds:.4g} ms on "
            f"{self.setting.cpu!a}, {self.setting.isa}, {count(self.setting.threads, 'thread')}.",
            *recipe_lines(chosen, self.task.file.infos),
        ]
        return "\n".join(lines) + "\n"

    def print_json(self) -> None:
        """Print everything, errors and times of each tensor too."""
        tensors = [
            {
                "name": item.info.name,
                "type": t.name,
                "bytes": stored_bytes(item.info, t),
                "error": measured[t].error,
                "seconds": measured[t].seconds,
            }
            for item, measured, t in zip(self.task.items, self.task.measured, self.best.types, strict=True)
        ]
        uniform = [
            {"type": name, **_totals(recipe), "fits": self.task.fits(recipe)} for name, recipe in self.uniform.items()
        ]
        document = {**as_json(self.setting), "batch": self.batch, **_totals(self.best), "gap": self.gap}
        print_json({**document, "tensors": tensors, "uniform": uniform})

    def print_tables(self) -> None:
        """Print what the tensors get, those that differ in numbers only together, and what one type would do."""
        typer.echo(f"{self.setting.describe()}, {count(self.batch, 'token')} in a pass")
        groups: dict[tuple[str, Type], list[tuple[Item, Measured]]] = {}
        for item, measured, t in zip(self.task.items, self.task.measured, self.best.types, strict=True):
            groups.setdefault((family(item.info.name), t), []).append((item, measured[t]))
        lines = [
            [name, str(len(of)), t.name, *_group_figures(t, of)]
            for (name, t), of in sorted(groups.items(), key=lambda group: group[0][0])
        ]
        print_table(["tensors", "count", "type", *_NUMBERS], lines, ["count", *_NUMBERS])
        typer.echo()
        rows = [
            [name, *_figures(*_totals(recipe).values()), "yes" if self.task.fits(recipe) else ""]
            for name, recipe in sorted(self.uniform.items(), key=lambda pair: pair[1].nbytes)
        ]
        rows.append(["recommended", *_figures(*_totals(self.best).values()), "yes"])
        print_table(["everywhere", *_NUMBERS, "fits"], rows, _NUMBERS)
        typer.echo()
        proof = "no choice is better"
        if self.gap:
            proof = f"not proved to be the best, which is better by at most {100 * self.gap:.2g} %"
        bpw, size, error, ms = _figures(*_totals(self.best).values())
        size = f"{self.best.nbytes} bytes of tensors ({size})"
        typer.echo(f"recommended: {size}, {bpw} bits per weight, error {error}, {ms} ms: {proof}")


def out_of_reach(task: Task, reachable: Limits) -> str:
    """Say which size and which error could be had, where the limits cannot be kept."""
    limits = task.limits
    both = limits.size is not None and limits.error is not None
    parts = []
    if reachable.size is not None:
        file, tensors = task.file.size(reachable.size), reachable.size + task.file.kept
        text = f"{file} bytes ({size_text(file)})"
        if task.budget is not None and task.budget.bpw is not None:
            text = f"{math.ceil(8e4 * tensors / task.file.weights) / 1e4:.4f} bits per weight ({size_text(tensors)})"
        parts.append(f"the smallest size{f' with an error of {limits.error:g}' if both else ''} is {text}")
    if reachable.error is not None:
        parts.append(f"the smallest error{' at this size' if both else ''} is {reachable.error!r}")
    return f"no choice of these types does it: {', '.join(parts) or 'neither that size nor that error can be had'}"


def _totals(recipe: Recipe) -> dict[str, Any]:
    return {"bytes": recipe.nbytes, "bpw": recipe.bpw, "error": recipe.error, "seconds": recipe.seconds}


def _group_figures(t: Type, members: list[tuple[Item, Measured]]) -> list[str]:
    weights, nbytes = sum(i.info.size for i, _ in members), sum(stored_bytes(i.info, t) for i, _ in members)
    error = math.fsum(i.info.size * m.error for i, m in members) / weights
    return _figures(nbytes, 8 * nbytes / weights, error, math.fsum(m.seconds for _, m in members))


def _figures(nbytes: int, bpw: float, error: float, seconds: float) -> list[str]:
    return [f"{bpw:.4g}", size_text(nbytes), f"{error:.3g}", f"{1e3 * seconds:.3g}"]

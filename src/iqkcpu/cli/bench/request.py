"""What a run of `iqkcpu bench` is asked for, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

import iqkcpu

from .._machine import Setting


@dataclass(frozen=True)
class Request:
    """The options that all kinds of measurements share."""

    setting: Setting
    types: tuple[iqkcpu.Type, ...]
    batches: tuple[int, ...]
    rows: int
    cols: int
    seconds: float | None
    """Per type and batch; None leaves it to the kind of measurement."""
    plot: Path | None
    json: bool
    quiet: bool

    def describe(self) -> str:
        """Return where and what is measured as one line."""
        return f"{self.setting.describe()}, weights {self.rows} x {self.cols}"

    def seconds_each(self, cases: int, in_all: float) -> float:
        """Return the seconds for one of so many cases: what was asked for, or a share of `in_all`, at most 1."""
        return min(1.0, in_all / max(1, cases)) if self.seconds is None else self.seconds


def measurable() -> tuple[iqkcpu.Type, ...]:
    """All types that can be multiplied and measured."""
    # I2_S, with one scale behind all rows, has no views to measure: it is a type to convert from.
    return tuple(t for t in iqkcpu.types.values() if t._info.can_multiply and t.name != "I2_S")


def chosen_types(names: Sequence[str], usual: Sequence[str], rows: int, cols: int) -> tuple[iqkcpu.Type, ...]:
    """Return the types that were named, or else the usual ones, all able to have this shape.

    Raises:
        typer.BadParameter: an unknown type, or one that cannot be measured in this shape.
    """
    able = measurable()
    try:
        chosen = tuple(map(iqkcpu.Type, names)) if names else tuple(t for t in map(iqkcpu.Type, usual) if t in able)
        for t in chosen:
            if t not in able:
                raise ValueError(f"{t.name} cannot be measured")
            if rows % t.interleave:
                raise ValueError(f"{t.name} stores {t.interleave} rows together: --rows {rows} is no multiple")
            t.row_bytes(cols)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return chosen


def parsed_batches(text: str) -> tuple[int, ...]:
    """Return the batches of a text such as "1,8,64".

    Raises:
        typer.BadParameter: it is not that.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise typer.BadParameter(f"--batch takes numbers of at least 1, separated by commas, not {text!r}")
    return tuple(map(int, parts))

"""A choice of types by name, written as a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .._types import Type

_NUMBERED = re.compile(r"(?P<head>\D*)(?P<numbers>\d.*\d|\d)(?P<tail>\D*)", re.DOTALL)
_DIGITS = re.compile(r"\d+")


def recipe_lines(chosen: Mapping[str, Type], names: Iterable[str]) -> list[str]:
    """Return the lines of a recipe that gives tensors their types, and matches no others.

    Tensors whose names differ in numbers only, as those of layers do, share lines.

    Args:
        chosen: the types by the tensors' names.
        names: of all tensors of the model.
    """
    all_of: dict[tuple[str, ...], set[str]] = {}
    for name in names:
        all_of.setdefault(_between_numbers(name), set()).add(name)
    groups: dict[tuple[tuple[str, ...], Type], list[str]] = {}
    for name, t in chosen.items():
        groups.setdefault((_between_numbers(name), t), []).append(name)
    return [
        f"{_pattern(members, every=len(members) == len(all_of[of]))}={t.name}" for (of, t), members in groups.items()
    ]


def family(name: str) -> str:
    """Return a name with * for its numbers, for people to read."""
    return "*".join(_between_numbers(name))


def _between_numbers(name: str) -> tuple[str, ...]:
    return tuple(_DIGITS.split(name))


def _pattern(names: list[str], *, every: bool) -> str:
    """Return a regular expression for names that differ in numbers only: for these, or for every one."""
    if len(names) == 1:
        return rf"^{_escaped(names[0])}\Z"
    if every:
        return "^" + r"\d+".join(map(_escaped, _between_numbers(names[0]))) + r"\Z"
    parts = [_NUMBERED.fullmatch(name) for name in names]
    first = parts[0]
    assert first is not None  # else there were one name
    numbers = "|".join(_escaped(part["numbers"]) for part in parts if part is not None)
    return rf"^{_escaped(first['head'])}(?:{numbers}){_escaped(first['tail'])}\Z"


def _escaped(text: str) -> str:
    """Return a regular expression for a text, on one line and of characters that any file can hold."""
    return "".join(re.escape(c) if c.isprintable() and c.isascii() else f"\\U{ord(c):08x}" for c in text)

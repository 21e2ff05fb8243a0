"""Sizes as users write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_BUDGET = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>[a-z]*)\s*", re.IGNORECASE)
_BYTES = {"b": 1} | {
    f"{prefix}{middle}b": base**power
    for power, prefix in enumerate("kmgt", 1)
    for middle, base in (("", 1000), ("i", 1024))
}


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a model may take: bytes of its file, or bits per weight of its tensors."""

    nbytes: int | None
    bpw: Fraction | None


def parse_budget(text: str) -> Budget:
    """Return the size of "12GiB", "8GB", "500MiB" (1 GB is 10^9 bytes, 1 GiB is 2^30) or "4.5bpw".

    Raises:
        ValueError: it is no such size, or 0.
    """
    found = _BUDGET.fullmatch(text)
    unit = found["unit"].lower() if found else ""
    if found is None or (unit != "bpw" and unit not in _BYTES):
        raise ValueError(f"{text!r} is no size such as 12GiB, 8GB, 500MiB or 4.5bpw")
    number = Fraction(found["number"].rstrip("."))
    budget = Budget(None, number) if unit == "bpw" else Budget(int(number * _BYTES[unit]), None)
    if not (budget.nbytes or budget.bpw):
        raise ValueError(f"a budget of {text} is nothing")
    return budget

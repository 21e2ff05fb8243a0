"""What `iqkcpu quantize` says before it begins."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Mapping, Sequence

import typer

from iqkcpu import Type
from iqkcpu.recipes import Rule
from iqkcpu.reuse import Donor, Mismatch
from iqkcpu.steps import Step

from ._files import size_text
from ._machine import count
from ._output import print_table

_MOST_NAMES = 8  # of tensors in a line


def report_steps(steps: Sequence[Step], rules: Sequence[Rule], *, each: bool) -> None:
    """Say what becomes of each tensor or of each type, and why; how large it gets; what the rules left out."""
    if each:
        rows = [[s.name, s.info.type_name, s.type_name, _bpw([s]), size_text(s.nbytes), s.why] for s in steps]
        print_table(["tensor", "type", "becomes", "bpw", "size", "why"], rows, ["bpw", "size"])
    groups: dict[tuple[str, str, str], list[Step]] = {}
    for s in steps:
        groups.setdefault((s.info.type_name, "stays" if s.type is None else s.type_name, s.why), []).append(s)
    rows = [
        [*key[:2], str(len(of)), _bpw(of), size_text(sum(s.nbytes for s in of)), key[2]]
        for key, of in sorted(groups.items())
    ]
    print_table(["type", "becomes", "tensors", "bpw", "size", "why"], rows, ["tensors", "bpw", "size"])
    before, after = (
        (sum(sizes) for sizes in zip(*((s.info.nbytes, s.nbytes) for s in steps), strict=True)) if steps else (0, 0)
    )
    typer.echo(f"in all: {size_text(before)} become {size_text(after)}, {_bpw(steps)} bits per weight")
    fired = Counter(str(s.rule) for s in steps if s.rule is not None)
    for rule in rules:
        if str(rule) not in fired:
            typer.echo(f"rule {rule} never fired")
    unmet = [s.name for s in steps if s.rule is None] if rules else []
    if unmet:
        typer.echo(f"met by no rule: {_listed(unmet)}")


def warn_of_poor_types(made: Mapping[str, Type], columns: Container[str]) -> None:
    """Say which tensors, of those that are quantized to a type, need an importance matrix for it and have none."""
    poor = {name: t for name, t in made.items() if t.needs_imatrix and name not in columns}
    if poor:
        types = ", ".join(sorted({t.name for t in poor.values()}))
        typer.echo(
            f"Warning: no importance matrix for {_listed(list(poor))}: {types} gives poor weights without", err=True
        )


def report_reuse(donors: Mapping[str, Donor], mismatches: Mapping[str, Mismatch]) -> None:
    """Say how many tensors each file has, and why the others are in none."""
    for file, n in Counter(donor.name for donor in donors.values()).items():
        typer.echo(f"reused from {file}: {count(n, 'tensor')}")
    for mismatch in sorted(set(mismatches.values())):
        typer.echo(f"not reused: {_listed([name for name in mismatches if mismatches[name] is mismatch])}: {mismatch}")


def _listed(names: Sequence[str]) -> str:
    """Return "2 tensors (a, b)"."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{count(len(names), 'tensor')} ({', '.join(names[:_MOST_NAMES])}{more})"


def _bpw(steps: Sequence[Step]) -> str:
    weights = sum(math.prod(s.info.shape) for s in steps)
    return f"{8 * sum(s.nbytes for s in steps) / max(1, weights):.4g}"

"""Which type is fastest here, for decode and for prompts, at which error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import typer
from numpy.typing import NDArray

import iqkcpu
from iqkcpu._types import can_quantize

from .._machine import as_json
from .._output import print_json, print_table
from . import plots
from .progress import Interruptible, progress
from .request import Request
from .timing import Result, measure

DECODE, PROMPT = 1, 512  # batches
_SECONDS_IN_ALL = 60.0
_ROWS_OF_ERROR = 64


@dataclass(frozen=True)
class Ranked:
    """A type's speed at one batch, its error, and its place."""

    place: int
    type: str
    bpw: float
    batch: int
    gweights: float
    """Weights times columns a second, in units of 10^9: what to rank by, whatever a weight takes."""
    gbs: float
    """Bytes of weights a second."""
    error: float | None
    """Relative error of the weights, None where there is no quantizer."""
    best: bool
    """No type is at least as fast and more exact."""


def relative_error(t: iqkcpu.Type, weights: NDArray[np.float32]) -> float | None:
    """Return the root mean square error of quantized weights by that of the weights, None without a quantizer.

    Args:
        t: the type.
        weights: of shape (rows, K), quantized without an importance matrix.
    """
    if not can_quantize(t):
        return None
    difference = iqkcpu.quantize(weights, t).dequantize() - weights
    return float(np.sqrt(np.square(difference, dtype=np.float64).sum() / np.square(weights, dtype=np.float64).sum()))


def ranking(results: Sequence[Result], errors: dict[str, float | None]) -> list[Ranked]:
    """Order results of one batch by speed, the fastest first, and mark those that nothing beats in speed and error."""
    ranked: list[Ranked] = []
    least = float("inf")  # error of all that are faster
    for place, r in enumerate(sorted(results, key=lambda r: -r.gflops), 1):
        error = errors[r.type]
        best = error is not None and error < least
        if error is not None:
            least = min(least, error)
        ranked.append(Ranked(place, r.type, r.bpw, r.batch, r.gflops / 2, r.gbs, error, best))
    return ranked


def run(request: Request) -> None:
    """Measure all types at both batches, print the rankings."""
    batches = (DECODE, PROMPT)
    seconds = request.seconds_each(2 * len(request.types), _SECONDS_IN_ALL)
    normal = np.random.default_rng(0).standard_normal((_ROWS_OF_ERROR, request.cols), np.float32)
    if not (request.json or request.quiet):
        typer.echo(request.describe())
    results: list[Result] = []
    errors: dict[str, float | None] = {}
    with progress(len(request.types), hidden=request.quiet, on_stderr=request.json) as advance, Interruptible() as run:
        for t in request.types:
            errors[t.name] = relative_error(t, normal)
            results.extend(measure(t, batches, request.rows, request.cols, seconds))
            advance(None)
    rankings = {batch: ranking([r for r in results if r.batch == batch], errors) for batch in batches}
    if request.json:
        lines = [asdict(line) for ranked in rankings.values() for line in ranked]
        print_json({**as_json(request.setting), "interrupted": run.interrupted, "results": lines})
    else:
        _print(rankings[DECODE], "Decode, one column")
        typer.echo()
        _print(rankings[PROMPT], f"Prompts, {PROMPT} columns")
        if not request.quiet:
            typer.echo("\nerror: relative, of normal weights quantized without an importance matrix")
            typer.echo("best: no type is as fast and more exact")
    run.finish()
    if request.plot is not None:
        plots.save(request.plot, plots.speed_and_error(rankings, request), quiet=request.quiet or request.json)


def _print(ranked: Sequence[Ranked], title: str) -> None:
    typer.echo(f"{title}, fastest first")
    columns = ("place", "type", "bpw", "Gweights/s", "GB/s", "error", "best")
    rows = [
        (
            str(r.place),
            r.type,
            f"{r.bpw:.4g}",
            f"{r.gweights:.1f}",
            f"{r.gbs:.2f}",
            "-" if r.error is None else f"{r.error:.2%}",
            "best" if r.best else "",
        )
        for r in ranked
    ]
    print_table(columns, rows, numbers=("place", "bpw", "Gweights/s", "GB/s", "error"))

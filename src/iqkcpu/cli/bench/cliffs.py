"""Cliffs: batches whose product takes longer than that of a larger batch."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import typer

import iqkcpu

from .._machine import as_json
from .._output import print_json
from .._weights import random_weights
from . import plots
from .progress import Interruptible, progress
from .request import Request
from .timing import seconds_of

USUAL_TYPES = ("F16", "Q8_0", "Q4_K", "IQ4_K", "IQ2_XXS", "IQ4_K_R4")
USUAL_BATCHES = ",".join(map(str, range(1, 601)))
ROWS = 512  # 600 batches of these take a few seconds
LIMIT = 1.05  # times as long as a larger batch
_SECONDS_PER_TYPE = 15.0
_LEAST_PASSES = 3
_MOST_CHECKED = 100
_PAIRS = (3, 4, 14)  # runs that show a cliff again: each lot only where those before do


@dataclass(frozen=True)
class Cliff:
    """A batch that takes longer than a larger one."""

    batch: int
    larger: int
    """The larger batch that takes least."""
    ratio: float
    """The time of the one by that of the other, above `LIMIT`."""


@dataclass(frozen=True)
class Curve:
    """Seconds of a type's product by batch, and its cliffs."""

    type: str
    threshold: int | None
    """The first batch that takes the panel, where the type has one."""
    seconds: dict[int, float]
    cliffs: list[Cliff]
    unchecked: int
    """Further batches that looked like cliffs, too many to look at again: what else runs here disturbs too much."""


def find_cliffs(seconds: Mapping[int, float], limit: float = LIMIT) -> list[Cliff]:
    """Return the batches that take more than `limit` times as long as some larger batch, ascending.

    Nothing is assumed between the batches that were measured.
    """
    found: list[Cliff] = []
    fastest: int | None = None  # of the larger batches
    for batch in sorted(seconds, reverse=True):
        if fastest is not None and seconds[batch] > limit * seconds[fastest]:
            found.append(Cliff(batch, fastest, seconds[batch] / seconds[fastest]))
        if fastest is None or seconds[batch] < seconds[fastest]:
            fastest = batch
    return found[::-1]


def run(request: Request) -> None:
    """Look for cliffs and print them, a line or more per type."""
    batches = sorted(set(request.batches))
    if not (request.json or request.quiet):
        typer.echo(request.describe())
        typer.echo(f"batches {batches[0]} to {batches[-1]} that take {LIMIT} x the time of a larger one")
    curves: list[Curve] = []
    with progress(len(request.types), hidden=request.quiet, on_stderr=request.json) as advance, Interruptible() as run:
        for t in request.types:
            curve = _measured(t, batches, request)
            curves.append(curve)
            advance(None if request.json else _text(curve))
    if request.json:
        print_json(
            {
                **as_json(request.setting),
                "rows": request.rows,
                "cols": request.cols,
                "limit": LIMIT,
                "interrupted": run.interrupted,
                "results": [asdict(curve) for curve in curves],
            }
        )
    run.finish()
    if request.plot is not None:
        by_type = {curve.type: curve.seconds for curve in curves}
        plots.save(request.plot, plots.times(by_type, request), quiet=request.quiet or request.json)


def _measured(t: iqkcpu.Type, batches: Sequence[int], request: Request) -> Curve:
    """Time all batches in turn, several times over, and look again at those that seem to be cliffs."""
    rng = np.random.default_rng(0)
    w = random_weights(t, request.rows, request.cols, rng)
    x = rng.standard_normal((batches[-1], request.cols), np.float32)
    out = np.empty((batches[-1], request.rows), np.float32)

    def time_of(batch: int) -> float:
        return seconds_of(lambda: iqkcpu.mul_mat(w, x[:batch], out=out[:batch]))

    best = dict.fromkeys(batches, float("inf"))
    seconds = _SECONDS_PER_TYPE if request.seconds is None else request.seconds * len(batches)
    passes, spent = 0, 0.0
    while passes < _LEAST_PASSES or spent < seconds:
        for batch in batches:
            took = time_of(batch)
            best[batch] = min(best[batch], took)
            spent += took
        passes += 1
    suspects = sorted(find_cliffs(best), key=lambda c: -c.ratio)
    confirmed = [_confirmed(cliff, best, time_of) for cliff in suspects[:_MOST_CHECKED]]
    found = sorted((cliff for cliff in confirmed if cliff is not None), key=lambda c: c.batch)
    return Curve(t.name, iqkcpu.plan(w, 1).threshold or None, best, found, max(0, len(suspects) - _MOST_CHECKED))


def _confirmed(cliff: Cliff, seconds: Mapping[int, float], time_of: Callable[[int], float]) -> Cliff | None:
    """Return the cliff as pairs of runs show it, one right after the other, or None where they do not.

    What else the machine does comes and goes, so times of different moments are no proof.
    """
    candidates = [cliff.larger]
    following = min(b for b in seconds if b > cliff.batch)
    if following != cliff.larger and seconds[cliff.batch] > LIMIT * seconds[following]:
        candidates.append(following)
    shown: list[Cliff] = []
    for larger in candidates:
        ratios: list[float] = []
        for pairs in _PAIRS:
            ratios += [time_of(cliff.batch) / time_of(larger) for _ in range(pairs)]
            if statistics.median(ratios) <= LIMIT:
                break
        else:
            shown.append(Cliff(cliff.batch, larger, statistics.median(ratios)))
    return max(shown, key=lambda c: c.ratio, default=None)


def _text(curve: Curve) -> str:
    panel = "no panel" if curve.threshold is None else f"panel from {curve.threshold}"
    lines = [_cliff_text(group) for group in _neighbours(curve.cliffs)]
    if curve.unchecked:
        lines.append(f"{curve.unchecked} more may be: the machine is too busy to tell")
    lines = lines or ["no cliff"]
    return "\n".join([f"{curve.type:<12}{panel:<16}{lines[0]}", *(f"{'':<28}{line}" for line in lines[1:])])


def _neighbours(cliffs: Sequence[Cliff]) -> list[list[Cliff]]:
    """Return cliffs in groups of those before the same larger batch."""
    return [list(group) for _, group in itertools.groupby(cliffs, key=lambda c: c.larger)]


def _cliff_text(group: Sequence[Cliff]) -> str:
    first, last, worst = group[0], group[-1], max(c.ratio for c in group)
    if first is last:
        return f"batch {first.batch}: {worst:.2f} x the time of {first.larger}"
    return f"batches {first.batch} to {last.batch}: up to {worst:.2f} x the time of {first.larger}"

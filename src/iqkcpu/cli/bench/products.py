"""Products per type and batch, beside the machine's own limits."""

from __future__ import annotations

import time
from dataclasses import asdict

import typer

from .._machine import Peaks, as_json
from .._output import print_json
from . import plots
from .progress import Interruptible, progress
from .request import Request
from .timing import Result, Shares, measure

# One of each kind, and few enough for a minute.
USUAL_TYPES = (
    "BF16",
    "Q8_0",
    "Q6_K",
    "Q4_0",
    "Q4_1",
    "Q4_K",
    "IQ4_NL",
    "IQ4_K",
    "IQ3_S",
    "Q2_K",
    "IQ2_KS",
    "IQ2_XXS",
    "IQ2_KT",
    "IQ2_BN",
    "IQ1_S",
    "Q8_0_R8",
    "IQ4_K_R4",
)
USUAL_BATCHES = "1,8,64,512"
SWEEP_TYPES = ("Q8_0", "Q4_0", "Q4_K", "IQ4_K", "IQ2_XXS")
SWEEP_BATCHES = "1,2,3,4,5,6,8,10,12,16,24,32,48,64,96,128,192,256,384,512"
_SECONDS_IN_ALL = 30.0  # of measuring: a default run takes less than a minute
_SECONDS_PER_PEAKS = 3.0  # the peaks are measured again after so long
_HEADING = "type        bpw   batch  kernel       GFLOP/s  of peak      GB/s  of read"


def run(request: Request, *, sweep: bool) -> None:
    """Measure and print; the plot shows curves over the batch for a sweep, and bars otherwise."""
    threads = request.setting.threads
    cases = len(request.types) * len(request.batches)
    seconds = request.seconds_each(cases, _SECONDS_IN_ALL)
    if not (request.json or request.quiet):
        typer.echo(request.describe())
    if not request.json:
        typer.echo(_HEADING)
    results: list[Result] = []
    peaks, stale = Peaks.none(), 0.0
    with progress(cases, hidden=request.quiet, on_stderr=request.json) as advance, Interruptible() as run:
        for t in request.types:
            if time.monotonic() >= stale:  # what else runs on the machine comes and goes
                peaks = peaks.best(Peaks.measure(threads))
                stale = time.monotonic() + _SECONDS_PER_PEAKS
            for result in measure(t, request.batches, request.rows, request.cols, seconds):
                results.append(result)
                advance(None if request.json else _line(result, Shares.of(result, peaks, threads)))
    if request.json:
        document = {**as_json(request.setting), "peaks": asdict(peaks), "interrupted": run.interrupted}
        lines = [{**asdict(result), **asdict(Shares.of(result, peaks, threads))} for result in results]
        print_json({**document, "results": lines})
    elif not request.quiet:
        limits = [
            f"int8 {peaks.int8_gops * threads:.0f} GFLOP/s ({peaks.int8_instruction})",
            *([f"tiles {peaks.tile_gflops * threads:.0f} ({peaks.tile_instruction})"] if peaks.tile_gflops else []),
            f"float {peaks.float_gflops * threads:.0f} GFLOP/s",
            f"memory read {peaks.read_gbs:.1f} GB/s",
        ]
        typer.echo(f"peaks: {', '.join(limits)}")
    run.finish()
    if request.plot is not None:
        figure = plots.curves(results, peaks, request) if sweep else plots.bars(results, request)
        plots.save(request.plot, figure, quiet=request.quiet or request.json)


def _line(r: Result, shares: Shares) -> str:
    of_peak = "-" if shares.of_peak is None else f"{shares.of_peak:.0%}"
    return (
        f"{r.type:<10}{r.bpw:>5.3g}{r.batch:>8}  {r.kernel:<11}{r.gflops:>9.1f}{of_peak:>9}"
        f"{r.gbs:>10.2f}{shares.of_read:>9.0%}"
    )

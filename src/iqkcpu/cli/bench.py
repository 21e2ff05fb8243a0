"""`iqkcpu bench`: products per type and batch, beside the machine's own limits."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import typer

import iqkcpu

from ._machine import Peaks, as_json, choose, last_level_cache
from ._output import print_json
from ._weights import random_weights

# One of each kind, and few enough for a minute.
_DEFAULT_TYPES = (
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
_SECONDS_IN_ALL = 30.0  # of measuring: a default run takes less than a minute
_SECONDS_PER_PEAKS = 3.0  # the peaks are measured again after so long
_MOST_COPIES = 512 << 20  # bytes of weights that one type takes at most


@dataclass(frozen=True)
class Result:
    """The best of several runs of one product."""

    type: str
    bpw: float
    batch: int
    rows: int
    cols: int
    kernel: str
    seconds: float
    gflops: float
    """2 * rows * cols * batch operations a second."""
    gbs: float
    """Bytes of weights a second."""


@dataclass(frozen=True)
class Shares:
    """What a result reaches of the machine's limits."""

    of_peak: float | None
    """Share of the int8 peak of all threads, of the float peak for float types; the scalar tier has none."""
    of_read: float
    """Share of the memory's read rate."""


def bench(
    types: Annotated[
        list[str] | None,
        typer.Argument(help="Types to measure; by default one of each kind.", metavar="TYPES"),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Measure every type that can be multiplied.")] = False,
    batch: Annotated[str, typer.Option(help="Batches, separated by commas.")] = "1,8,64,512",
    rows: Annotated[int, typer.Option(min=1, help="Rows of the weights.")] = 4096,
    cols: Annotated[int, typer.Option(min=1, help="Columns of the weights (K).")] = 4096,
    threads: Annotated[int | None, typer.Option(help="Threads; by default the physical cores allowed.")] = None,
    isa: Annotated[str | None, typer.Option(help="Instruction set; by default the best.")] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds per type and batch; by default what makes 30 in all, at most 1."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no heading.")] = False,
) -> None:
    """Measure products per type and batch: GFLOP/s, GB/s of weights, and their shares of the machine's peaks.

    The peaks are measured in the same run. Each product is run again and again for a while, over copies of the
    weights that the last-level cache does not hold; the best run counts. Where one run would take too long, fewer
    rows are used.
    """
    setting = choose(isa, threads)
    chosen = _chosen_types(types or [], every, rows, cols)
    batches = _batches(batch)
    if seconds is None:
        seconds = min(1.0, _SECONDS_IN_ALL / (len(chosen) * len(batches)))
    if not (json or quiet):
        typer.echo(f"{setting.describe()}, weights {rows} x {cols}")
    if not json:
        typer.echo(_HEADING)
    results: list[Result] = []
    peaks, stale = Peaks.none(), 0.0
    interrupted = False
    with _progress(len(chosen) * len(batches), hidden=quiet, on_stderr=json) as advance:
        try:
            for t in chosen:
                if time.monotonic() >= stale:  # what else runs on the machine comes and goes
                    peaks = peaks.best(Peaks.measure(setting.threads))
                    stale = time.monotonic() + _SECONDS_PER_PEAKS
                for result in _measure(t, batches, rows, cols, seconds):
                    results.append(result)
                    advance(None if json else _line(result, _shares(result, peaks, setting.threads)))
        except KeyboardInterrupt:
            interrupted = True
    if json:
        document = {**as_json(setting), "peaks": asdict(peaks), "interrupted": interrupted}
        shares = [_shares(result, peaks, setting.threads) for result in results]
        lines = [{**asdict(result), **asdict(share)} for result, share in zip(results, shares, strict=True)]
        print_json({**document, "results": lines})
    elif not quiet:
        typer.echo(
            f"peaks: int8 {peaks.int8_gops * setting.threads:.0f} GFLOP/s ({peaks.int8_instruction}), "
            f"float {peaks.float_gflops * setting.threads:.0f} GFLOP/s, memory read {peaks.read_gbs:.1f} GB/s"
        )
    if interrupted:
        typer.echo("interrupted", err=True)
        raise typer.Exit(130)


_HEADING = "type        bpw   batch  kernel       GFLOP/s  of peak      GB/s  of read"


def _line(r: Result, shares: Shares) -> str:
    of_peak = "-" if shares.of_peak is None else f"{shares.of_peak:.0%}"
    return (
        f"{r.type:<10}{r.bpw:>5.3g}{r.batch:>8}  {r.kernel:<11}{r.gflops:>9.1f}{of_peak:>9}"
        f"{r.gbs:>10.2f}{shares.of_read:>9.0%}"
    )


def _shares(r: Result, peaks: Peaks, threads: int) -> Shares:
    of_floats = iqkcpu.Type(r.type).family == "float"
    peak = (peaks.float_gflops if of_floats else peaks.int8_gops) * threads
    return Shares(r.gflops / peak if peak else None, r.gbs / peaks.read_gbs)


def _chosen_types(names: list[str], every: bool, rows: int, cols: int) -> list[iqkcpu.Type]:
    # I2_S, with one scale behind all rows, has no views to measure: it is a type to convert from.
    able = [t for t in iqkcpu.types.values() if t._info.can_multiply and t.name != "I2_S"]
    try:
        if names:
            chosen = [iqkcpu.Type(name) for name in names]
        else:
            chosen = able if every else [t for t in map(iqkcpu.Type, _DEFAULT_TYPES) if t in able]
        for t in chosen:
            if t not in able:
                raise ValueError(f"{t.name} cannot be measured")
            if rows % t.interleave:
                raise ValueError(f"{t.name} stores {t.interleave} rows together: --rows {rows} is no multiple")
            t.row_bytes(cols)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return chosen


def _batches(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise typer.BadParameter(f"--batch takes numbers of at least 1, separated by commas, not {text!r}")
    return [int(part) for part in parts]


def _measure(t: iqkcpu.Type, batches: list[int], rows: int, cols: int, seconds: float) -> Iterator[Result]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((max(batches), cols), np.float32)
    w = random_weights(t, rows * _copies(rows * t.row_bytes(cols)), cols, rng)
    for batch in batches:
        used, best = _best_of(w, x[:batch], rows, seconds)
        gflops = 2e-9 * used * cols * batch / best
        gbs = 1e-9 * used * t.row_bytes(cols) / best
        yield Result(t.name, t.bpw, batch, used, cols, iqkcpu.plan(w, batch).kernel, best, gflops, gbs)


def _copies(matrix_bytes: int) -> int:
    """How many copies of a matrix take twice the last-level cache."""
    return max(1, min(-(-2 * last_level_cache() // matrix_bytes), _MOST_COPIES // matrix_bytes))


def _best_of(w: iqkcpu.QuantTensor, x: np.typing.NDArray[np.float32], rows: int, seconds: float) -> tuple[int, float]:
    """Rows per product and the shortest time of one, from runs that take `seconds` in all, at least two."""
    group = w.type.interleave
    few = min(rows, max(group, rows // 64 // group * group))
    per_row = _time(w, x, few, 0.0) / few
    fitting = int(seconds / 3 / per_row) // group * group
    rows = min(rows, max(few, fitting))
    return rows, _time(w, x, rows, seconds)


def _time(w: iqkcpu.QuantTensor, x: np.typing.NDArray[np.float32], rows: int, seconds: float) -> float:
    """Shortest time of the product with `rows` rows of w, taking other rows each time."""
    parts = w.shape[0] // rows
    out = np.empty((len(x), rows), np.float32)
    best, runs, start = np.inf, 0, time.perf_counter()
    while runs < 2 or time.perf_counter() - start < seconds:
        first = runs % parts * rows
        part = w[first : first + rows]
        begin = time.perf_counter()
        iqkcpu.mul_mat(part, x, out=out)
        best = min(best, time.perf_counter() - begin)
        runs += 1
    return best


@contextmanager
def _progress(total: int, *, hidden: bool, on_stderr: bool) -> Iterator[Callable[[str | None], None]]:
    """Yield a function that prints a line and advances: with a bar on a terminal, plainly elsewhere."""
    stream = sys.stderr if on_stderr else sys.stdout
    if hidden or not stream.isatty():
        yield lambda line: None if line is None else typer.echo(line)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("bench", total=total)

        def advance(line: str | None) -> None:
            if line is not None:
                bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            bar.advance(task)

        yield advance

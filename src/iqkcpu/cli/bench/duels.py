"""Peers and this library side by side, taking turns in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import typer

import iqkcpu

from .._machine import as_json
from .._output import print_json
from . import plots
from .peers import ALL, Peer, Problem, UnavailableError
from .progress import Interruptible, progress
from .request import Request
from .timing import copies, seconds_of

_ROUNDS = 7
_SECONDS_PER_TURN = 0.02
_GLANCE = 0.01  # seconds; see _rest
_MOST_SECONDS = 4.0  # per peer and batch: slow ones have fewer rounds
_MOST_BYTES = 256 << 20  # of the weights of one side
_MOST_COPIES = 64
_MOST_BATCH_OF_COPIES = 16  # beyond, the weights' way from memory does not matter: there is one matrix
_ROWS_TO_DECODE = 256


@dataclass(frozen=True)
class Outcome:
    """The best of several turns of a peer and of this library with the same problem."""

    peer: str
    type: str
    """Of this library's weights."""
    peer_bpw: float
    bpw: float
    batch: int
    """0: decoding."""
    rows: int
    cols: int
    copies: int
    threads: int
    peer_seconds: float
    """Per matrix, as `seconds`."""
    seconds: float
    peer_rate: float
    """GFLOP/s, or 10^9 weights a second where it is decoding; so is `rate`."""
    rate: float
    ratio: float
    """How many times as fast this library is."""


def run(request: Request) -> None:
    """Measure and print all peers, those that are missing as a line that says what to install.

    Raises:
        typer.BadParameter: no peer has any of the types.
    """
    names = {t.name for t in request.types}
    peers = [peer for peer in ALL if peer.type in names]
    if not peers:
        there = ", ".join(dict.fromkeys(peer.type for peer in ALL))
        raise typer.BadParameter(f"no peer has one of these types; there are peers of {there}")
    cases = [(peer, batch) for batch in request.batches for peer in peers if not peer.decodes]
    cases += [(peer, 0) for peer in peers if peer.decodes]
    if not (request.json or request.quiet):
        typer.echo(request.describe())
        typer.echo(_HEADING)
    outcomes: list[Outcome] = []
    missing: dict[str, None] = {}  # in order
    with progress(len(cases), hidden=request.quiet, on_stderr=request.json) as advance, Interruptible() as run:
        for peer, batch in cases:
            try:
                outcome = _duel(peer, batch, request)
            except UnavailableError as reason:
                first = str(reason) not in missing
                missing[str(reason)] = None
                advance(f"{peer.name:<26}{reason}" if first and not request.json else None)
                continue
            outcomes.append(outcome)
            advance(None if request.json else _line(outcome))
    if request.json:
        lines = [asdict(outcome) for outcome in outcomes]
        document = {**as_json(request.setting), "interrupted": run.interrupted, "missing": list(missing)}
        print_json({**document, "results": lines})
    elif not request.quiet:
        typer.echo("GFLOP/s, of decoding (batch -, one thread) 10^9 weights/s; ratio above 1: iqkcpu")
        typer.echo("is faster; int8 x: activations rounded to 8 bits as here, float x: not rounded")
    run.finish()
    if request.plot is not None:
        products = [outcome for outcome in outcomes if outcome.batch]
        plots.save(request.plot, plots.duels(products, request), quiet=request.quiet or request.json)


_HEADING = f"{'peer':<26}{'bpw':>5}  {'iqkcpu':<8}{'bpw':>6}{'batch':>7}{'peer':>9}{'iqkcpu':>9}{'ratio':>8}"


def _line(o: Outcome) -> str:
    batch = str(o.batch) if o.batch else "-"
    return (
        f"{o.peer:<26}{o.peer_bpw:>5.3g}  {o.type:<8}{o.bpw:>6.3g}{batch:>7}"
        f"{o.peer_rate:>9.3g}{o.rate:>9.3g}{o.ratio:>8.2f}"
    )


def _duel(peer: Peer, batch: int, request: Request) -> Outcome:
    t = iqkcpu.Type(peer.type)
    rows = _ROWS_TO_DECODE if peer.decodes else request.rows
    many = 0 < batch <= _MOST_BATCH_OF_COPIES
    matrix_bytes = int(rows * request.cols * max(peer.bpw, t.bpw) / 8)
    problem = Problem(
        rows=rows,
        cols=request.cols,
        batch=batch,
        copies=min(_MOST_COPIES, copies(matrix_bytes, _MOST_BYTES)) if many else 1,
        threads=1 if peer.decodes else request.setting.threads,
    )
    best = _take_turns(peer.prepare(problem).run, _ours(peer, problem), request.seconds)
    theirs, ours = (seconds / problem.copies for seconds in best)
    work = 1e-9 * rows * request.cols * (2 * batch if batch else 1)
    return Outcome(
        peer=peer.name,
        type=t.name,
        peer_bpw=peer.bpw,
        bpw=t.bpw,
        batch=batch,
        rows=rows,
        cols=request.cols,
        copies=problem.copies,
        threads=problem.threads,
        peer_seconds=theirs,
        seconds=ours,
        peer_rate=work / theirs,
        rate=work / ours,
        ratio=theirs / ours,
    )


def _ours(peer: Peer, problem: Problem) -> Callable[[], object]:
    matrices = problem.weights(peer.type)
    x = problem.x()
    out = np.empty(matrices[0].shape if peer.decodes else (problem.batch, problem.rows), np.float32)

    def decode() -> None:
        for w in matrices:
            w.dequantize(out, threads=problem.threads)

    def multiply() -> None:
        for w in matrices:
            iqkcpu.mul_mat(w, x, out=out, threads=problem.threads)

    return decode if peer.decodes else multiply


def _take_turns(
    first: Callable[[], object], second: Callable[[], object], seconds: float | None
) -> tuple[float, float]:
    """Return the shortest times of both: of `seconds` in all, or of a number of rounds."""
    best = [float("inf"), float("inf")]
    spent, rounds = 0.0, 0
    while rounds < 2 or (spent < _MOST_SECONDS and rounds < _ROUNDS if seconds is None else spent < seconds):
        for side, work in enumerate((first, second)):
            for took in _turn(work):
                best[side] = min(best[side], took)
                spent += took
        rounds += 1
    return best[0], best[1]


def _turn(work: Callable[[], object]) -> Iterator[float]:
    """Yield the times of passes."""
    _rest()
    spent, runs = 0.0, 0
    while runs < 2 or spent < _SECONDS_PER_TURN:
        took = seconds_of(work)
        yield took
        spent += took
        runs += 1


def _rest() -> None:
    """Wait until the other side's threads are at rest: those of OpenBLAS look for more work for 0.1 s, on our cores."""
    for _ in range(50):
        begin = time.process_time()
        time.sleep(_GLANCE)
        if time.process_time() - begin < _GLANCE / 4:
            return

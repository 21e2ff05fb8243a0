"""The figures of `--plot`. They need matplotlib, which is imported where one is drawn."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from iqkcpu.gguf._atomic import atomic_file

from .._files import failures
from .._machine import Peaks
from .request import Request
from .timing import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .duels import Outcome
    from .rank import Ranked

_FORMATS = (".pdf", ".png", ".svg")
_MARKERS = "osD^vP*X<>"
_DECODE_BATCHES = 16  # curves show bytes of weights up to here: beyond, the memory is not what limits


def check_target(path: Path) -> None:
    """Refuse a file that no figure can be written to, before anything is measured.

    Raises:
        typer.BadParameter: another format, no such directory, or matplotlib is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise typer.BadParameter(f"--plot writes {', '.join(_FORMATS)}, not {path.name!r}")
    if path.is_dir():
        raise typer.BadParameter(f"--plot: {path} is a directory")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"--plot: there is no directory {path.parent}")
    if importlib.util.find_spec("matplotlib") is None:
        raise typer.BadParameter("--plot needs matplotlib: pip install matplotlib, or the extra `plot`")


def save(path: Path, figure: Figure, *, quiet: bool) -> None:
    """Write a figure, complete or not at all."""
    image = io.BytesIO()
    figure.savefig(image, format=path.suffix[1:].lower(), dpi=120)
    with failures(), atomic_file(path) as file:
        file.write(image.getbuffer())
    if not quiet:
        typer.echo(f"wrote {path}")


def bars(results: Sequence[Result], request: Request) -> Figure:
    """Return bars of GFLOP/s by type, a panel per batch."""
    batches = list(dict.fromkeys(r.batch for r in results))
    figure = _figure(request, width=3 + 2.2 * len(batches), height=2 + 0.25 * len(request.types))
    axes = figure.subplots(1, len(batches), sharey=True, squeeze=False)[0]
    for ax, batch in zip(axes, batches, strict=True):
        chosen = [r for r in results if r.batch == batch]
        ax.barh([r.type for r in chosen], [r.gflops for r in chosen], color="C0")
        ax.set_title(f"batch {batch}")
        ax.set_xlabel("GFLOP/s")
        ax.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    return figure


def curves(results: Sequence[Result], peaks: Peaks, request: Request) -> Figure:
    """Return two panels over the batch: bytes of weights for decode, operations for prompts, each with its limit."""
    figure = _figure(request, width=11, height=5)
    decode, prompt = figure.subplots(1, 2)
    for (name, of_type), marker in zip(_by_type(results).items(), cycle(_MARKERS)):
        few = [r for r in of_type if r.batch <= _DECODE_BATCHES]
        decode.plot([r.batch for r in few], [r.gbs for r in few], marker=marker, label=name)
        prompt.plot([r.batch for r in of_type], [r.gflops for r in of_type], marker=marker, label=name)
    _limit(decode, peaks.read_gbs, "memory read")
    if peaks.int8_gops:
        _limit(prompt, peaks.int8_gops * request.setting.threads, "int8 peak")
    decode.set(title="Decode", ylabel="GB/s of weights", ylim=(0, None))
    prompt.set(title="Prompts", ylabel="GFLOP/s", yscale="log")
    for ax in (decode, prompt):
        _over_batches(ax)
    return figure


def times(by_type: Mapping[str, Mapping[int, float]], request: Request) -> Figure:
    """Return the time of a product over the batch."""
    figure = _figure(request, width=9, height=5)
    ax = figure.subplots()
    for name, seconds in by_type.items():
        ax.plot(list(seconds), [1e3 * s for s in seconds.values()], linewidth=1, label=name)
    ax.set(xlabel="batch", ylabel="milliseconds", ylim=(0, None), xlim=(0, None))
    ax.grid(alpha=0.3)
    ax.legend()
    return figure


def speed_and_error(rankings: Mapping[int, Sequence[Ranked]], request: Request) -> Figure:
    """Return a panel per batch: error over speed, the types that nothing beats joined by a line and named."""
    figure = _figure(request, width=6 * len(rankings), height=6)
    for ax, (batch, ranked) in zip(figure.subplots(1, len(rankings), squeeze=False)[0], rankings.items(), strict=True):
        known = [(r.gweights, r.error, r) for r in ranked if r.error]
        ax.scatter([x for x, _, _ in known], [y for _, y, _ in known], s=14, color="0.6")
        best = [(x, y, r) for x, y, r in known if r.best]
        ax.plot([x for x, _, _ in best], [y for _, y, _ in best], marker="o", color="C0")
        for (x, y, r), below in zip(best, cycle((3, -11))):  # neighbours' names apart
            ax.annotate(r.type, (x, y), textcoords="offset points", xytext=(6, below), fontsize=8)
        ax.set(title=f"batch {batch}", xlabel="10^9 weights x columns a second", ylabel="relative error", yscale="log")
        ax.margins(x=0.2)
        ax.grid(alpha=0.3, which="both")
    return figure


def duels(outcomes: Sequence[Outcome], request: Request) -> Figure:
    """Return a panel per batch, bars of GFLOP/s of each peer and of this library beside it."""
    batches = list(dict.fromkeys(o.batch for o in outcomes))
    figure = _figure(request, width=3 + 2.6 * len(batches), height=2 + 0.5 * len({o.peer for o in outcomes}))
    axes = figure.subplots(1, len(batches), squeeze=False)[0]
    for ax, batch in zip(axes, batches, strict=True):
        chosen = [o for o in outcomes if o.batch == batch]
        at = range(len(chosen))
        ax.barh([i - 0.2 for i in at], [o.peer_rate for o in chosen], height=0.4, color="0.6", label="peer")
        ax.barh([i + 0.2 for i in at], [o.rate for o in chosen], height=0.4, color="C0", label="iqkcpu")
        ax.set_yticks(list(at), [f"{o.peer}\n{o.type}" for o in chosen], fontsize=7)
        ax.invert_yaxis()
        ax.set(title=f"batch {batch}", xlabel="GFLOP/s")
        ax.grid(axis="x", alpha=0.3)
        ax.legend(fontsize=7)
    return figure


def _figure(request: Request, width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # no pyplot: it would look for a display

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(request.describe(), fontsize=9)
    return figure


def _by_type(results: Iterable[Result]) -> dict[str, list[Result]]:
    grouped: dict[str, list[Result]] = {}
    for r in results:
        grouped.setdefault(r.type, []).append(r)
    return grouped


def _limit(ax: Axes, value: float, label: str) -> None:
    ax.axhline(value, color="0.4", linestyle="--", linewidth=1, label=label)


def _over_batches(ax: Axes) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xlabel("batch")
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)

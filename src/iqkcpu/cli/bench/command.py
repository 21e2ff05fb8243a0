"""The options of `iqkcpu bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .._machine import choose
from . import cliffs, duels, peers, plots, products, rank
from .request import Request, chosen_types, measurable, parsed_batches


def bench(
    types: Annotated[
        list[str] | None,
        typer.Argument(help="Types to measure; by default one of each kind.", metavar="TYPES"),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Measure every type that can be multiplied.")] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Few types, many batches: speed over the batch.")] = False,
    with_peers: Annotated[bool, typer.Option("--peers", help="Other libraries beside this one.")] = False,
    ranked: Annotated[
        bool, typer.Option("--rank", help="Order types by speed, for decode and for prompts, with their errors.")
    ] = False,
    find_cliffs: Annotated[
        bool, typer.Option("--cliffs", help="Look for batches that take longer than larger ones.")
    ] = False,
    batch: Annotated[str | None, typer.Option(help="Batches, separated by commas; by default 1,8,64,512.")] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Rows of the weights; by default 4096, 512 with --cliffs.")
    ] = None,
    cols: Annotated[int, typer.Option(min=1, help="Columns of the weights (K).")] = 4096,
    threads: Annotated[int | None, typer.Option(help="Threads; by default the physical cores allowed.")] = None,
    isa: Annotated[str | None, typer.Option(help="Instruction set; by default the best.")] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds per type and batch; by default few enough for all of them."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the results (needs matplotlib).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no heading.")] = False,
) -> None:
    """Measure products per type and batch: GFLOP/s, GB/s of weights, and their shares of the machine's peaks.

    The peaks are measured in the same run. Each product is run again and again for a while, over copies of the
    weights that the last-level cache does not hold; the best run counts. Where one run would take too long, fewer
    rows are used. The options --sweep, --peers, --rank and --cliffs ask other questions.
    """
    if sum((sweep, with_peers, ranked, find_cliffs)) > 1:
        raise typer.BadParameter("--sweep, --peers, --rank and --cliffs exclude each other")
    if ranked and batch is not None:
        raise typer.BadParameter(f"--rank measures the batches {rank.DECODE} and {rank.PROMPT}: leave out --batch")
    if plot is not None:
        plots.check_target(plot)
    setting = choose(isa, threads)
    usual_types: Sequence[str] = products.USUAL_TYPES
    usual_batches = products.USUAL_BATCHES
    if sweep:
        usual_types, usual_batches = products.SWEEP_TYPES, products.SWEEP_BATCHES
    elif find_cliffs:
        usual_types, usual_batches = cliffs.USUAL_TYPES, cliffs.USUAL_BATCHES
    elif with_peers:
        usual_types = tuple(dict.fromkeys(peer.type for peer in peers.ALL))
    if every or ranked:
        usual_types = tuple(t.name for t in measurable())
    rows = rows or (cliffs.ROWS if find_cliffs else 4096)
    request = Request(
        setting=setting,
        types=chosen_types(types or [], usual_types, rows, cols),
        batches=parsed_batches(usual_batches if batch is None else batch),
        rows=rows,
        cols=cols,
        seconds=seconds,
        plot=plot,
        json=json,
        quiet=quiet,
    )
    if with_peers:
        duels.run(request)
    elif ranked:
        rank.run(request)
    elif find_cliffs:
        cliffs.run(request)
    else:
        products.run(request, sweep=sweep)

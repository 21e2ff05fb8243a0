"""`iqkcpu recommend`: which type each tensor of a model should get, for a size or an error."""

from __future__ import annotations

import importlib.util
import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from iqkcpu import Type
from iqkcpu._types import can_quantize, types
from iqkcpu.gguf._atomic import atomic_file
from iqkcpu.imatrix import for_tensors, read_imatrix
from iqkcpu.recipes import target_type
from iqkcpu.recommend.budget import Budget, parse_budget
from iqkcpu.recommend.candidates import items_of
from iqkcpu.recommend.measure import Item, count_steps, measure
from iqkcpu.recommend.output import OutputFile
from iqkcpu.recommend.plot import FORMATS, draw_front
from iqkcpu.recommend.solver import InfeasibleError
from iqkcpu.recommend.task import Recipe, Task

from ._files import check_output, failures, open_source
from ._machine import choose, count, last_level_cache
from ._quantize_report import warn_of_poor_types
from ._recommendation import Recommendation, out_of_reach

_FAMILIES = ("legacy", "kquants", "iquants", "iqk")
_SPECIAL = ("Q1_0_G128", "MXFP4", "NVFP4")  # for weights that were trained in them
_MOST_FOOTPRINT = 256 << 20  # bytes


def recommend(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="A GGUF or safetensors file, one of a split model, or a safetensors directory."
        ),
    ],
    budget: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="The most that the file may take: 12GiB, 8GB, 500MiB; or 4.5bpw of tensors."),
    ] = None,
    max_error: Annotated[float | None, typer.Option(metavar="E", help="The largest error, such as 0.005.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Tokens in a pass of the model, for the times.")] = 1,
    type_names: Annotated[
        str | None,
        typer.Option(
            "--types", metavar="T,T,...", help="Types to choose from; by default the usual ones, or to stay as it is."
        ),
    ] = None,
    imatrix: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An importance matrix: a GGUF file or one of the older form.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows of each tensor that errors are measured on.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the rows.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="RECIPE", help="Where to write the rules for `iqkcpu quantize --recipe`.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw error, size and speed that can be had.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace RECIPE and the plot where they exist.")] = False,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", help="Threads; by default the physical cores allowed.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose a type for each tensor: the smallest error for a size, or the least time for an error.

    The error of a tensor is the sum of squared differences over the sum of squares, columns weighted by the importance
    matrix, measured on some rows of it. That of the model is the mean over all weights that are quantized. The time is
    that of the products with them in one pass, measured on this machine. With --budget the error gets as small as it
    can, with --max-error, or with both, the time.
    """
    setting = choose(threads=threads)
    asked = _asked(budget, max_error)
    candidates = _candidates(type_names)
    _check_extras(plot)
    model = open_source(source)
    for path in (out, plot):
        if path is not None:
            check_output(path, model.paths, [imatrix], force=force)
    if out is not None and plot is not None and out.resolve() == plot.resolve():
        raise typer.BadParameter("--out and --plot name the same file")
    with failures():
        items, fitted = items_of(model, candidates, batch, stay=type_names is None)
        importance = _importance(imatrix, items)
        # More than caches hold, unless they hold the model.
        footprint = min(2 * last_level_cache(), sum(item.info.nbytes for item in items), _MOST_FOOTPRINT)
        with _progress(count_steps(items)) as advance:
            measured = measure(model, items, importance, rows=rows, seed=seed, footprint=footprint, progress=advance)
        made = OutputFile.of_model(model.metadata, model.infos, [item.info.name for item in items])
        task = Task(made, items, measured, asked, max_error)
        try:
            best, gap = task.best()
        except InfeasibleError as error:
            raise ValueError(out_of_reach(task, error.reachable)) from None
        warn_of_poor_types(_quantized(items, best), importance)
        uniform = {t.name: task.recipe(of) for t, of in fitted.items()}
        found = Recommendation(task, best, gap, uniform, source.name, setting, batch)
        picture = None if plot is None else _drawn(found, _format(plot))
        if out is not None:
            with atomic_file(out) as file:
                file.write(found.recipe_text().encode())
        if plot is not None and picture is not None:
            with atomic_file(plot) as file:
                file.write(picture)
        if json:
            found.print_json()
            return
        found.print_tables()
        for path in (out, plot):
            if path is not None:
                typer.echo(f"wrote {path}")


def _asked(budget: str | None, max_error: float | None) -> Budget | None:
    if budget is None and max_error is None:
        raise typer.BadParameter("ask for a --budget or a --max-error, or for both")
    if max_error is not None and not 0 <= max_error < math.inf:
        raise typer.BadParameter(f"--max-error {max_error} is no number of at least 0")
    try:
        return None if budget is None else parse_budget(budget)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _candidates(names: str | None) -> list[Type]:
    if names is None:
        return [
            t
            for t in types.values()
            if t.family in _FAMILIES and t.interleave == 1 and t.name not in _SPECIAL and can_quantize(t)
        ]
    try:
        return list(dict.fromkeys(target_type(name) for name in names.split(",")))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _check_extras(plot: Path | None) -> None:
    """Refuse what needs a package that is not there, or a plot of an unknown format."""
    needed = [("recommend", "scipy", "recommend")]
    if plot is not None:
        if _format(plot) not in FORMATS:
            raise typer.BadParameter(f"--plot {plot}: the name must end with .{', .'.join(FORMATS)}")
        needed.append(("--plot", "matplotlib", "plot"))
    for what, package, extra in needed:
        if importlib.util.find_spec(package) is None:
            raise typer.BadParameter(f"{what} needs {package}: pip install 'iqkcpu[{extra}]'")


def _importance(path: Path | None, items: Sequence[Item]) -> dict[str, NDArray[np.float32]]:
    """Return the importance of the columns of the items that have one, and say how many have none."""
    if path is None:
        return {}
    importance = for_tensors(read_imatrix(path), (item.info for item in items))
    without = len(items) - len(importance)
    if without:
        typer.echo(f"Warning: no importance matrix for {count(without, 'tensor')} of {len(items)}", err=True)
    return importance


def _quantized(items: Sequence[Item], recipe: Recipe) -> dict[str, Type]:
    """Return the types of those items that do not stay as they are, by their names."""
    pairs = zip(items, recipe.types, strict=True)
    return {item.info.name: t for item, t in pairs if t is not item.info.type}


def _drawn(found: Recommendation, format: str) -> bytes:
    """Return the plot."""
    picture, best = io.BytesIO(), found.best
    draw_front(
        picture,
        format,
        title=f"{found.source}: {best.bpw:.4g} bits per weight, error {best.error:.3g}, {1e3 * best.seconds:.3g} ms",
        batch=found.batch,
        front=found.task.front(found.uniform.values()),
        uniform=found.uniform,
        chosen=best,
    )
    return picture.getvalue()


def _format(plot: Path) -> str:
    return plot.suffix.removeprefix(".").lower()


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[str], object]]:
    """Yield what is called with a name after each step: a bar if errors go to a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measure", total=steps)

        def advance(name: str) -> None:
            bar.update(task, advance=1, description=name)

        yield advance

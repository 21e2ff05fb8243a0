"""`iqkcpu recommend`: which type each tensor of a model should get, for a size or an error."""

from __future__ import annotations

import importlib.util
import io
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from iqkcpu import LazyTensor, TensorInfo, Type
from iqkcpu._types import can_quantize, tensor_bytes, types
from iqkcpu.gguf._atomic import atomic_file
from iqkcpu.gguf.tensors import matrix_shape
from iqkcpu.gguf.writer import file_bytes
from iqkcpu.imatrix import for_tensor, read_imatrix
from iqkcpu.recipes import target_type
from iqkcpu.recommend.budget import Budget, parse_budget
from iqkcpu.recommend.measure import Item, Measured, Model, can_stay, count_steps, measure, products_of
from iqkcpu.recommend.plot import FORMATS, Point, draw_front
from iqkcpu.recommend.rules import family, recipe_lines
from iqkcpu.recommend.solver import Choice, InfeasibleError, Limits, Quantity, solve

from ._files import check_output, failures, size_text
from ._machine import Setting, as_json, choose, count, last_level_cache
from ._output import print_json, print_table
from .quantize import _SAME_TYPE, _metadata, _open, _step

_FAMILIES = ("legacy", "kquants", "iquants", "iqk")
_SPECIAL = ("Q1_0_G128", "MXFP4", "NVFP4")  # for weights that were trained in them
_MOST_FOOTPRINT = 256 << 20  # bytes
_FRONT_POINTS = 24
_FRONT_GAP, _FRONT_SECONDS = 1e-3, 2.0  # for each point, which is only looked at


@dataclass(frozen=True)
class _Task:
    """What there is to choose from."""

    infos: Mapping[str, TensorInfo]
    items: Sequence[Item]
    measured: Sequence[Mapping[Type, Measured]]
    fitted: Mapping[Type, Mapping[str, Type]]
    """For each candidate, what it becomes for the tensors: all of `items`."""
    budget: Budget | None
    head: int
    """Bytes of the file besides the items."""
    alignment: int

    @property
    def kept(self) -> int:
        """Bytes of the tensors that stay, whatever is chosen."""
        return sum(i.nbytes for i in self.infos.values()) - sum(item.info.nbytes for item in self.items)

    @property
    def weights(self) -> int:
        """Of all tensors."""
        return sum(info.size for info in self.infos.values())

    def choices(self) -> list[list[Choice]]:
        """For each item, what the solver chooses from. Sizes are padded as in the file if that is what is limited."""
        step = self.alignment if self.budget is not None and self.budget.nbytes is not None else 1
        in_all = sum(item.info.size for item in self.items)
        return [
            [
                Choice(
                    -(-_bytes(item, t) // step) * step, item.info.size / in_all * measured[t].error, measured[t].seconds
                )
                for t in item.types
            ]
            for item, measured in zip(self.items, self.measured, strict=True)
        ]

    def limits(self, max_error: float | None) -> Limits:
        """What the sums of the choices must not exceed."""
        if self.budget is None:
            return Limits(error=max_error)
        if self.budget.nbytes is not None:
            return Limits(size=self.budget.nbytes - self.head, error=max_error)
        assert self.budget.bpw is not None
        return Limits(size=math.floor(self.budget.bpw * self.weights / 8) - self.kept, error=max_error)


@dataclass(frozen=True)
class _Recipe:
    """A choice of types, and what it means for the model."""

    types: Mapping[str, Type]
    nbytes: int
    """Of all tensors, those that stay among them."""
    bpw: float
    error: float
    seconds: float

    @property
    def point(self) -> Point:
        return Point(self.bpw, self.error, self.seconds)


def recommend(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A GGUF or safetensors file, or one of a split model.")],
    budget: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="The most that the file may take: 12GiB, 8GB, 500MiB; or 4.5bpw of tensors."),
    ] = None,
    max_error: Annotated[
        float | None, typer.Option(metavar="E", help="The largest error: see above; such as 0.005.")
    ] = None,
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
    model = _open(source)
    for path in (out, plot):
        if path is not None:
            check_output(path, model.paths, force=force)
    if out is not None and out == plot:
        raise typer.BadParameter("--out and --plot name the same file")
    with failures():
        task = _task(model, asked, candidates, batch, stay=type_names is None)
        importance = _importance(imatrix, task.items)
        _warn(task, importance, given=imatrix is not None)
        footprint = min(2 * last_level_cache(), _MOST_FOOTPRINT)
        with _progress(count_steps(task.items)) as advance:
            measured = measure(
                model, task.items, importance, rows=rows, seed=seed, footprint=footprint, progress=advance
            )
        task = replace(task, measured=measured)
        best, gap = _best(task, max_error)
        uniform = {t.name: _recipe(task, of) for t, of in task.fitted.items()}
        if plot is not None:
            _draw(plot, task, best, uniform, source.name, batch)
        if out is not None:
            _write(out, task, best, source, setting, batch)
        if json:
            print_json(_document(task, best, uniform, gap, setting, batch, max_error))
        else:
            _print(task, best, uniform, gap, setting, batch, max_error)
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
        if plot.suffix.removeprefix(".").lower() not in FORMATS:
            raise typer.BadParameter(f"--plot {plot}: the name must end with .{', .'.join(FORMATS)}")
        needed.append(("--plot", "matplotlib", "plot"))
    for what, package, extra in needed:
        if importlib.util.find_spec(package) is None:
            raise typer.BadParameter(f"{what} needs {package}: pip install 'iqkcpu[{extra}]'")


def _task(model: Model, budget: Budget | None, candidates: Sequence[Type], batch: int, *, stay: bool) -> _Task:
    """Find out which tensors can get which types, by the rules of `iqkcpu quantize`."""
    fitted: dict[Type, dict[str, Type]] = {t: {} for t in candidates}
    items = []
    for info in model.infos.values():
        fitting = {}
        for t in candidates:
            step = _step(info, (), t)
            made = info.type if step.why == _SAME_TYPE else step.type
            if made is not None:
                fitting[t] = fitted[t][info.name] = made
        if fitting:
            stored = [info.type] if stay and info.type is not None and can_stay(info) else []
            products = products_of(info, model.infos, model.metadata, batch)
            items.append(Item(info, tuple(dict.fromkeys([*fitting.values(), *stored])), *products))
    if not items:
        raise ValueError(f"{model.paths[0]}: no tensor that could be quantized")
    chosen = {item.info.name for item in items}
    head, alignment = file_bytes(
        {i.name: _unmade(i, 0 if i.name in chosen else i.nbytes) for i in model.infos.values()}, _metadata(model)
    )
    everywhere = {t: of for t, of in fitted.items() if len(of) == len(items)}
    return _Task(model.infos, items, (), everywhere, budget, head, alignment)


def _unmade(info: TensorInfo, nbytes: int) -> LazyTensor:
    def make() -> Any:
        raise AssertionError("only its size was asked for")

    return LazyTensor(info.type_id, info.shape, nbytes, make)


def _importance(path: Path | None, items: Sequence[Item]) -> dict[str, NDArray[np.float32]]:
    found = {} if path is None else read_imatrix(path)
    importance = {}
    for item in items:
        name = item.info.name
        if name in found:
            try:
                importance[name] = for_tensor(found[name], matrix_shape(item.info.shape))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    return importance


def _warn(task: _Task, importance: Mapping[str, object], *, given: bool) -> None:
    without = sum(item.info.name not in importance for item in task.items)
    if given and without:
        typer.echo(f"Warning: no importance matrix for {count(without, 'tensor')} of {len(task.items)}", err=True)


def _best(task: _Task, max_error: float | None) -> tuple[_Recipe, float]:
    """Return the recommended recipe, and by what share it may be worse than the best."""
    objectives: tuple[Quantity, ...] = ("error", "seconds") if max_error is None else ("seconds", "size")
    choices, limits = task.choices(), task.limits(max_error)
    try:
        found = solve(choices, limits, objectives)
    except InfeasibleError as error:
        raise ValueError(_out_of_reach(task, limits, error.reachable)) from None
    return _recipe(task, _types(task, found.chosen)), found.gap


def _out_of_reach(task: _Task, limits: Limits, reachable: Limits) -> str:
    """Say which size and which error could be had."""
    if limits.size is not None and limits.error is not None:
        size_when, error_when = f" with an error of {limits.error:g}", " at this size"
    else:
        size_when = error_when = ""
    parts = []
    if reachable.size is not None:
        file, tensors = reachable.size + task.head, reachable.size + task.kept
        measure = f"{file} bytes ({size_text(file)})"
        if task.budget is not None and task.budget.bpw is not None:
            measure = f"{math.ceil(8e4 * tensors / task.weights) / 1e4:.4f} bits per weight ({size_text(tensors)})"
        parts.append(f"the smallest size{size_when} is {measure}")
    if reachable.error is not None:
        parts.append(f"the smallest error{error_when} is {reachable.error!r}")
    return f"no choice of these types does it: {', '.join(parts) or 'neither the size nor the error can be had'}"


def _types(task: _Task, chosen: Sequence[int]) -> dict[str, Type]:
    return {item.info.name: item.types[index] for item, index in zip(task.items, chosen, strict=True)}


def _bytes(item: Item, t: Type) -> int:
    return tensor_bytes(t, matrix_shape(item.info.shape))


def _recipe(task: _Task, chosen: Mapping[str, Type]) -> _Recipe:
    of_items = [
        (item, measured[chosen[item.info.name]]) for item, measured in zip(task.items, task.measured, strict=True)
    ]
    nbytes = task.kept + sum(_bytes(item, chosen[item.info.name]) for item in task.items)
    lost = math.fsum(item.info.size * m.error for item, m in of_items)
    return _Recipe(
        chosen,
        nbytes,
        8 * nbytes / task.weights,
        lost / sum(item.info.size for item in task.items),
        math.fsum(m.seconds for _, m in of_items),
    )


def _fits(task: _Task, recipe: _Recipe, max_error: float | None) -> bool:
    limits = task.limits(max_error)
    choices = task.choices()
    size = sum(
        c[item.types.index(recipe.types[item.info.name])].size for item, c in zip(task.items, choices, strict=True)
    )
    return (limits.size is None or size <= limits.size) and (limits.error is None or recipe.error <= limits.error)


def _front(task: _Task, uniform: Iterable[_Recipe]) -> list[_Recipe]:
    """Return the recipes of the smallest error for sizes between the smallest and that without error.

    The sizes of recipes of one type are among them, for what is to be seen is how much better one can do.
    """
    choices = task.choices()
    least = sum(min(c.size for c in of) for of in choices)
    most = sum(min((c.error, c.size) for c in of)[1] for of in choices)
    sizes = {math.ceil(size) for size in np.geomspace(max(1, least), max(1, most), _FRONT_POINTS)}
    sizes |= {max(least, recipe.nbytes - task.kept) for recipe in uniform}
    return [
        _recipe(task, _types(task, solve(choices, Limits(size=size), ("error",), _FRONT_SECONDS, _FRONT_GAP).chosen))
        for size in sorted(sizes)
    ]


def _draw(path: Path, task: _Task, best: _Recipe, uniform: Mapping[str, _Recipe], name: str, batch: int) -> None:
    picture = io.BytesIO()
    draw_front(
        picture,
        path.suffix.removeprefix(".").lower(),
        title=f"{name}: {best.bpw:.4g} bits per weight, error {best.error:.3g}, {1e3 * best.seconds:.3g} ms",
        batch=batch,
        front=[recipe.point for recipe in _front(task, uniform.values())],
        uniform={name: recipe.point for name, recipe in uniform.items()},
        chosen=best.point,
    )
    with atomic_file(path) as file:
        file.write(picture.getvalue())


def _write(path: Path, task: _Task, best: _Recipe, source: Path, setting: Setting, batch: int) -> None:
    """Write the recipe: a rule for each tensor that could be quantized, also where it is to stay as it is."""
    lines = [
        f"# For {source.name!a}, by `iqkcpu recommend`; use it without --type.",
        f"# Tensors: {best.nbytes} bytes, {best.bpw:.5g} bits per weight. Error: {best.error:.4g}.",
        f"# Products in a pass of {count(batch, 'token')}: {1e3 * best.seconds:.4g} ms on {setting.cpu!a}, "
        f"{setting.isa}, {count(setting.threads, 'thread')}.",
        *recipe_lines(best.types, task.infos),
    ]
    with atomic_file(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _document(
    task: _Task,
    best: _Recipe,
    uniform: Mapping[str, _Recipe],
    gap: float,
    setting: Setting,
    batch: int,
    max_error: float | None,
) -> dict[str, Any]:
    def totals(recipe: _Recipe) -> dict[str, Any]:
        return {"bytes": recipe.nbytes, "bpw": recipe.bpw, "error": recipe.error, "seconds": recipe.seconds}

    return {
        **as_json(setting),
        "batch": batch,
        **totals(best),
        "gap": gap,
        "tensors": [
            {
                "name": item.info.name,
                "type": best.types[item.info.name].name,
                "bytes": _bytes(item, best.types[item.info.name]),
                "error": of[best.types[item.info.name]].error,
                "seconds": of[best.types[item.info.name]].seconds,
            }
            for item, of in zip(task.items, task.measured, strict=True)
        ],
        "uniform": [
            {"type": name, **totals(recipe), "fits": _fits(task, recipe, max_error)} for name, recipe in uniform.items()
        ],
    }


def _print(
    task: _Task,
    best: _Recipe,
    uniform: Mapping[str, _Recipe],
    gap: float,
    setting: Setting,
    batch: int,
    max_error: float | None,
) -> None:
    typer.echo(f"{setting.describe()}, {count(batch, 'token')} in a pass")
    groups: dict[tuple[str, Type], list[tuple[Item, Measured]]] = {}
    for item, of in zip(task.items, task.measured, strict=True):
        t = best.types[item.info.name]
        groups.setdefault((family(item.info.name), t), []).append((item, of[t]))
    lines = []
    for (name, t), members in groups.items():
        size, nbytes = sum(i.info.size for i, _ in members), sum(_bytes(i, t) for i, _ in members)
        error = math.fsum(i.info.size * m.error for i, m in members) / size
        seconds = math.fsum(m.seconds for _, m in members)
        lines.append([name, str(len(members)), t.name, *_figures(nbytes, 8 * nbytes / size, error, seconds)])
    numbers = ["bpw", "size", "error", "ms"]
    print_table(["tensors", "count", "type", *numbers], lines, ["count", *numbers])
    typer.echo()
    rows = [
        [name, *_figures(r.nbytes, r.bpw, r.error, r.seconds), "yes" if _fits(task, r, max_error) else ""]
        for name, r in sorted(uniform.items(), key=lambda pair: pair[1].nbytes)
    ]
    rows.append(["recommended", *_figures(best.nbytes, best.bpw, best.error, best.seconds), "yes"])
    print_table(["everywhere", *numbers, "fits"], rows, numbers)
    typer.echo()
    proof = "no choice is better" if not gap else f"not proved the best, which is at most {100 * gap:.2g} % better"
    typer.echo(
        f"recommended: {best.nbytes} bytes of tensors ({size_text(best.nbytes)}), {best.bpw:.4g} bits per weight, "
        f"error {best.error:.4g}, {1e3 * best.seconds:.4g} ms: {proof}"
    )


def _figures(nbytes: int, bpw: float, error: float, seconds: float) -> list[str]:
    return [f"{bpw:.4g}", size_text(nbytes), f"{error:.3g}", f"{1e3 * seconds:.3g}"]


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

"""`iqkcpu repack`: a GGUF file whose weights are stored as products like them best."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqkcpu import GGUFModel, LazyTensor, QuantTensor, TensorInfo, repack_plan, save_gguf
from iqkcpu import repack as repack_tensor
from iqkcpu.gguf.reader import LOOKED_UP
from iqkcpu.gguf.tensors import Tensor

from ._files import check_output, failures, open_model, size_text
from ._machine import choose, count
from ._output import print_table


@dataclass(frozen=True)
class _Step:
    """What becomes of a tensor."""

    info: TensorInfo
    type_id: int
    type_name: str
    nbytes: int
    why: str


def repack(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A GGUF file, or one of a split model.")],
    target: Annotated[Path | None, typer.Argument(metavar="OUT", help="The file to write.")] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Repack tensors in whose names this is found; by default all but look-ups."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, write nothing.")] = False,
    inplace: Annotated[
        bool, typer.Option("--inplace", help="Replace IN by the new file when that is complete.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT where it exists.")] = False,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", help="Threads; by default the physical cores allowed.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Write a GGUF file in which rows are stored together wherever the type has such a form.

    Weights keep their values. Products with such files need no preparation: the file is mapped and used as it is.
    Embeddings, whose rows are looked up one by one, stay as they are unless --only names them, and so does F16, which
    would lose precision. Files of a split model become one.
    """
    choose(threads=threads)
    model = open_model(source)
    out = _output(model, source, target, inplace=inplace, force=force, needed=not dry_run)
    chosen = _pattern(only, model)
    with failures():
        steps = _plan(model, chosen)
        if not quiet:
            _report(steps)
        if dry_run or out is None:
            return
        with _progress(sum(s.nbytes for s in steps), hidden=quiet) as progress:
            save_gguf(out, {s.info.name: _lazy(model, s) for s in steps}, model.metadata, progress=progress)
        if not quiet:
            typer.echo(f"wrote {out}: {count(len(steps), 'tensor')}, {size_text(out.stat().st_size)}")


def _output(
    model: GGUFModel, source: Path, target: Path | None, *, inplace: bool, force: bool, needed: bool
) -> Path | None:
    """Where to write; None where nothing is to be written.

    Raises:
        typer.BadParameter: the arguments do not say, or say something that must not be.
    """
    if inplace and target is not None:
        raise typer.BadParameter("OUT and --inplace exclude each other")
    if inplace and len(model.paths) > 1:
        raise typer.BadParameter("--inplace is for one file, IN is a split model: name an OUT, which joins its files")
    if inplace:
        return source if needed else None
    if target is None:
        if needed:
            raise typer.BadParameter("name an OUT, or ask for --inplace or --dry-run")
        return None
    check_output(target, model.paths, force=force or not needed, instead=": ask for --inplace to replace it")
    return target


def _pattern(only: str | None, model: GGUFModel) -> re.Pattern[str] | None:
    if only is None:
        return None
    try:
        pattern = re.compile(only)
    except re.error as error:
        raise typer.BadParameter(f"--only {only!r} is no regular expression: {error}") from None
    if not any(pattern.search(name) for name in model):
        raise typer.BadParameter(f"--only {only!r} matches no tensor; `iqkcpu inspect` lists their names")
    return pattern


def _plan(model: GGUFModel, only: re.Pattern[str] | None) -> list[_Step]:
    return [_step(model[name], info, only) for name, info in model.infos.items()]


def _step(tensor: Tensor, info: TensorInfo, only: re.Pattern[str] | None) -> _Step:
    def left(why: str) -> _Step:
        return _Step(info, info.type_id, info.type_name, info.nbytes, why)

    if only is not None and not only.search(info.name):
        return left("not chosen by --only")
    if only is None and LOOKED_UP.search(info.name):
        return left("rows are looked up one by one")
    if not isinstance(tensor, QuantTensor):
        if info.type is None:
            return left("no type of weights")
        return left(
            f"{info.type_name} has no repacked form" + ("" if info.type.repacked is None else " of equal precision")
        )
    plan = repack_plan(tensor)
    if plan.target is None:
        return left(plan.why)
    return _Step(info, plan.target.id, plan.target.name, plan.nbytes, plan.why)


def _lazy(model: GGUFModel, step: _Step) -> LazyTensor:
    name = step.info.name

    def make() -> Tensor:
        tensor = model[name]
        if step.type_id == step.info.type_id or not isinstance(tensor, QuantTensor):
            return tensor
        repacked = repack_tensor(tensor)
        model.release(name)
        return repacked

    return LazyTensor(step.type_id, step.info.shape, step.nbytes, make)


def _report(steps: list[_Step]) -> None:
    """Say what becomes of each type, and why."""
    tensors: Counter[tuple[str, str, str]] = Counter()
    sizes: Counter[tuple[str, str, str]] = Counter()
    for s in steps:
        same = s.type_id == s.info.type_id
        key = (s.info.type_name, "stays" if same else s.type_name, s.why)
        tensors[key] += 1
        sizes[key] += s.nbytes
    rows = [[*key[:2], str(n), size_text(sizes[key]), key[2]] for key, n in sorted(tensors.items())]
    print_table(["type", "becomes", "tensors", "size", "why"], rows, ["tensors", "size"])


@contextmanager
def _progress(total: int, *, hidden: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what `save_gguf` reports its progress to: a bar on a terminal."""
    if hidden or not sys.stdout.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("repack", total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)

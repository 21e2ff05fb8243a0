"""`iqkcpu quantize`: a GGUF file of quantized weights, made from one of floats."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import typer
from numpy.typing import NDArray

from iqkcpu import GGUFModel, LazyTensor, Metadata, QuantTensor, TensorInfo, Type, save_gguf
from iqkcpu import quantize as quantize_tensor
from iqkcpu._types import fallback, tensor_bytes
from iqkcpu.gguf.reader import LOOKED_UP
from iqkcpu.gguf.tensors import Tensor, matrix_shape
from iqkcpu.imatrix import for_tensor, read_imatrix
from iqkcpu.recipes import Rule, first_match, parse_rules, read_recipe, target_type
from iqkcpu.safetensors import SafetensorsModel

from ._files import check_output, failures, open_model, size_text
from ._machine import choose, count
from ._output import print_table

Model: TypeAlias = GGUFModel | SafetensorsModel
_NORM = re.compile(r"norm")
_ROUTER = re.compile(r"\.ffn_gate_inp\b")
_FLOATS = ("F32", "F16", "BF16", "F64")
_MOST_NAMES = 8  # of tensors in a line of the report
_SAME_TYPE = "is of this type"
_QUANTIZATION_VERSION = 2  # of the layouts of GGUF's blocks


@dataclass(frozen=True)
class _Step:
    """What becomes of a tensor."""

    info: TensorInfo
    type: Type | None
    """None: it is copied."""
    nbytes: int
    why: str
    rule: Rule | None

    @property
    def type_id(self) -> int:
        return self.info.type_id if self.type is None else self.type.id

    @property
    def type_name(self) -> str:
        return self.info.type_name if self.type is None else self.type.name


def quantize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A GGUF or safetensors file, or one of a split model.")],
    target: Annotated[Path | None, typer.Argument(metavar="OUT", help="The GGUF file to write.")] = None,
    type_name: Annotated[
        str | None,
        typer.Option("--type", metavar="T", help="For tensors that no rule meets; without it they stay as they are."),
    ] = None,
    custom_q: Annotated[
        str | None, typer.Option("--custom-q", metavar="REGEX=TYPE,...", help="Rules by name; the first match wins.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="More rules, one per line, # begins a comment; they come after --custom-q."),
    ] = None,
    imatrix: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An importance matrix: a GGUF file or one of the older form.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print types and sizes, write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT where it exists.")] = False,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", help="Threads; by default the physical cores allowed.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Write a GGUF file of quantized weights.

    Norms and vectors keep their floats, and so do routers that no rule names. Rows that the block of the type does not
    divide get the usual type of a smaller block; what fits no block stays as it is. The output says which.
    """
    choose(threads=threads)
    rules, default = _rules(type_name, custom_q, recipe)
    model = _open(source)
    out = _output(model, target, force=force, needed=not dry_run)
    with failures():
        steps = [_step(info, rules, default) for info in model.infos.values()]
        columns = {} if imatrix is None else _columns(read_imatrix(imatrix), steps)
        if not quiet:
            _report(steps, rules, each=dry_run)
            _warn(steps, columns)
        if out is None:
            return
        with _progress(steps, hidden=quiet) as begin:
            save_gguf(
                out, {s.info.name: _lazy(model, s, columns.get(s.info.name), begin) for s in steps}, _metadata(model)
            )
        if not quiet:
            typer.echo(f"wrote {out}: {count(len(steps), 'tensor')}, {size_text(out.stat().st_size)}")


def _open(source: Path) -> Model:
    if source.suffix != ".safetensors" or not source.is_file():
        return open_model(source)
    with failures():
        return SafetensorsModel(source)


def _metadata(model: Model) -> Metadata:
    """Return the metadata of the file to write."""
    return model.metadata.without("general.file_type") | {
        "general.quantization_version": np.uint32(_QUANTIZATION_VERSION)
    }


def _columns(imatrix: Mapping[str, NDArray[np.float32]], steps: Sequence[_Step]) -> dict[str, NDArray[np.float32]]:
    """Return the importance of the columns of each tensor that is to be quantized and has one."""
    columns = {}
    for s in steps:
        if s.type is not None and s.info.name in imatrix:
            try:
                columns[s.info.name] = for_tensor(imatrix[s.info.name], matrix_shape(s.info.shape))
            except ValueError as error:
                raise ValueError(f"{s.info.name}: {error}") from None
    return columns


def _warn(steps: Sequence[_Step], columns: Mapping[str, object]) -> None:
    """Say which tensors get a type that is poor without an importance matrix, and have none."""
    poor = [s for s in steps if s.type is not None and s.type.needs_imatrix and s.info.name not in columns]
    if poor:
        types = ", ".join(sorted({s.type_name for s in poor}))
        typer.echo(f"Warning: no importance matrix for {_listed(poor)}: {types} gives poor weights without", err=True)


def _rules(type_name: str | None, custom_q: str | None, recipe: Path | None) -> tuple[list[Rule], Type | None]:
    if type_name is None and custom_q is None and recipe is None:
        raise typer.BadParameter("ask for a --type, or for rules by --custom-q or --recipe")
    try:
        default = None if type_name is None else target_type(type_name)
        rules = [] if custom_q is None else parse_rules(custom_q)
        return rules + ([] if recipe is None else read_recipe(recipe)), default
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def _output(model: Model, target: Path | None, *, force: bool, needed: bool) -> Path | None:
    """Where to write; None where nothing is to be written.

    Raises:
        typer.BadParameter: the arguments do not say, or say something that must not be.
    """
    if not needed:
        return None
    if target is None:
        raise typer.BadParameter("name an OUT, or ask for --dry-run")
    check_output(target, model.paths, force=force)
    return target


def _step(info: TensorInfo, rules: Sequence[Rule], default: Type | None) -> _Step:
    rule = first_match(rules, info.name)

    def left(why: str) -> _Step:
        return _Step(info, None, info.nbytes, why, rule)

    if info.type is None and info.type_name not in _FLOATS:
        return left("no weights")
    if len(info.shape) < 2 or _NORM.search(info.name):
        return left("a vector" if len(info.shape) < 2 else "a norm")
    wanted = default if rule is None else rule.type
    if wanted is None:
        return left("no rule")
    if rule is None and _ROUTER.search(info.name):
        return left("a router")
    shape = matrix_shape(info.shape)
    if rule is None and wanted.base is not None and LOOKED_UP.search(info.name):
        wanted, why = wanted.base, "rows are looked up one by one"
    else:
        why = "" if rule is None else f"rule {rule}"
    fitting, reason = _fitting(wanted, shape)
    if fitting is None:
        return left(reason)
    if fitting.id == info.type_id:
        return left(_SAME_TYPE)
    return _Step(info, fitting, tensor_bytes(fitting, shape), reason or why, rule)


def _fitting(wanted: Type, shape: tuple[int, ...]) -> tuple[Type | None, str]:
    """Return the type that tensors of a shape get in place of the wanted one, and why if it is another."""
    rows, k = shape[-2:]
    why = ""
    if wanted.base is not None and rows % wanted.interleave:
        why = f"{rows} rows are not a multiple of the {wanted.interleave} that {wanted.name} stores together"
        wanted = wanted.base
    if k and k % wanted.block_size == 0:
        return wanted, why
    why = f"fallback: rows of {k} are not a multiple of the {wanted.block_size} in a block of {wanted.name}"
    usual = fallback(wanted)
    return (usual, why) if k and k % usual.block_size == 0 else (None, f"no block divides rows of {k}")


_Begin: TypeAlias = "Callable[[_Step], Callable[[int, int], None]]"


def _lazy(model: Model, step: _Step, columns: NDArray[np.float32] | None, begin: _Begin) -> LazyTensor:
    def make() -> Tensor:
        progress = begin(step)
        tensor = model[step.info.name]
        if step.type is None:
            return tensor
        try:
            made = quantize_tensor(_floats(tensor, step.info), step.type, columns, None, progress)
        except ValueError as error:
            raise ValueError(f"{step.info.name}: {error}") from None
        model.release(step.info.name)
        return made

    return LazyTensor(step.type_id, step.info.shape, step.nbytes, make)


def _floats(tensor: Tensor, info: TensorInfo) -> NDArray[Any]:
    """Return weights as an array of the shape of a QuantTensor."""
    if isinstance(tensor, QuantTensor):
        return tensor.dequantize()
    assert isinstance(tensor, np.ndarray)  # _step copies all else
    return tensor.reshape(matrix_shape(info.shape))


def _report(steps: Sequence[_Step], rules: Sequence[Rule], *, each: bool) -> None:
    """Say what becomes of each tensor or of each type, and why; how large it gets; what the rules left out."""
    if each:
        rows = [[s.info.name, s.info.type_name, s.type_name, _bpw([s]), size_text(s.nbytes), s.why] for s in steps]
        print_table(["tensor", "type", "becomes", "bpw", "size", "why"], rows, ["bpw", "size"])
    groups: dict[tuple[str, str, str], list[_Step]] = {}
    for s in steps:
        groups.setdefault((s.info.type_name, "stays" if s.type is None else s.type_name, s.why), []).append(s)
    rows = [
        [*key[:2], str(len(of)), _bpw(of), size_text(sum(s.nbytes for s in of)), key[2]]
        for key, of in sorted(groups.items())
    ]
    print_table(["type", "becomes", "tensors", "bpw", "size", "why"], rows, ["tensors", "bpw", "size"])
    before, after = (
        (sum(sizes) for sizes in zip(*((s.info.nbytes, s.nbytes) for s in steps), strict=True)) if steps else (0, 0)
    )
    typer.echo(f"in all: {size_text(before)} become {size_text(after)}, {_bpw(steps)} bits per weight")
    fired = Counter(str(s.rule) for s in steps if s.rule is not None)
    for rule in rules:
        if str(rule) not in fired:
            typer.echo(f"rule {rule} never fired")
    unmet = [s for s in steps if s.rule is None] if rules else []
    if unmet:
        typer.echo(f"met by no rule: {_listed(unmet)}")


def _listed(steps: Sequence[_Step]) -> str:
    """Return "2 tensors (a, b)"."""
    names = [s.info.name for s in steps]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{count(len(names), 'tensor')} ({', '.join(names[:_MOST_NAMES])}{more})"


def _bpw(steps: Sequence[_Step]) -> str:
    weights = sum(math.prod(s.info.shape) for s in steps)
    return f"{8 * sum(s.nbytes for s in steps) / max(1, weights):.4g}"


@contextmanager
def _progress(steps: Sequence[_Step], *, hidden: bool) -> Iterator[_Begin]:
    """Yield what is called as a tensor's turn comes, and returns what `quantize` reports to.

    A bar on a terminal, elsewhere a line per tensor.
    """
    if hidden or not sys.stdout.isatty():
        turn = iter(range(1, len(steps) + 1))

        def say(step: _Step) -> Callable[[int, int], None]:
            number = next(turn)
            if not hidden and step.type is not None:
                typer.echo(f"[{number}/{len(steps)}] {step.info.name}: {step.info.type_name} to {step.type_name}")
            return lambda done, of: None

        yield say
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("quantize", total=sum(s.info.size for s in steps if s.type is not None))
        begun = 0

        def advance(step: _Step) -> Callable[[int, int], None]:
            nonlocal begun
            first, size = begun, step.info.size
            begun += 0 if step.type is None else size
            bar.update(task, completed=first, description=step.info.name)
            return lambda done, of: bar.update(task, completed=first + size * done // max(1, of))

        yield advance

"""`iqkcpu quantize`: a GGUF file of quantized weights, made from one of floats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from iqkcpu import GGUFModel, Type
from iqkcpu.imatrix import for_tensors, read_imatrix
from iqkcpu.provenance import NoRecordsError
from iqkcpu.quantize_model import Model, Quantization
from iqkcpu.recipes import Rule, parse_rules, read_recipe, target_type
from iqkcpu.reuse import Donor
from iqkcpu.steps import plan_steps

from ._files import check_output, failures, open_model, open_source, size_text
from ._machine import choose, count
from ._quantize_progress import progress
from ._quantize_report import report_steps, warn_of_poor_types


def quantize(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="A GGUF or safetensors file, one of a split model, or a safetensors directory."
        ),
    ],
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
    reuse: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="An earlier OUT: tensors made to the same type from the same weights are copied. Repeatable.",
        ),
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

    After an interruption OUT.part keeps the finished tensors, and the same command goes on from there.
    """
    choose(threads=threads)
    rules, default = _rules(type_name, custom_q, recipe)
    model = open_source(source)
    out = _output(model, target, [recipe, imatrix], force=force, needed=not dry_run)
    earlier = [open_model(file) for file in reuse or []]
    with failures():
        steps = plan_steps(model.infos.values(), rules, default)
        made = {step.name: step.type for step in steps if step.type is not None}
        columns = (
            {}
            if imatrix is None
            else for_tensors(read_imatrix(imatrix), (step.info for step in steps if step.name in made))
        )
        if not quiet:
            report_steps(steps, rules, each=dry_run)
            warn_of_poor_types(made, columns)
        donors = [donor for file in earlier if (donor := _donor(file, quiet=quiet)) is not None]
        with progress(steps, hidden=quiet) as watcher:
            work = Quantization(model, steps, columns, donors, watcher)
            if out is None:
                work.find_reusable()
                return
            work.write(out)
        if not quiet:
            typer.echo(f"wrote {out}: {count(len(steps), 'tensor')}, {size_text(out.stat().st_size)}")


def _donor(model: GGUFModel, *, quiet: bool) -> Donor | None:
    """Return a file whose tensors may be reused; say of others that nothing is."""
    try:
        return Donor.of_model(model)
    except NoRecordsError as error:
        if not quiet:
            typer.echo(f"Warning: nothing of {model.paths[0]} is reused: {error}", err=True)
        return None


def _rules(type_name: str | None, custom_q: str | None, recipe: Path | None) -> tuple[list[Rule], Type | None]:
    if type_name is None and custom_q is None and recipe is None:
        raise typer.BadParameter("ask for a --type, or for rules by --custom-q or --recipe")
    try:
        default = None if type_name is None else target_type(type_name)
        rules = [] if custom_q is None else parse_rules(custom_q)
        return rules + ([] if recipe is None else read_recipe(recipe)), default
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def _output(
    model: Model, target: Path | None, others: Sequence[Path | None], *, force: bool, needed: bool
) -> Path | None:
    """Where to write; None where nothing is to be written.

    Raises:
        typer.BadParameter: the arguments do not say, or say something that must not be.
    """
    if not needed:
        return None
    if target is None:
        raise typer.BadParameter("name an OUT, or ask for --dry-run")
    check_output(target, model.paths, others, force=force)
    return target

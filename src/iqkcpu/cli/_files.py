"""What the commands that work on files share."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from iqkcpu import GGUFError, GGUFModel, open_gguf
from iqkcpu.quantize_model import Model
from iqkcpu.safetensors import SafetensorsModel


def open_model(path: Path) -> GGUFModel:
    """Open a file for a command.

    Raises:
        typer.BadParameter: there is no such file: exit status 2.
        typer.Exit: it is damaged or cannot be read: a message on stderr, exit status 1.
    """
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, siblings, n=3)
        hint = f"; near matches: {', '.join(near)}" if near else ""
        raise typer.BadParameter(f"there is no file {path}{hint}")
    with failures():
        if path.is_dir():
            raise GGUFError(f"{path}: a directory, no GGUF file")
        return open_gguf(path)


def open_source(path: Path) -> Model:
    """Open a GGUF model, or one of safetensors files, for a command.

    Raises:
        typer.BadParameter, typer.Exit: as `open_model`.
    """
    if not path.exists() or not (path.is_dir() or path.suffix in (".safetensors", ".json")):
        return open_model(path)
    with failures():
        return SafetensorsModel(path)


def check_output(
    target: Path, inputs: Sequence[Path], others: Sequence[Path | None] = (), *, force: bool, instead: str = ""
) -> None:
    """Refuse a file to write that is no such file, is read from, or is there.

    Args:
        target: the file to write.
        inputs: the files of IN.
        others: what else is read, where it is given.
        force: whether a file that is there may be replaced.
        instead: what to do where it is IN.

    Raises:
        typer.BadParameter: exit status 2.
    """
    if target.is_dir():
        raise typer.BadParameter(f"{target} is a directory: name the file in it")
    if not target.parent.is_dir():
        raise typer.BadParameter(f"there is no directory {target.parent}")
    if target.exists():
        if any(target.samefile(path) for path in inputs):
            raise typer.BadParameter(f"{target} is IN{instead}")
        if any(path is not None and path.exists() and target.samefile(path) for path in others):
            raise typer.BadParameter(f"{target} is read too, and must not be replaced")
        if not force:
            raise typer.BadParameter(f"{target} exists: ask for --force to replace it")


@contextmanager
def failures() -> Iterator[None]:
    """Turn exceptions about files into a message and exit status 1, an interrupt into 130."""
    try:
        yield
    except (OSError, ValueError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(130) from None


def size_text(nbytes: int) -> str:
    """Return a size such as "4.38 GiB"."""
    size, units = float(nbytes), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    for larger in units:
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:.2f} {unit}"

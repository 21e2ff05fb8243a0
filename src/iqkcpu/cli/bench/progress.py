"""Showing how far a measurement is, and ending it early."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

import typer


@contextmanager
def progress(total: int, *, hidden: bool, on_stderr: bool) -> Iterator[Callable[[str | None], None]]:
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


class Interruptible:
    """A `with` block that Ctrl-C ends early: what was measured until then is kept and printed."""

    def __init__(self) -> None:
        self.interrupted = False

    def __enter__(self) -> Interruptible:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.interrupted = kind is KeyboardInterrupt
        return self.interrupted

    def finish(self) -> None:
        """Say so and leave, where the block was interrupted.

        Raises:
            typer.Exit: status 130.
        """
        if self.interrupted:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130)

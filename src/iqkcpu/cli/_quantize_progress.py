"""What `iqkcpu quantize` says while it works."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from iqkcpu.quantize_model import Watcher
from iqkcpu.reuse import Donor, Mismatch
from iqkcpu.steps import Step

from ._machine import count
from ._quantize_report import report_reuse

if TYPE_CHECKING:
    from rich.progress import Progress


class Quiet(Watcher):
    """Says only, after a failure, how to go on."""

    kept: Path | None = None

    def keeps(self, path: Path) -> None:
        """Remember it, for there may be a bar."""
        self.kept = path

    def say_how_to_go_on(self) -> None:
        """Say what keeps what is done, if anything does."""
        if self.kept is not None:
            typer.echo(f"{self.kept} keeps what is done: the same command goes on from there", err=True)


class Lines(Quiet):
    """A line per tensor."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._turn = 0
        self._to_make = [step for step in steps if step.type is not None]

    def finds(self, donors: Mapping[str, Donor], mismatches: Mapping[str, Mismatch]) -> None:
        """Say what is reused, and why the rest is not."""
        report_reuse(donors, mismatches)

    def resumes(self, path: Path, whole: int) -> None:
        """Say how much an interrupted run left."""
        typer.echo(f"goes on with {path}: {whole} of {count(len(self._to_make), 'tensor')} can be used")

    def discards(self, path: Path) -> None:
        """Say that a part is of no use."""
        typer.echo(f"Warning: {path} is damaged: all is made anew", err=True)

    def begins(self, step: Step, donor: Donor | None) -> Callable[[int, int], object]:
        """Say which tensor comes."""
        self._turn += 1
        if step.type is not None:
            how = "" if donor is None else f", from {donor.name}"
            typer.echo(f"[{self._turn}/{len(self._steps)}] {step.name}: {step.info.type_name} to {step.type_name}{how}")
        return lambda done, of: None


class Bar(Lines):
    """A bar."""

    def __init__(self, steps: Sequence[Step], bar: Progress) -> None:
        super().__init__(steps)
        self._bar = bar
        self._task = bar.add_task("", total=sum(step.info.size for step in self._to_make))
        self._begun = 0

    def checks(self, step: Step) -> None:
        """Show which tensor's weights are read."""
        self._bar.update(self._task, description=f"checking {step.name}")

    def begins(self, step: Step, donor: Donor | None) -> Callable[[int, int], object]:
        """Show which tensor comes, and what is done before it."""
        first, size = self._begun, 0 if step.type is None else step.info.size
        self._begun += size
        self._bar.update(self._task, completed=first, description=step.name)
        return lambda done, of: self._bar.update(self._task, completed=first + size * done // max(1, of))


@contextmanager
def progress(steps: Sequence[Step], *, hidden: bool) -> Iterator[Watcher]:
    """Yield what is told of the work: a bar on a terminal, elsewhere a line per tensor."""
    with ExitStack() as shown:
        watcher = _watcher(steps, shown, hidden=hidden)
        try:
            yield watcher
        finally:
            shown.close()
            watcher.say_how_to_go_on()


def _watcher(steps: Sequence[Step], shown: ExitStack, *, hidden: bool) -> Quiet:
    if hidden or not sys.stdout.isatty():
        return Quiet() if hidden else Lines(steps)
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Bar(steps, shown.enter_context(Progress(*columns, transient=True)))

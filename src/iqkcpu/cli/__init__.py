"""The command line, `iqkcpu`: one module per command.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from typing import Annotated

import typer

from iqkcpu import __version__

from .bench import bench
from .compare import compare
from .info import info
from .inspect import inspect
from .quantize import quantize
from .recommend import recommend
from .repack import repack
from .types import types

app = typer.Typer(
    name="iqkcpu",
    help="Quantized matrix products on CPUs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(info)
app.command()(types)
app.command()(bench)
app.command()(inspect)
app.command()(compare)
app.command()(quantize)
app.command()(recommend)
app.command()(repack)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"iqkcpu {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    app()

"""How the commands print: tables on terminals, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import typer


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print a table; `numbers` names the columns that are set to the right."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, justify="right" if column in numbers else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        return
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = (
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for cell, column, width in zip(row, columns, widths, strict=True)
        )
        typer.echo("  ".join(cells).rstrip())


def print_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print a table in Markdown."""
    rules = ["---:" if column in numbers else "---" for column in columns]
    for row in (columns, rules, *rows):
        typer.echo(f"| {' | '.join(row)} |")


def print_json(document: object) -> None:
    """Print a JSON document."""
    typer.echo(json.dumps(document, indent=2))

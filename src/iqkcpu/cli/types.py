"""`iqkcpu types`: the table of types."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

import iqkcpu
from iqkcpu._types import can_quantize, tensor_bytes

from ._machine import as_json, choose
from ._output import print_json, print_markdown, print_table

_NUMBERS = ("id", "bpw", "block", "bytes", "header", "rows", "panel from batch")


def types(
    isa: Annotated[str | None, typer.Option(help="Instruction set; by default the one in use.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """List the types: sizes, interleave, repacking, and what mul_mat does with them on this machine.

    "rows" is the number of rows stored together. From the batch in the last column on, a product unpacks the weights to
    a panel of the tier; smaller batches decode them in registers.
    """
    setting = choose(isa)
    lines = [_line(t) for t in iqkcpu.types.values()]
    if json:
        print_json({**as_json(setting), "types": lines})
        return
    columns = [
        "name",
        "id",
        "bpw",
        "block",
        "bytes",
        "header",
        "rows",
        "repacks to",
        "does",
        "tier",
        _NUMBERS[-1],
    ]
    rows = [
        [
            str(line["name"]),
            str(line["id"]),
            f"{line['bpw']:.4g}",
            str(line["block_size"]),
            str(line["block_bytes"]),
            str(line["row_meta_bytes"]),
            str(line["interleave"]),
            str(line["repacked"] or ""),
            " ".join(word for word in ("multiply", "quantize") if line[word]),
            str(line["tier"] or ""),
            "" if line["threshold"] is None else str(line["threshold"]),
        ]
        for line in lines
    ]
    (print_markdown if markdown else print_table)(columns, rows, _NUMBERS)


def _line(t: iqkcpu.Type) -> dict[str, object]:
    multiply = t._info.can_multiply
    return {
        "name": t.name,
        "id": t.id,
        "family": t.family,
        "bpw": t.bpw,
        "block_size": t.block_size,
        "block_bytes": t.block_bytes,
        "row_meta_bytes": t.row_meta_bytes,
        "interleave": t.interleave,
        "base": t.base and t.base.name,
        "repacked": t.repacked and t.repacked.name,
        "needs_imatrix": t.needs_imatrix,
        "multiply": multiply,
        "quantize": can_quantize(t),
        "tier": t._info.tier,
        "threshold": _threshold(t) if multiply else None,
    }


def _threshold(t: iqkcpu.Type) -> int | None:
    """First batch of the panel on the instruction set in use, if there is one; a small matrix tells."""
    shape = (t.interleave, 256)
    raw = np.zeros(tensor_bytes(t, shape), np.uint8)
    return iqkcpu.plan(iqkcpu.QuantTensor(raw, t, shape), 1).threshold or None

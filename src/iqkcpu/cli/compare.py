"""`iqkcpu compare`: how far the tensors of two files are from each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from iqkcpu import GGUFModel, QuantTensor, RawTensor

from ._files import failures, open_model
from ._output import print_json, print_table

_SLICE = 1 << 22  # weights that are decoded at a time


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A GGUF file, or one of a split model: the reference.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The file to compare with it.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the error of each tensor of B against that of A, worst first.

    The error is the sum of squared differences over the sum of squares in A. Tensors that only one file has, or whose
    shapes differ, are listed behind.
    """
    first, second = open_model(a), open_model(b)
    with failures():
        both = [name for name in first if name in second]
        lines = [_line(first, second, name) for name in both]
    lines.sort(key=lambda line: -math.inf if line["error"] is None else float(line["error"]), reverse=True)
    alone = {
        "only in A": [name for name in first if name not in second],
        "only in B": [name for name in second if name not in first],
    }
    if json:
        print_json({"tensors": [line | {"error": _finite(line["error"])} for line in lines], **alone})
        return
    columns = ["tensor", "A", "B", "error", "largest difference"]
    print_table(columns, [[_text(line[column]) for column in columns] for line in lines], columns[3:])
    for where, names in alone.items():
        for name in names:
            typer.echo(f"{where}: {name}")


def _line(first: GGUFModel, second: GGUFModel, name: str) -> dict[str, Any]:
    """What is said of a tensor that both files have; error None: they cannot be compared."""
    infos = first.infos[name], second.infos[name]
    line: dict[str, Any] = {"tensor": name, "A": infos[0].type_name, "B": infos[1].type_name}
    x, y = first[name], second[name]
    if infos[0].shape != infos[1].shape or isinstance(x, RawTensor) or isinstance(y, RawTensor):
        return line | {"error": None, "largest difference": None}
    lost = power = largest = 0.0
    whole = "I2_S" in (line["A"], line["B"])  # it has no slices
    for p, q in zip(_slices(x, whole), _slices(y, whole), strict=True):
        wide = p.astype(np.float64)
        difference = np.abs(q.astype(np.float64) - wide)
        lost += float(np.square(difference).sum())
        power += float(np.square(wide).sum())
        largest = max(largest, float(difference.max(initial=0)))
    for model in (first, second):
        model.release(name)
    error = lost / power if power else math.inf if lost else 0.0
    return line | {"error": error, "largest difference": largest}


def _slices(tensor: QuantTensor | NDArray[Any], whole: bool) -> Iterator[NDArray[Any]]:
    """The numbers of a tensor, some rows at a time: how many depends on its shape only."""
    if isinstance(tensor, QuantTensor):
        for matrix in (tensor,) if tensor.ndim == 2 else (tensor[e] for e in range(len(tensor))):
            rows, k = matrix.shape
            step = rows if whole else _rows(rows, k)
            for i in range(0, rows, step):
                yield (matrix if step == rows else matrix[i : min(rows, i + step)]).dequantize()
        return
    k = tensor.shape[-1] if tensor.ndim else 1
    for array in tensor.reshape(-1, *tensor.shape[-2:]) if tensor.ndim > 2 else (tensor.reshape(-1, k),):
        step = len(array) if whole else _rows(len(array), k)
        for i in range(0, len(array), step):
            yield array[i : i + step]


def _rows(rows: int, k: int) -> int:
    """How many rows at a time, whole groups of any type."""
    return max(1, min(rows, max(1, _SLICE // (16 * max(1, k))) * 16))


def _finite(x: Any) -> float | None:
    return x if x is not None and math.isfinite(x) else None


def _text(x: Any) -> str:
    return "-" if x is None else x if isinstance(x, str) else f"{x:.4g}"

"""`iqkcpu inspect`: what a GGUF file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from iqkcpu import GGUFModel, TensorInfo

from ._files import open_model, size_text
from ._output import print_json, print_table

_MOST_TEXT = 60  # characters of a value
_MOST_ITEMS = 4  # of an array


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A GGUF file, or one of a split model.")],
    metadata: Annotated[bool, typer.Option("--metadata", help="Print the metadata too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the tensors of a GGUF file with their types and sizes, and what each type takes in all.

    A damaged file gives a message with the place of the damage, and exit status 1.
    """
    model = open_model(file)
    totals = _totals(model)
    if json:
        print_json(
            {
                "files": [str(path) for path in model.paths],
                "version": model.version,
                "alignment": model.alignment,
                "metadata": {key: _plain(value) for key, value in model.metadata.items()},
                "tensors": [
                    {
                        "name": i.name,
                        "type": i.type_name,
                        "type_id": i.type_id,
                        "shape": i.shape,
                        "file": i.shard,
                        "offset": i.offset,
                        "bytes": i.nbytes,
                        "bpw": _bpw(i.nbytes, i.size),
                    }
                    for i in model.infos.values()
                ],
                "types": totals,
            }
        )
        return
    for path in model.paths:
        typer.echo(str(path))
    typer.echo(f"GGUF version {model.version}, {len(model.metadata)} metadata keys, {len(model)} tensors")
    if metadata:
        typer.echo()
        rows = [[key, model.metadata.kind(key), _text(value)] for key, value in model.metadata.items()]
        print_table(["key", "kind", "value"], rows)
    typer.echo()
    tensors = [
        [i.name, i.type_name, " x ".join(map(str, i.shape)), str(i.nbytes), _bpw_text(i.nbytes, i.size)]
        for i in model.infos.values()
    ]
    print_table(["tensor", "type", "shape", "bytes", "bpw"], tensors, ["bytes", "bpw"])
    typer.echo()
    lines = [
        [
            str(t["type"]),
            str(t["tensors"]),
            str(t["weights"]),
            str(t["bytes"]),
            size_text(t["bytes"]),
            _bpw_text(t["bytes"], t["weights"]),
        ]
        for t in (*totals, _in_all(totals))
    ]
    numbers = ["tensors", "weights", "bytes", "size", "bpw"]
    print_table(["type", *numbers], lines, numbers)


def _totals(model: GGUFModel) -> list[dict[str, Any]]:
    """What each type takes, the largest first."""
    by_type: dict[str, list[TensorInfo]] = {}
    for info in model.infos.values():
        by_type.setdefault(info.type_name, []).append(info)
    totals = [_total(name, infos) for name, infos in by_type.items()]
    return sorted(totals, key=lambda t: -int(t["bytes"]))


def _total(name: str, infos: list[TensorInfo]) -> dict[str, Any]:
    weights, nbytes = sum(i.size for i in infos), sum(i.nbytes for i in infos)
    return {"type": name, "tensors": len(infos), "weights": weights, "bytes": nbytes, "bpw": _bpw(nbytes, weights)}


def _in_all(totals: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "in all"} | {key: sum(t[key] for t in totals) for key in ("tensors", "weights", "bytes")}


def _bpw(nbytes: int, weights: int) -> float | None:
    return 8 * nbytes / weights if weights else None


def _bpw_text(nbytes: int, weights: int) -> str:
    return f"{8 * nbytes / weights:.4g}" if weights else "-"


def _plain(value: Any) -> Any:
    """A value of metadata as JSON has it; NaN and infinity, which it has not, as text."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def _text(value: Any) -> str:
    """A value of metadata on one line: long text and arrays are cut."""
    if isinstance(value, (np.ndarray, list)):
        items = [_text(_plain(item)) for item in value[:_MOST_ITEMS]]
        more = [f"... {len(value)} in all"] if len(value) > _MOST_ITEMS else []
        return f"[{', '.join(items + more)}]"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 3]}..."

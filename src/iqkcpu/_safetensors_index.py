"""The index of a safetensors model: which of its files has which tensor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
_MOST_BYTES = 100_000_000


def model_file(directory: Path) -> Path:
    """Return what a directory has of a model: the index, or the only file.

    Raises:
        ValueError: it has neither.
    """
    for name in (INDEX_NAME, SINGLE_NAME):
        if (directory / name).exists():
            return directory / name
    raise ValueError(f"{directory}: the directory has neither {INDEX_NAME} nor {SINGLE_NAME}")


def read_index(path: Path) -> dict[str, Path]:
    """Return the file of each tensor: they lie beside the index.

    Raises:
        OSError: the index cannot be read.
        ValueError: it is damaged, names a file that is elsewhere, or one that is missing.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: too large for an index")
    try:
        index = json.loads(path.read_bytes(), object_pairs_hook=_object)
        weight_map = index["weight_map"]
        files = {name: _plain_name(name, file) for name, file in weight_map.items()}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        what = "it has no weight_map" if isinstance(error, (KeyError, TypeError, AttributeError)) else error
        raise ValueError(f"{path}: no index of a safetensors model, or a damaged one: {what}") from None
    if not files:
        raise ValueError(f"{path}: the index has no tensors")
    missing = sorted(file for file in set(files.values()) if not path.with_name(file).is_file())
    if missing:
        raise ValueError(f"{path}: shards are missing: {', '.join(missing[:3])}")
    return {name: path.with_name(file) for name, file in files.items()}


def check_index(path: Path, index: Mapping[str, Path], found: Iterable[tuple[str, Path]]) -> None:
    """Check that the files have the tensors that the index says, and no others.

    Raises:
        ValueError: they do not; the message names a tensor.
    """
    left = dict(index)
    for name, file in found:
        said = left.pop(name, None)
        if said is None:
            raise ValueError(f"{path}: {file.name} has a tensor {name!r} that is not in the index")
        if said != file:
            raise ValueError(f"{path}: {name!r} is in {file.name}, the index says {said.name}")
    for name, file in left.items():
        raise ValueError(f"{path}: the index says that {name!r} is in {file.name}, where it is not")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object of which no key is there twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is there twice")
        found[key] = value
    return found


def _plain_name(tensor: str, file: object) -> str:
    if not isinstance(file, str):
        raise ValueError(f"the file of {tensor!r} is no name")
    if file in ("", ".", "..") or any(c in file for c in "/\\\0"):
        raise ValueError(f"the file of {tensor!r} is {file!r}: files lie beside the index")
    return file

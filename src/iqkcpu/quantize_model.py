"""Quantizing a whole model into a GGUF file, which an interrupted run leaves in a state to go on from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._pieces import quantized_pieces
from ._tensor import QuantTensor
from .gguf import GGUFModel, Metadata, RawTensor
from .gguf._layout import Entry, Layout
from .gguf.part import PartFile, part_file
from .gguf.tensors import file_bytes, matrix_shape
from .provenance import (
    DIGESTS_KEY,
    Digest,
    NoRecordsError,
    Origin,
    Record,
    blank_records,
    origin_of,
    place_of_record,
    without_records,
)
from .reuse import Donor, Mismatch, Wanted, find_tensor
from .safetensors import SafetensorsModel
from .steps import Step

Model: TypeAlias = GGUFModel | SafetensorsModel
Columns: TypeAlias = Mapping[str, NDArray[np.float32]]
_LAYOUT_VERSION = 2  # of GGUF's blocks


def output_metadata(metadata: Metadata, quantized: Sequence[str]) -> Metadata:
    """Return the metadata of the file to write, with room for the records of its tensors.

    Args:
        metadata: that of the model.
        quantized: the names of the tensors that are quantized, in the order of the file.
    """
    kept = without_records(metadata).without("general.file_type")
    return kept | {"general.quantization_version": np.uint32(_LAYOUT_VERSION)} | blank_records(quantized)


class Watcher:
    """What is told of the work; to be overridden."""

    def checks(self, step: Step) -> None:
        """A tensor's weights are about to be compared with those that a file's tensor was made from."""

    def finds(self, donors: Mapping[str, Donor], mismatches: Mapping[str, Mismatch]) -> None:
        """These tensors are reused, these are not."""

    def resumes(self, path: Path, whole: int) -> None:
        """What another run left is used; so many of its tensors are."""

    def discards(self, path: Path) -> None:
        """What another run left is damaged."""

    def begins(self, step: Step, donor: Donor | None) -> Callable[[int, int], object]:
        """A tensor is about to be made, or copied from a donor; returns what hears of (rows done, rows in all)."""
        return lambda done, of: None

    def keeps(self, path: Path) -> None:
        """The work ends before its time, and this file keeps what is done."""


class Quantization:
    """A model, and what is to be made of it.

    Args:
        model: the weights.
        steps: what becomes of each tensor.
        columns: the importance matrices of tensors that have one, as `quantize` takes them.
        donors: files whose tensors are reused where they were made from the same.
        watcher: is told what happens.
    """

    def __init__(
        self, model: Model, steps: Sequence[Step], columns: Columns, donors: Sequence[Donor], watcher: Watcher
    ) -> None:
        self._model, self._steps, self._columns = model, steps, columns
        self._donors, self._watcher = donors, watcher
        self._origins: dict[str, Origin] = {}
        self._quantized = [step for step in steps if step.type is not None]

    def find_reusable(self, besides: Container[str] = ()) -> dict[str, Donor]:
        """Return which file has which of the tensors, but for some that need no file."""
        found: dict[str, Donor] = {}
        mismatches: dict[str, Mismatch] = {}
        if not self._donors:
            return found
        for step in self._quantized:
            if step.name in besides:
                continue
            donor = find_tensor(self._wanted(step), self._donors)
            if isinstance(donor, Donor):
                found[step.name] = donor
            else:
                mismatches[step.name] = donor
        self._watcher.finds(found, mismatches)
        return found

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the GGUF file.

        It appears under its name when it is complete. Until then, what is done is in `<path>.part`, also when the
        process is killed: another run goes on with those tensors that were made from the same weights and importances,
        by the same quantizers, and are whole. The file is the same, byte for byte, however it came about.

        Raises:
            ValueError: weights cannot be quantized, such as NaN; what this run began is taken away.
            OSError: writing failed.
        """
        names = [step.name for step in self._quantized]
        entries = {step.name: Entry(step.type_id, step.info.shape, step.nbytes) for step in self._steps}
        layout = Layout(entries, output_metadata(self._model.metadata, names))
        places = {name: place_of_record(number) for number, name in enumerate(names)}
        with part_file(path, layout, DIGESTS_KEY if names else None, self._watcher.keeps) as part:
            old = self._of_old(part)
            found = self.find_reusable(old) | old
            whole = old if part.continues else {}
            part.begin(len(old), [(places[name], donor.records[name].encoded()) for name, donor in whole.items()])
            # What the old part has comes first, so that another interruption does not lose it; then what others have.
            for step in sorted(self._steps, key=lambda step: (step.name not in old, step.name not in found)):
                donor = found.get(step.name)
                heard = self._watcher.begins(step, donor)
                if step.name in whole:
                    part.pad(step.name)
                elif step.type is None:
                    part.write(step.name, [file_bytes(self._model[step.name])])
                    self._model.release(step.name)
                elif donor is not None:
                    part.write(step.name, [donor.data(step.name)])
                    part.fill(places[step.name], donor.records[step.name].encoded())
                    donor.release(step.name)
                else:
                    part.fill(places[step.name], self._make(part, step, heard).encoded())

    def _make(self, part: PartFile, step: Step, heard: Callable[[int, int], object]) -> Record:
        """Quantize and write a tensor."""
        assert step.type is not None
        origin, digest = self._origin(step), Digest()
        pieces = quantized_pieces(self._weights(step), step.type, self._columns.get(step.name), heard)

        def digested() -> Iterator[memoryview]:
            for piece in pieces:
                data = file_bytes(piece)
                digest.update(data)
                yield data

        try:
            part.write(step.name, digested())
        except ValueError as error:
            raise ValueError(f"{step.name}: {error}") from None
        self._model.release(step.name)
        return Record(origin, str(digest))

    def _of_old(self, part: PartFile) -> dict[str, Donor]:
        """Return the tensors that another run left and that can be used."""
        if part.damaged:
            self._watcher.discards(part.path)
        if part.old is None:
            return {}
        usable: dict[str, Donor] = {}
        with contextlib.suppress(NoRecordsError):
            donor = Donor.of_part(part.old)
            usable = {step.name: donor for step in self._quantized if donor.mismatch(self._wanted(step)) is None}
        self._watcher.resumes(part.path, len(usable))
        return usable

    def _wanted(self, step: Step) -> Wanted:
        def origin() -> Origin:
            self._watcher.checks(step)
            return self._origin(step)

        return Wanted(step.name, step.type_id, step.info.shape, origin)

    def _origin(self, step: Step) -> Origin:
        if step.name not in self._origins:
            self._origins[step.name] = origin_of(self._model[step.name], self._columns.get(step.name))
        return self._origins[step.name]

    def _weights(self, step: Step) -> QuantTensor | NDArray[Any]:
        tensor = self._model[step.name]
        assert not isinstance(tensor, RawTensor)  # it is copied
        return tensor if isinstance(tensor, QuantTensor) else tensor.reshape(matrix_shape(step.info.shape))

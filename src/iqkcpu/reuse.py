"""Tensors that need not be made, because a file has them: made from the same weights, to the same type."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .gguf import GGUFModel, TensorInfo
from .gguf.part import OldPart
from .gguf.tensors import file_bytes
from .provenance import Origin, Record, digest_of, read_records


class Mismatch(enum.IntEnum):
    """Why a file does not have a tensor that is asked for; the later, the nearer it came."""

    NAME = enum.auto()
    SHAPE = enum.auto()
    TYPE = enum.auto()
    RECORD = enum.auto()
    SOURCE = enum.auto()
    IMATRIX = enum.auto()
    RESULT = enum.auto()

    def __str__(self) -> str:
        return _TEXTS[self]


_TEXTS = {
    Mismatch.NAME: "no tensor of that name",
    Mismatch.SHAPE: "another shape",
    Mismatch.TYPE: "another type",
    Mismatch.RECORD: "it is not said what they were made from",
    Mismatch.SOURCE: "made from other weights",
    Mismatch.IMATRIX: "made with another importance matrix",
    Mismatch.RESULT: "changed since they were made",
}


@dataclass(frozen=True)
class Wanted:
    """A tensor that is to be quantized."""

    name: str
    type_id: int
    shape: tuple[int, ...]
    origin: Callable[[], Origin]
    """Asked for only where a file has a tensor of this name, type and shape: it reads all of the weights."""


@dataclass(frozen=True)
class Donor:
    """A file whose tensors can be reused."""

    name: str
    infos: Mapping[str, TensorInfo]
    records: Mapping[str, Record]
    data: Callable[[str], memoryview]
    """Returns the bytes of a tensor."""
    release: Callable[[str], None] = lambda name: None
    """Lets go of the memory in which they are cached."""

    @staticmethod
    def of_model(model: GGUFModel) -> Donor:
        """Return a GGUF file, or a split model.

        Raises:
            NoRecordsError: nothing of it can be reused.
        """
        records = read_records(model.metadata)
        return Donor(str(model.paths[0]), model.infos, records, lambda name: file_bytes(model[name]), model.release)

    @staticmethod
    def of_part(part: OldPart) -> Donor:
        """Return what an interrupted run left.

        Raises:
            NoRecordsError: nothing of it can be reused.
        """
        return Donor(str(part.path), part.infos, read_records(part.metadata), lambda name: part.data(name).data)

    def mismatch(self, wanted: Wanted) -> Mismatch | None:
        """Return why the file does not have a tensor; None: it has."""
        info, record = self.infos.get(wanted.name), self.records.get(wanted.name)
        if info is None:
            return Mismatch.NAME
        if info.shape != wanted.shape:
            return Mismatch.SHAPE
        if info.type_id != wanted.type_id:
            return Mismatch.TYPE
        if record is None:
            return Mismatch.RECORD
        origin = wanted.origin()
        if record.origin.source != origin.source:
            return Mismatch.SOURCE
        if record.origin.imatrix != origin.imatrix:
            return Mismatch.IMATRIX
        found = digest_of(self.data(wanted.name))
        self.release(wanted.name)
        return None if found == record.result else Mismatch.RESULT


def find_tensor(wanted: Wanted, donors: Sequence[Donor]) -> Donor | Mismatch:
    """Return the first file that has a tensor; else why that which came nearest does not have it."""
    nearest = Mismatch.NAME
    for donor in donors:
        mismatch = donor.mismatch(wanted)
        if mismatch is None:
            return donor
        nearest = max(nearest, mismatch)
    return nearest

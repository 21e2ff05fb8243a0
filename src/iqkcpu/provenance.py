"""What quantized tensors were made from, as files record it.

For each tensor that `iqkcpu quantize` made, a file has three digests: of the weights that it was made from, of the
importance matrix, and of its own bytes. Equal digests of the first two mean equal bytes, as long as the quantizers stay
as they are; the third tells whether the bytes are still those that were made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._quantize import QUANTIZER_VERSION
from ._runtime import get_num_threads, isa
from ._tensor import QuantTensor
from .gguf import Metadata
from .gguf.tensors import Tensor, file_bytes

VERSION_KEY = "iqkcpu.quantize.version"
TENSORS_KEY = "iqkcpu.quantize.tensors"
DIGESTS_KEY = "iqkcpu.quantize.digests"
KEYS = (VERSION_KEY, TENSORS_KEY, DIGESTS_KEY)
"""Of the metadata: the version of the quantizers; names; digests of the tensors of these names, in the same order."""

_BYTES = 16  # of a digest
_NONE = "0" * (2 * _BYTES)
_WIDTH = 3 * len(_NONE) + 2  # of a record
_VALUE_HEAD, _STRING_HEAD = 16, 8  # bytes of GGUF before the first string of an array, and before each string
_CHUNK = 16 << 20  # bytes at a time, so that interrupts come in between


class Digest:
    """A digest of bytes that come one after the other."""

    def __init__(self, *context: object) -> None:
        self._hash = hashlib.blake2b(repr(context).encode(), digest_size=_BYTES)

    def update(self, data: memoryview) -> None:
        """Add bytes."""
        for at in range(0, len(data), _CHUNK):
            self._hash.update(data[at : at + _CHUNK])

    def __str__(self) -> str:
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Origin:
    """What a tensor is made from: digests."""

    source: str
    imatrix: str


@dataclass(frozen=True, slots=True)
class Record:
    """What a file says of a tensor."""

    origin: Origin
    result: str
    """The digest of its bytes."""

    def encoded(self) -> bytes:
        """Return it as files have it, always of the same length."""
        return f"{self.origin.source} {self.origin.imatrix} {self.result}".encode()


_BLANK = Record(Origin(_NONE, _NONE), _NONE)


class NoRecordsError(ValueError):
    """A file does not say what its tensors were made from, or says it of other quantizers."""


def origin_of(tensor: Tensor, imatrix: NDArray[np.float32] | None) -> Origin:
    """Return what a tensor will be made from.

    Weights that are already quantized are decoded, which may differ by a rounding between instruction sets: the one in
    use counts as part of them.
    """
    kind: tuple[object, ...]
    if isinstance(tensor, QuantTensor):
        kind = (tensor.type.name, tensor.shape, "" if tensor.type.family == "float" else isa())
    else:
        kind = (tensor.shape, str(getattr(tensor, "dtype", "")))
    return Origin(
        _digest_of_source(file_bytes(tensor), kind), _NONE if imatrix is None else _digest_of_imatrix(imatrix)
    )


def digest_of(data: memoryview, *context: object) -> str:
    """Return the digest of bytes, and of what they mean."""
    digest = Digest(*context)
    digest.update(data)
    return str(digest)


def _digest_of_source(data: memoryview, kind: tuple[object, ...]) -> str:
    """Return the digest of the digests of chunks, which threads compute: sources are large."""
    chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    with ThreadPoolExecutor(get_num_threads()) as pool:
        digests = list(pool.map(digest_of, chunks))
    return digest_of(memoryview("".join(digests).encode()), *kind)


def _digest_of_imatrix(imatrix: NDArray[np.float32]) -> str:
    return digest_of(np.ascontiguousarray(imatrix, "<f4").reshape(-1).view(np.uint8).data, imatrix.shape)


def blank_records(names: Sequence[str]) -> dict[str, Any]:
    """Return metadata with room for the records of tensors."""
    if not names:
        return {}
    return {
        VERSION_KEY: np.uint32(QUANTIZER_VERSION),
        TENSORS_KEY: list(names),
        DIGESTS_KEY: [_BLANK.encoded().decode()] * len(names),
    }


def place_of_record(number: int) -> int:
    """Return where the record of a tensor lies in the value of DIGESTS_KEY, as files have it."""
    return _VALUE_HEAD + number * (_STRING_HEAD + _WIDTH) + _STRING_HEAD


def record_bytes(name: str) -> int:
    """Return how many bytes of a file the record of a tensor takes, its name included."""
    return _STRING_HEAD + len(name.encode()) + _STRING_HEAD + _WIDTH


def read_records(metadata: Metadata) -> dict[str, Record]:
    """Return the records of a file by the names of tensors.

    Raises:
        NoRecordsError: there are none, or of other quantizers than these.
    """
    version, names, digests = (metadata.get(key) for key in KEYS)
    if not isinstance(names, list) or not isinstance(digests, list):
        raise NoRecordsError("it does not say what its tensors were made from")
    if version != QUANTIZER_VERSION:
        raise NoRecordsError(
            f"its tensors were made by version {version} of the quantizers, this is {QUANTIZER_VERSION}"
        )
    records = (_record(text) for text in digests)
    return {
        name: record
        for name, record in zip(names, records, strict=False)
        if isinstance(name, str) and record is not None and record.result != _NONE
    }


def _record(text: object) -> Record | None:
    fields = text.split(" ") if isinstance(text, str) else []
    if len(fields) != 3 or any(len(field) != len(_NONE) for field in fields):
        return None
    return Record(Origin(fields[0], fields[1]), fields[2])


def without_records(metadata: Metadata) -> Metadata:
    """Return metadata of a file whose tensors are made anew."""
    return metadata.without(*KEYS)

"""Where everything lies in a file that is to be written."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ._kinds import DEFAULT_ALIGNMENT, MAGIC, MOST_DIMS
from .metadata import MOST_KEY_BYTES, Metadata

_VERSION = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """What the head of a file says of a tensor."""

    type_id: int
    shape: tuple[int, ...]
    nbytes: int


class Layout:
    """The head of a file, and the places of its tensors.

    Args:
        entries: the tensors by their names, in the order of the file.
        metadata: "general.alignment" says where tensors may begin, by default at multiples of 32.

    Raises:
        TypeError, ValueError: a name, a shape or the alignment cannot be in a file.
    """

    def __init__(self, entries: Mapping[str, Entry], metadata: Metadata) -> None:
        self.entries = dict(entries)
        self.alignment = _alignment(metadata)
        """Tensors begin at multiples of so many bytes."""
        self.values: dict[str, range] = {}
        """Which bytes of the head have the values of the metadata, their kinds included."""
        head = bytearray(MAGIC + struct.pack("<IQQ", _VERSION, len(entries), len(metadata)))
        for key, pair in zip(metadata, metadata.wire(), strict=True):
            self.values[key] = range(len(head) + 8 + len(key.encode()), len(head) + len(pair))
            head += pair
        offsets, end = {}, 0
        for name, e in entries.items():
            _check(name, e)
            text = name.encode()
            head += struct.pack("<Q", len(text)) + text
            head += struct.pack(f"<I{len(e.shape)}QIQ", len(e.shape), *e.shape[::-1], e.type_id, end)
            offsets[name] = end
            end += e.nbytes + self.padding(name)
        self.unpadded_head = len(head)
        """Bytes of the head without the zeros at its end."""
        head += bytes(-len(head) % self.alignment)
        self.head = bytes(head)
        self.offsets = {name: len(head) + offset for name, offset in offsets.items()}
        """First bytes of the tensors, counted from the beginning of the file."""
        self.size = len(head) + end
        """Bytes of the file."""

    def padding(self, name: str) -> int:
        """How many zeros follow a tensor."""
        return -self.entries[name].nbytes % self.alignment


def _check(name: object, entry: Entry) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the names of tensors are strings, not {type(name).__name__}")
    if not 0 < len(name.encode()) <= MOST_KEY_BYTES:
        raise ValueError(f"the name of a tensor has 1 to {MOST_KEY_BYTES} bytes: {name[:60]!r}")
    if not 0 < len(entry.shape) <= MOST_DIMS:
        raise ValueError(f"{name!r} has the shape {entry.shape}: tensors in files have 1 to {MOST_DIMS} axes")


def _alignment(metadata: Metadata) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if "general.alignment" not in metadata:
        return DEFAULT_ALIGNMENT
    if metadata.kind("general.alignment") != "uint32" or alignment < 1 or alignment & (alignment - 1):
        raise ValueError(f"general.alignment is {alignment!r}: it must be an integer and a power of two")
    return int(alignment)

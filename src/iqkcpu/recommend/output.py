"""The file that `iqkcpu quantize` makes with a recipe: its size is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from .._types import Type, tensor_bytes
from ..gguf import Metadata, TensorInfo
from ..gguf._layout import Entry, Layout
from ..gguf.tensors import matrix_shape
from ..provenance import record_bytes
from ..quantize_model import output_metadata


@dataclass(frozen=True)
class OutputFile:
    """What the file takes besides the tensors that are to get a type, and how much these add to it."""

    infos: Mapping[str, TensorInfo]
    """All tensors of the model."""
    kept: int
    """Bytes of the tensors that stay as they are."""
    fixed: int
    """Bytes of the file that no type changes, without the padding of its head."""
    alignment: int
    """The head and each tensor are padded to a multiple of so many bytes."""

    @staticmethod
    def of_model(metadata: Metadata, infos: Mapping[str, TensorInfo], chosen: list[str]) -> OutputFile:
        """Return the file that is made of a model.

        Where all stays as it is, the file has no records at all, and is by some 130 bytes smaller than is said.

        Args:
            metadata: that of the model.
            infos: its tensors.
            chosen: the names of those that are to get a type.
        """
        names = set(chosen)
        kept = {name: 0 if name in names else info.nbytes for name, info in infos.items()}
        entries = {name: Entry(info.type_id, info.shape, kept[name]) for name, info in infos.items()}
        layout = Layout(entries, output_metadata(metadata, chosen))
        padding = len(layout.head) - layout.unpadded_head
        fixed = layout.size - padding - sum(map(record_bytes, chosen))
        return OutputFile(infos, sum(kept.values()), fixed, layout.alignment)

    @cached_property
    def weights(self) -> int:
        """The number of weights of all tensors."""
        return sum(info.size for info in self.infos.values())

    def share(self, info: TensorInfo, t: Type) -> int:
        """Return what a tensor adds in a type: its bytes, padded, and if it is not copied its record in the head."""
        return self._padded(stored_bytes(info, t)) + (0 if t is info.type else record_bytes(info.name))

    def room(self, nbytes: int) -> int:
        """Return what the shares of all tensors may be in sum for a file of so many bytes."""
        # All but the head is padded: the head and its padding fit where the head alone fits below a multiple.
        return nbytes // self.alignment * self.alignment - self.fixed

    def size(self, shares: int) -> int:
        """Return the bytes of the file, by the sum of all shares."""
        return self._padded(self.fixed + shares)

    def _padded(self, nbytes: int) -> int:
        return -(-nbytes // self.alignment) * self.alignment


def stored_bytes(info: TensorInfo, t: Type) -> int:
    """Return the bytes of a tensor in a type."""
    return tensor_bytes(t, matrix_shape(info.shape))

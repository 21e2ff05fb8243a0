"""Whether up and gate are multiplied in one pass: the only place that decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from . import _core

if TYPE_CHECKING:
    from ._tensor import QuantTensor

Fused = bool | Literal["auto"]


def can_fuse(up: QuantTensor, gate: QuantTensor, fused: Fused) -> bool:
    """Return whether one pass computes both products.

    Raises:
        TypeError: `fused` is True and type or shape of up and gate differ; an argument of a wrong type.
        ValueError: `fused` is another word than "auto"; up and gate have different shapes.
    """
    if isinstance(fused, str):
        if fused != "auto":
            raise ValueError(f'fused must be "auto", True or False, not {fused!r}')
    elif not isinstance(fused, bool):
        raise TypeError(f'fused must be "auto", True or False, not {type(fused).__name__}')
    possible = _core.can_fuse(up._experts(), gate._experts())
    if fused is True and not possible:
        raise TypeError(f"up and gate cannot be multiplied in one pass, {why(up, gate, fused)}")
    if up.shape != gate.shape:
        raise ValueError(f"up has shape {up.shape}, gate has {gate.shape}: they must agree")
    return possible and fused is not False


def why(up: QuantTensor, gate: QuantTensor, fused: Fused) -> str:
    """Tell in words why one pass computes both products, or why not."""
    return "fused is False" if fused is False else _core.why_fused(up._experts(), gate._experts())

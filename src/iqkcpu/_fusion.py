"""Whether up and gate are multiplied in one pass: the only place that decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from . import _core

if TYPE_CHECKING:
    from ._tensor import QuantTensor

Fused = bool | Literal["auto"]


def fusion(up: QuantTensor, gate: QuantTensor, fused: Fused) -> tuple[bool, str]:
    """Return whether one pass computes both products, and why or why not.

    Raises:
        TypeError: `fused` is True and type or shape of up and gate differ; an argument of a wrong type.
        ValueError: `fused` is another word than "auto"; up and gate have different shapes.
    """
    if isinstance(fused, str):
        if fused != "auto":
            raise ValueError(f'fused must be "auto", True or False, not {fused!r}')
    elif not isinstance(fused, bool):
        raise TypeError(f'fused must be "auto", True or False, not {type(fused).__name__}')
    possible, reason = _core.can_fuse(up._experts(), gate._experts())
    if fused is True and not possible:
        raise TypeError(f"up and gate cannot be multiplied in one pass, {reason}")
    if up.shape != gate.shape:
        raise ValueError(f"up has shape {up.shape}, gate has {gate.shape}: they must agree")
    return (False, "fused is False") if fused is False else (possible, reason)

"""What becomes of each tensor of a model that is quantized."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ._types import Type, fallback, tensor_bytes
from .gguf import TensorInfo
from .gguf.reader import LOOKED_UP
from .gguf.tensors import matrix_shape
from .recipes import Rule, first_match

_NORM = re.compile(r"norm")
_ROUTER = re.compile(r"\.ffn_gate_inp\b")
_FLOATS = ("F32", "F16", "BF16", "F64")


@dataclass(frozen=True)
class Step:
    """What becomes of a tensor."""

    info: TensorInfo
    target: Type | None
    """The type that it gets, or has already; None: no rule asks for one, or none fits."""
    nbytes: int
    why: str
    rule: Rule | None

    @property
    def type(self) -> Type | None:
        """The type that it is quantized to; None: it is copied."""
        return None if self.target is None or self.target.id == self.info.type_id else self.target

    @property
    def name(self) -> str:
        """The name of the tensor."""
        return self.info.name

    @property
    def type_id(self) -> int:
        """The type in the new file."""
        return self.info.type_id if self.type is None else self.type.id

    @property
    def type_name(self) -> str:
        """The name of that type."""
        return self.info.type_name if self.type is None else self.type.name


def plan_steps(infos: Iterable[TensorInfo], rules: Sequence[Rule], default: Type | None) -> list[Step]:
    """Return what becomes of each tensor.

    Args:
        infos: the tensors.
        rules: the first whose pattern is found in the name of a tensor gives its type.
        default: the type of all others; None: they stay as they are.
    """
    return [_step(info, rules, default) for info in infos]


def _step(info: TensorInfo, rules: Sequence[Rule], default: Type | None) -> Step:
    rule = first_match(rules, info.name)

    def left(why: str) -> Step:
        return Step(info, None, info.nbytes, why, rule)

    if info.type is None and info.type_name not in _FLOATS:
        return left("no weights")
    if len(info.shape) < 2 or _NORM.search(info.name):
        return left("a vector" if len(info.shape) < 2 else "a norm")
    wanted = default if rule is None else rule.type
    if wanted is None:
        return left("no rule")
    if rule is None and _ROUTER.search(info.name):
        return left("a router")
    shape = matrix_shape(info.shape)
    if rule is None and wanted.base is not None and LOOKED_UP.search(info.name):
        wanted, why = wanted.base, "rows are looked up one by one"
    else:
        why = "" if rule is None else f"rule {rule}"
    fitting, reason = _fitting(wanted, shape)
    if fitting is None:
        return left(reason)
    if fitting.id == info.type_id:
        return Step(info, fitting, info.nbytes, "is of this type", rule)
    return Step(info, fitting, tensor_bytes(fitting, shape), reason or why, rule)


def _fitting(wanted: Type, shape: tuple[int, ...]) -> tuple[Type | None, str]:
    """Return the type that tensors of a shape get in place of the wanted one, and why if it is another."""
    rows, k = shape[-2:]
    why = ""
    if wanted.base is not None and rows % wanted.interleave:
        why = f"{rows} rows are not a multiple of the {wanted.interleave} that {wanted.name} stores together"
        wanted = wanted.base
    if k and k % wanted.block_size == 0:
        return wanted, why
    why = f"fallback: rows of {k} are not a multiple of the {wanted.block_size} in a block of {wanted.name}"
    usual = fallback(wanted)
    return (usual, why) if k and k % usual.block_size == 0 else (None, f"no block divides rows of {k}")

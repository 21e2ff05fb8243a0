"""Repacking: plain types to those that store rows together, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._runtime import thread_count
from ._tensor import QuantTensor
from ._types import Type, tensor_bytes

_CUT = {"F32", "F16"}  # become BF16_R16 by way of BF16, with bits of their mantissas cut off
_SLICE = 1 << 22  # numbers that are cut at a time


@dataclass(frozen=True)
class RepackPlan:
    """What `repack` will do with a tensor."""

    source: Type
    """The type of the tensor."""
    target: Type | None
    """The type that it becomes; None: it stays as it is."""
    nbytes: int
    """Its size afterwards."""
    exact: bool
    """Whether every weight keeps its value. Only what is made of F32 and F16 does not."""
    why: str
    """The reason, in words."""


def repack_plan(w: QuantTensor, type: str | SupportsIndex | Type | None = None) -> RepackPlan:
    """Tell what `repack(w, type)` will do.

    Raises:
        TypeError: w is no QuantTensor.
        ValueError: unknown type.
    """
    _check_tensor(w)
    source = w.type
    target = source.repacked if type is None else Type(type)

    def stays(why: str) -> RepackPlan:
        return RepackPlan(source, None, w.nbytes, True, why)

    if source.interleave > 1:
        return stays(f"{source.name} stores {source.interleave} rows together already")
    if target is None:
        return stays(f"{source.name} has no repacked form")
    if target is source:
        return stays(f"it is {source.name} already")
    cut = source.name in _CUT and target.name == "BF16_R16"
    if target.base is not source and not cut:
        return stays(f"{source.name} cannot become {target.name}{_possible(source)}")
    rows, k = w.shape[-2:]
    if rows % target.interleave:
        return stays(f"{rows} rows are not a multiple of the {target.interleave} that {target.name} stores together")
    try:
        size = tensor_bytes(target, w.shape)
    except ValueError:  # BF16_R16 stores two columns together
        return stays(f"K = {k} does not fit {target.name}")
    how = "mantissas are cut to those of bfloat16" if cut else "no weight changes"
    return RepackPlan(source, target, size, not cut, f"{target.interleave} rows are stored together, {how}")


def repack(
    w: QuantTensor,
    type: str | SupportsIndex | Type | None = None,
    *,
    inplace: bool = False,
    threads: SupportsIndex | None = None,
) -> QuantTensor:
    """Return the weights with rows stored together, as products on this type like them best.

    Every weight keeps its value and `unpack` gives back the same bytes; only F32 and F16, as BF16_R16, lose the lower
    bits of their mantissas.

    Args:
        w: weights of shape (rows, K) or (experts, rows, K).
        type: what to make of them; by default `w.type.repacked`.
        inplace: overwrite the bytes of w, which becomes the repacked tensor and is returned. Needs a writable buffer.
        threads: how many to use at most; by default `get_num_threads()`.

    Returns:
        A new tensor; w itself where `type` is not given and there is nothing to do (`repack_plan` says why).

    Raises:
        TypeError: w is no QuantTensor.
        ValueError: the given `type` cannot be made of w; `inplace` of bytes that are read-only, or of a view of another
            tensor; threads < 1.
    """
    count = thread_count(threads)
    plan = repack_plan(w, type)
    target = plan.target
    if target is None:
        if type is None or w.type is Type(type):
            return w
        raise ValueError(f"w cannot be repacked to {Type(type).name}: {plan.why}")
    if not inplace:
        memory = np.empty(plan.nbytes, np.uint8)
    elif w._memory is None:
        raise ValueError("w cannot be repacked in place: its bytes are read-only, or a view of another tensor's")
    else:
        memory = w._memory
    rows, k = math.prod(w.shape[:-1]), w.shape[-1]
    source = w.raw.reshape(-1) if plan.exact else _cut(w)
    _core.repack(target.id, source, rows, k, memory if plan.exact else memory[: plan.nbytes], count)
    if not inplace:
        return QuantTensor(memory, target, w.shape)
    w._hold(memory[: plan.nbytes], target, w.shape)
    return w


def unpack(w: QuantTensor, *, threads: SupportsIndex | None = None) -> QuantTensor:
    """Return the weights with rows stored one by one: the inverse of `repack`.

    Args:
        w: weights of shape (rows, K) or (experts, rows, K).
        threads: how many to use at most; by default `get_num_threads()`.

    Returns:
        A new tensor of the type `w.type.base`; w itself where that is None.

    Raises:
        TypeError: w is no QuantTensor.
        ValueError: threads < 1.
    """
    count = thread_count(threads)
    _check_tensor(w)
    base = w.type.base
    if base is None:
        return w
    memory = np.empty(tensor_bytes(base, w.shape), np.uint8)
    _core.unpack(w.type.id, w.raw.reshape(-1), math.prod(w.shape[:-1]), w.shape[-1], memory, count)
    return QuantTensor(memory, base, w.shape)


def _check_tensor(w: QuantTensor) -> None:
    if not isinstance(w, QuantTensor):
        raise TypeError(f"w must be an iqkcpu.QuantTensor, not {type(w).__name__}")


def _possible(source: Type) -> str:
    """The tail of a message: what a type can become."""
    from ._types import types

    names = [t.name for t in types.values() if t.base is source]
    if source.name in _CUT:
        names.append("BF16_R16")
    return f"; it can become {' or '.join(names)}" if names else "; it has no repacked form"


def _cut(w: QuantTensor) -> NDArray[np.uint8]:
    """The upper halves of float32 numbers: bfloat16, rounded towards zero."""
    numbers = w.raw.reshape(-1).view(np.float32 if w.type.name == "F32" else np.float16)
    result = np.empty(numbers.size, np.uint16)
    for i in range(0, numbers.size, _SLICE):
        result[i : i + _SLICE] = numbers[i : i + _SLICE].astype(np.float32).view(np.uint32) >> 16
    return result.view(np.uint8)

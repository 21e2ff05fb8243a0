"""Products over chosen experts, and products of up and gate with what lies between them."""

from __future__ import annotations

import math
from typing import Any, Literal, SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._arrays import FLOAT32, check_out, contiguous_float32, float_array
from ._fusion import Fused, can_fuse
from ._ops import tensor_shape
from ._runtime import thread_count
from ._tensor import QuantTensor

Activation = Literal["silu", "gelu", "relu", "swiglu_oai"]
Floats = NDArray[np.float32]


def mul_mat_id(
    w: QuantTensor,
    x: ArrayLike,
    ids: ArrayLike,
    *,
    out: Floats | None = None,
    threads: SupportsIndex | None = None,
) -> Floats:
    """Return the products of each token with the experts that it chose: `x[t] @ w[ids[t, n]].T`.

    The tokens of an expert are multiplied together, so the weights of an expert are read once whatever the number of
    its tokens. The result has the same bits for every number of threads.

    Args:
        w: experts of shape (E, rows, K).
        x: activations, as `mul_mat` takes them: (tokens, K), or (tokens, used, K) for a row per chosen expert.
        ids: integers of shape (tokens, used). Outside 0..E-1 stands for no expert: a row of zeros.
        out: where to write: C-contiguous float32 of shape (tokens, used, rows) that overlaps no input.
        threads: how many to use at most; by default `get_num_threads()`.

    Returns:
        float32 of shape (tokens, used, rows): `out` where it was given.

    Raises:
        TypeError: ids that are no integers; x that holds no floating-point numbers.
        ValueError: shapes that do not fit together; `out` does not fit; threads < 1.
    """
    _, rows, k = _expert_shape(w, "w")
    chosen = _checked_ids(ids)
    a, per_slot = _routed_x(x, chosen, k)
    out = _output(out, (*chosen.shape, rows), x=x, ids=ids, w=w.raw)
    count = thread_count(threads)
    if chosen.size:
        _core.mul_mat_id(w._experts(), a, chosen, chosen.shape[1], per_slot, out, count)
    return out


def up_gate(
    up: QuantTensor,
    gate: QuantTensor,
    x: ArrayLike,
    activation: Activation = "silu",
    up_bias: ArrayLike | None = None,
    gate_bias: ArrayLike | None = None,
    limit: SupportsFloat | None = None,
    fused: Fused = "auto",
    *,
    out: Floats | None = None,
    threads: SupportsIndex | None = None,
) -> Floats:
    """Return `act(x @ gate.T + gate_bias) * (x @ up.T + up_bias)`.

    With g and u the two factors before the activation:

    * "silu": g * sigmoid(g) * u; "gelu": the tanh form of gelu(g), times u; "relu": max(g, 0) * u
    * "swiglu_oai": h * sigmoid(1.702 * h) * (1 + clip(u, -7, 7)) with h = min(g, 7)

    `limit` cuts g at limit and clips u to +-limit before that.

    Args:
        up: weights of shape (rows, K).
        gate: weights of the same shape. With the same type, one pass over x computes both products.
        x: activations of shape (..., K), as `mul_mat` takes them.
        activation: the name of the function.
        up_bias: floats of shape (rows,), added to the product with up.
        gate_bias: the same for gate.
        limit: a number above 0, or None.
        fused: "auto": one pass where type and shape of up and gate agree, else two products; True: one pass or an
            error; False: two products. The results are the same within rounding; `plan(up, batch, gate=gate)` tells.
        out: where to write: C-contiguous float32 of shape (..., rows) that overlaps no input.
        threads: how many to use at most; by default `get_num_threads()`.

    Raises:
        TypeError: `fused` is True and the types differ; x or a bias holds no floating-point numbers.
        ValueError: shapes that do not fit together; an unknown activation; limit <= 0; `out` does not fit; threads < 1.
    """
    rows, k = tensor_shape(up, "up", "matrix of shape (rows, K)", 2)
    tensor_shape(gate, "gate", "matrix of shape (rows, K)", 2)
    how = _gate(up, gate, activation, up_bias, gate_bias, limit, fused)
    a = contiguous_float32(float_array(x, "x"))
    if a.ndim == 0 or a.shape[-1] != k:
        raise ValueError(f"x has shape {a.shape}: its last axis must be K = {k} of up, shape {up.shape}")
    out = _output(out, (*a.shape[:-1], rows), x=x, up=up.raw, gate=gate.raw, up_bias=up_bias, gate_bias=gate_bias)
    _core.up_gate(up._experts(), gate._experts(), a, how, out, thread_count(threads))
    return out


def moe_up_gate(
    up: QuantTensor,
    gate: QuantTensor,
    x: ArrayLike,
    ids: ArrayLike,
    activation: Activation = "silu",
    up_bias: ArrayLike | None = None,
    gate_bias: ArrayLike | None = None,
    limit: SupportsFloat | None = None,
    fused: Fused = "auto",
    *,
    out: Floats | None = None,
    threads: SupportsIndex | None = None,
) -> Floats:
    """Return `up_gate` of each token with the experts that it chose.

    Args:
        up: experts of shape (E, rows, K).
        gate: experts of the same shape.
        x: activations of shape (tokens, K), or (tokens, used, K) for a row per chosen expert.
        ids: integers of shape (tokens, used). Outside 0..E-1 stands for no expert: a row of zeros.
        activation: see `up_gate`.
        up_bias: floats of shape (E, rows).
        gate_bias: the same for gate.
        limit: see `up_gate`.
        fused: see `up_gate`.
        out: where to write: C-contiguous float32 of shape (tokens, used, rows) that overlaps no input.
        threads: how many to use at most; by default `get_num_threads()`.

    Returns:
        float32 of shape (tokens, used, rows): `out` where it was given.

    Raises:
        TypeError: as `up_gate`; ids that are no integers.
        ValueError: as `up_gate`.
    """
    _, rows, k = _expert_shape(up, "up")
    _expert_shape(gate, "gate")
    how = _gate(up, gate, activation, up_bias, gate_bias, limit, fused)
    chosen = _checked_ids(ids)
    a, per_slot = _routed_x(x, chosen, k)
    out = _output(
        out,
        (*chosen.shape, rows),
        x=x,
        ids=ids,
        up=up.raw,
        gate=gate.raw,
        up_bias=up_bias,
        gate_bias=gate_bias,
    )
    count = thread_count(threads)
    if chosen.size:
        _core.moe_up_gate(up._experts(), gate._experts(), a, chosen, chosen.shape[1], per_slot, how, out, count)
    return out


def moe_ffn(
    x: ArrayLike,
    ids: ArrayLike,
    weights: ArrayLike,
    up: QuantTensor,
    gate: QuantTensor,
    down: QuantTensor,
    activation: Activation = "silu",
    up_bias: ArrayLike | None = None,
    gate_bias: ArrayLike | None = None,
    limit: SupportsFloat | None = None,
    fused: Fused = "auto",
    *,
    down_bias: ArrayLike | None = None,
    out: Floats | None = None,
    threads: SupportsIndex | None = None,
) -> Floats:
    """Return a whole block of experts: up and gate, activation, down, and the weighted sum over a token's experts.

    The same within rounding as

        h = moe_up_gate(up, gate, x, ids, ...)
        y = (mul_mat_id(down, h, ids) * weights[..., None]).sum(axis=1)

    without the arrays between: what they would hold is kept in scratch memory of bounded size, reused by later calls.

    Args:
        x: activations of shape (tokens, K).
        ids: integers of shape (tokens, used). Outside 0..E-1 stands for no expert, which adds nothing.
        weights: floats of shape (tokens, used): what each expert's result is multiplied with.
        up: experts of shape (E, rows, K).
        gate: experts of the same shape.
        down: experts of shape (E, rows of the result, rows of up).
        activation: see `up_gate`.
        up_bias: floats of shape (E, rows).
        gate_bias: the same for gate.
        limit: see `up_gate`.
        fused: see `up_gate`.
        down_bias: floats of shape (E, rows of the result), added before the weighting.
        out: where to write: C-contiguous float32 of shape (tokens, rows of the result) that overlaps no input.
        threads: how many to use at most; by default `get_num_threads()`.

    Returns:
        float32 of shape (tokens, rows of the result): `out` where it was given.

    Raises:
        TypeError: as `moe_up_gate`; weights that hold no floating-point numbers.
        ValueError: as `moe_up_gate`.
    """
    experts, rows, k = _expert_shape(up, "up")
    _expert_shape(gate, "gate")
    _, results, _ = _expert_shape(down, "down")
    if (down.shape[0], down.shape[2]) != (experts, rows):
        raise ValueError(
            f"down has shape {down.shape}: with up of shape {up.shape} it must be ({experts}, any, {rows})"
        )
    how = _gate(up, gate, activation, up_bias, gate_bias, limit, fused)
    bias = _checked_bias(down_bias, "down_bias", down)
    chosen = _checked_ids(ids)
    a, per_slot = _routed_x(x, chosen, k)
    if per_slot:
        raise ValueError(f"x has shape {a.shape}, a block of experts takes (tokens, {k})")
    factors = contiguous_float32(float_array(weights, "weights"))
    if factors.shape != chosen.shape:
        raise ValueError(f"weights has shape {factors.shape}, ids has {chosen.shape}")
    out = _output(
        out,
        (len(chosen), results),
        x=x,
        ids=ids,
        weights=weights,
        up=up.raw,
        gate=gate.raw,
        down=down.raw,
        up_bias=up_bias,
        gate_bias=gate_bias,
        down_bias=down_bias,
    )
    count = thread_count(threads)
    if not chosen.size:
        out[...] = 0
        return out
    _core.moe_ffn(
        up._experts(),
        gate._experts(),
        down._experts(),
        a,
        chosen,
        chosen.shape[1],
        factors,
        how,
        bias,
        out,
        count,
    )
    return out


def split_up_gate(w: QuantTensor) -> tuple[QuantTensor, QuantTensor]:
    """Return up and gate of a tensor that holds both: views of it, never copies.

    Models that ship one tensor for both stack the rows of gate first and those of up behind them, in every expert.

    Args:
        w: weights of shape (2 * rows, K), or experts of shape (E, 2 * rows, K).

    Returns:
        (up, gate), of shape (rows, K) or (E, rows, K).

    Raises:
        ValueError: an odd number of rows; a half that cuts through a group of interleaved rows; a type without views.
    """
    tensor_shape(w, "w", "tensor", 2, 3)
    rows = w.shape[-2]
    if rows % 2:
        raise ValueError(f"w has {rows} rows: up and gate need the same number")
    half = rows // 2
    if w.ndim == 2:
        return w[half:], w[:half]
    if half % w.type.interleave:
        raise ValueError(f"{w.type.name} stores {w.type.interleave} rows together: {half} rows cut through a group")
    shape = (w.shape[0], half, w.shape[2])
    up, gate = (QuantTensor._view(raw, w.type, shape) for raw in (w.raw[:, half:], w.raw[:, :half]))
    return up, gate


def _expert_shape(w: QuantTensor, name: str) -> tuple[int, ...]:
    return tensor_shape(w, name, "stack of experts of shape (E, rows, K)", 3)


def _checked_ids(ids: ArrayLike) -> NDArray[np.int64]:
    """Return a copy of ids as int64, which nobody changes during the work.

    Unsigned ones too large for it become negative, which no expert has.
    """
    array = np.asarray(ids)
    if array.dtype.kind not in "iu":
        raise TypeError(f"ids must hold integers, not {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"ids has shape {array.shape}, must be (tokens, used)")
    return np.array(array, dtype=np.int64, order="C")


def _routed_x(x: ArrayLike, ids: NDArray[np.int64], k: int) -> tuple[Floats, bool]:
    """Return x, and whether it has a row per chosen expert."""
    a = contiguous_float32(float_array(x, "x"))
    tokens, used = ids.shape
    if a.shape not in ((tokens, k), (tokens, used, k)):
        raise ValueError(
            f"x has shape {a.shape}: with ids of {ids.shape} it must be {(tokens, k)} or {(tokens, used, k)}"
        )
    return a, a.ndim == 3


def _output(out: Floats | None, shape: tuple[int, ...], **inputs: Any) -> Floats:
    if out is None:
        return np.empty(shape, FLOAT32)
    check_out(out, shape, FLOAT32, **inputs)
    return out


def _gate(
    up: QuantTensor,
    gate: QuantTensor,
    activation: Activation,
    up_bias: ArrayLike | None,
    gate_bias: ArrayLike | None,
    limit: SupportsFloat | None,
    fused: Fused,
) -> _core.Gate:
    function = getattr(_core.Activation, activation, None) if activation in _ACTIVATIONS else None
    if function is None:
        raise ValueError(f"unknown activation {activation!r}; there are: {', '.join(_ACTIVATIONS)}")
    cut = None if limit is None else float(limit)
    if cut is not None and not cut > 0:
        raise ValueError(f"limit must be above 0, is {cut}")
    together = can_fuse(up, gate, fused)
    biases = (_checked_bias(up_bias, "up_bias", up), _checked_bias(gate_bias, "gate_bias", gate))
    return _core.Gate(function, None if cut == math.inf else cut, *biases, together)


_ACTIVATIONS = ("silu", "gelu", "relu", "swiglu_oai")


def _checked_bias(bias: ArrayLike | None, name: str, w: QuantTensor) -> Floats | None:
    if bias is None:
        return None
    array = contiguous_float32(float_array(bias, name))
    if array.shape != w.shape[:-1]:
        raise ValueError(f"{name} has shape {array.shape}, one value per row is {w.shape[:-1]}")
    return array

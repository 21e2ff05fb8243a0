"""Weights to measure with: random bytes that decode to finite numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iqkcpu import QuantTensor, Type


def random_weights(t: Type, rows: int, k: int, rng: np.random.Generator) -> QuantTensor:
    """Return a matrix of any type: rows put together from random blocks, or normal numbers for float types.

    Raises:
        ValueError: a shape that the type cannot have.
    """
    group = t.interleave
    groups = rows // group
    distinct = max(1, min(groups, 64))
    if t.family == "float":
        raw = _normal(t, distinct * group * k, rng).reshape(distinct, -1)
    else:
        blocks = _finite_blocks(t, rng)
        chosen = blocks[rng.integers(len(blocks), size=(distinct, k // t.block_size))]
        raw = np.hstack([np.tile(_header(t), (distinct, 1)), chosen.reshape(distinct, -1)])
    return QuantTensor(np.resize(raw, (groups, raw.shape[1])), t, (rows, k))


def _normal(t: Type, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    values = rng.standard_normal(size, np.float32)
    if t.name == "F32":
        return values.view(np.uint8)
    if t.name == "F16":
        return values.astype(np.float16).view(np.uint8)
    return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)  # bfloat16 is the upper half


def _header(t: Type) -> NDArray[np.uint8]:
    """Headers of a row group whose scales are ordinary numbers, read as float16 (1.0) and as float32 (0.0078)."""
    return np.frombuffer(b"\x00\x3c" * (t.interleave * t.row_meta_bytes // 2), np.uint8)


def _finite_blocks(t: Type, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blocks of random bytes without extreme scales: those would decode to NaN, infinity or denormal numbers."""
    good: list[NDArray[np.uint8]] = []
    for _ in range(100):
        blocks = rng.integers(256, size=(1024, t.interleave * t.block_bytes), dtype=np.uint8)
        raw = np.hstack([np.tile(_header(t), (len(blocks), 1)), blocks])
        decoded = QuantTensor(raw, t, (len(blocks) * t.interleave, t.block_size)).dequantize(threads=1)
        with np.errstate(invalid="ignore"):
            largest = np.abs(decoded).max(axis=1).reshape(len(blocks), -1)
        good.extend(blocks[np.all((largest > 1e-15) & (largest < 1e15), axis=1)])
        if len(good) >= 256:
            break
    if not good:
        raise RuntimeError(f"no block of random bytes decodes to finite numbers: {t.name}")
    return np.array(good)

"""A mixture-of-experts feed-forward block: routing in NumPy, experts quantized, checked against float32.

    python examples/moe_block.py

The shape is that of granite-3.0-1b-a400m: 32 experts of 512 hidden units on 1024 channels, 8 used by each token, silu
between gate and up. The weights are random numbers. Each recipe names the types of up, gate and down; for each the
program prints the size, the error against float32 and tokens per second, for one token and for 512.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import iqkcpu

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """Sizes of a block."""

    experts: int = 32
    used: int = 8
    channels: int = 1024
    hidden: int = 512


@dataclass(frozen=True)
class Recipe:
    """Types of up, gate and down, and whether they are repacked at run time."""

    name: str
    up: str
    gate: str
    down: str
    repacked: bool = False


RECIPES = (
    Recipe("all of one type", "IQ4_K", "IQ4_K", "IQ4_K"),
    Recipe("mixed", "IQ4_K", "Q5_K", "Q6_K"),
    Recipe("repacked", "IQ4_K", "IQ4_K", "IQ4_K", repacked=True),
)


class Block:
    """The float32 weights of a block: a router and the experts' up, gate and down."""

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)

        def weights(*dims: int) -> Floats:
            scaled: Floats = rng.standard_normal(dims, np.float32) / np.float32(math.sqrt(dims[-1]))
            return scaled

        self.shape = shape
        self.router = weights(shape.experts, shape.channels)
        self.up = weights(shape.experts, shape.hidden, shape.channels)
        self.gate = weights(shape.experts, shape.hidden, shape.channels)
        self.down = weights(shape.experts, shape.channels, shape.hidden)

    def route(self, x: Floats) -> tuple[Ints, Floats]:
        """Return the experts of each token and their weights: a softmax over the best of the router's scores."""
        scores = x @ self.router.T
        ids = np.argpartition(-scores, self.shape.used - 1, axis=1)[:, : self.shape.used]
        best = np.take_along_axis(scores, ids, axis=1)
        weights = np.exp(best - best.max(axis=1, keepdims=True))
        return ids.astype(np.int64), weights / weights.sum(axis=1, keepdims=True)

    def __call__(self, x: Floats) -> Floats:
        """The block in float32, expert by expert."""
        ids, weights = self.route(x)
        y = np.zeros_like(x)
        for e in range(self.shape.experts):
            tokens, n = np.nonzero(ids == e)
            gate, up = x[tokens] @ self.gate[e].T, x[tokens] @ self.up[e].T
            hidden = gate / (1 + np.exp(-gate)) * up
            y[tokens] += weights[tokens, n, None] * (hidden @ self.down[e].T)  # a token takes an expert once
        return y


class QuantizedBlock:
    """The same with quantized experts; the router stays in float32, as it decides."""

    def __init__(self, block: Block, recipe: Recipe) -> None:
        self.block = block
        parts = ((block.up, recipe.up), (block.gate, recipe.gate), (block.down, recipe.down))
        tensors = [iqkcpu.quantize(array, name) for array, name in parts]
        if recipe.repacked:
            tensors = [iqkcpu.repack(w) for w in tensors]
        self.up, self.gate, self.down = tensors

    @property
    def nbytes(self) -> int:
        """Bytes of the experts."""
        return self.up.nbytes + self.gate.nbytes + self.down.nbytes

    def __call__(self, x: Floats) -> Floats:
        ids, weights = self.block.route(x)
        return iqkcpu.moe_ffn(x, ids, weights, self.up, self.gate, self.down, "silu")


@dataclass(frozen=True)
class Report:
    """What a recipe costs and gives."""

    recipe: Recipe
    types: tuple[str, str, str]
    fused: bool | None
    nbytes: int
    error: float
    tokens_per_second: tuple[float, ...]
    batches: tuple[int, ...]

    def __str__(self) -> str:
        rates = ", ".join(
            f"{rate:.0f} tokens/s at {n}" for n, rate in zip(self.batches, self.tokens_per_second, strict=True)
        )
        return (
            f"{self.recipe.name:<16}{'+'.join(self.types):<30}{self.nbytes / 1e6:6.1f} MB, up and gate "
            f"{'in one pass' if self.fused else 'as two products'}; error {self.error:.2%}; {rates}"
        )


def compare(
    shape: Shape, recipes: Sequence[Recipe] = RECIPES, batches: Sequence[int] = (1, 512), seconds: float = 1.0
) -> list[Report]:
    """Measure recipes; the error is that of the largest batch, relative to float32."""
    block = Block(shape)
    x = np.random.default_rng(1).standard_normal((max(batches), shape.channels), np.float32)
    expected = block(x)
    reports = []
    for recipe in recipes:
        quantized = QuantizedBlock(block, recipe)
        error = float(np.linalg.norm(quantized(x) - expected) / np.linalg.norm(expected))
        parts = quantized.up, quantized.gate, quantized.down
        reports.append(
            Report(
                recipe,
                (parts[0].type.name, parts[1].type.name, parts[2].type.name),
                iqkcpu.plan(quantized.up, 1, gate=quantized.gate).fused,
                quantized.nbytes,
                error,
                tuple(n / _best_time(quantized, x[:n], seconds) for n in batches),
                tuple(batches),
            )
        )
    return reports


def _best_time(block: QuantizedBlock, x: Floats, seconds: float) -> float:
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or best == math.inf:
        begin = time.perf_counter()
        block(x)
        best = min(best, time.perf_counter() - begin)
    return best


def main() -> None:
    shape = Shape()
    size = 4 * 3 * shape.experts * shape.hidden * shape.channels
    print(f"{shape}, {size / 1e6:.1f} MB in float32; {iqkcpu.isa()}, threads: {iqkcpu.get_num_threads()}")
    for report in compare(shape):
        print(report)


if __name__ == "__main__":
    main()

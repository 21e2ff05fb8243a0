"""Products in the shapes of real models, and one of hardly any work.

Groups are "ROWS x K, batch N". Types whose block does not divide K are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import iqkcpu
from conftest import Chosen

SHAPES = (
    (4096, 14336),  # down of a dense block
    (14336, 4096),  # its up and gate
    (2048, 7168),  # an expert
    (4096, 128),  # a head
    (4096, 384),  # a small expert; no multiple of 256
    (151936, 1024),  # output, one row per token of the vocabulary
    (17, 4096),  # rows that fill no tile
    (64, 64),  # hardly any work: what a call costs
)
TYPES = ("Q8_0", "Q4_0", "Q4_K", "IQ4_K", "IQ2_XXS")


def cases(chosen: Chosen) -> dict[str, Any]:
    return {
        "shape": SHAPES,
        "name": chosen(TYPES[::2], TYPES),
        "batch": chosen((1, 64), (1, 8, 64, 512)),
    }


def test_shape(
    benchmark: Any, product: Callable[..., None], weights: Any, shape: tuple[int, int], name: str, batch: int
) -> None:
    rows, cols = shape
    if cols % iqkcpu.Type(name).block_size:
        pytest.skip(f"the block of {name} does not divide K = {cols}")
    benchmark.group = f"{rows} x {cols}, batch {batch}"
    few = rows * cols * batch < 1 << 20
    product(weights(name, rows, cols), batch, rounds=50 if few else 5, iterations=100 if few else 1)
    benchmark.extra_info["microseconds"] = round(1e6 * benchmark.stats.stats.min, 2)

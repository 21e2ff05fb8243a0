"""Products and decoding, for pytest-benchmark: `pytest benchmarks --benchmark-only`.

Groups are "batch N": within one, the types and instruction sets stand beside each other; pytest-benchmark's compare
puts two saved runs beside each other. Extra columns give the rates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import iqkcpu
from iqkcpu.cli._weights import random_weights

ROWS, K = 4096, 4096
TYPES = ("F16", "Q4_0", "Q8_0", "Q4_K", "Q6_K", "Q2_K", "IQ4_K", "IQ2_XXS", "IQ3_S", "IQ1_S", "IQ2_KT", "IQ4_K_R4")


def cases() -> list[tuple[str, str]]:
    """Types by instruction set, the scalar tier apart: it is a reference, not a fast path."""
    return [(isa, name) for isa in iqkcpu.isas() if isa != "scalar" for name in TYPES]


@pytest.fixture(scope="module")
def weights() -> dict[str, iqkcpu.QuantTensor]:
    rng = np.random.default_rng(1)
    return {name: random_weights(iqkcpu.Type(name), ROWS, K, rng) for name in TYPES}


@pytest.mark.parametrize("batch", [1, 8, 64, 512])
@pytest.mark.parametrize(("isa", "name"), cases())
def test_product(benchmark: Any, weights: dict[str, iqkcpu.QuantTensor], isa: str, name: str, batch: int) -> None:
    """One thread, so that the figures are those of the kernels."""
    w = weights[name]
    x = np.random.default_rng(2).standard_normal((batch, K), np.float32)
    out = np.empty((batch, ROWS), np.float32)
    benchmark.group = f"batch {batch}"
    with iqkcpu.use_isa(isa):
        benchmark.pedantic(iqkcpu.mul_mat, (w, x), {"out": out, "threads": 1}, rounds=5, warmup_rounds=1)
    best = benchmark.stats.stats.min
    benchmark.extra_info["gflops"] = round(2e-9 * batch * ROWS * K / best, 1)
    benchmark.extra_info["gbs"] = round(1e-9 * w.nbytes / best, 2)


@pytest.mark.parametrize(("isa", "name"), cases())
def test_dequantize(benchmark: Any, weights: dict[str, iqkcpu.QuantTensor], isa: str, name: str) -> None:
    w = weights[name]
    out = np.empty(w.shape, np.float32)
    benchmark.group = "dequantize"
    with iqkcpu.use_isa(isa):
        benchmark.pedantic(w.dequantize, (out,), {"threads": 1}, rounds=5, warmup_rounds=1)
    benchmark.extra_info["gweights"] = round(1e-9 * ROWS * K / benchmark.stats.stats.min, 2)

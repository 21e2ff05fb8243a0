"""Products and decoding of 4096 x 4096 weights: types by batch by instruction set, from the tables of both.

Groups are "product, batch N" and "decoding": within one, the types and instruction sets stand beside each other. Extra
columns give the rates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import iqkcpu
from conftest import Chosen
from iqkcpu.cli.bench.request import measurable

ROWS, K = 4096, 4096
TYPES = ("F16", "Q4_0", "Q8_0", "Q4_K", "Q6_K", "Q2_K", "IQ4_K", "IQ2_XXS", "IQ3_S", "IQ1_S", "IQ2_KT", "IQ4_K_R4")


def cases(chosen: Chosen) -> dict[str, Any]:
    # The scalar tier is a reference, not a fast path.
    return {
        "name": chosen(TYPES, [t.name for t in measurable()]),
        "isa": [isa for isa in iqkcpu.isas() if isa != "scalar"],
        "batch": chosen((1, 8, 64, 512), (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)),
    }


def test_product(benchmark: Any, product: Callable[..., None], weights: Any, name: str, isa: str, batch: int) -> None:
    benchmark.group = f"product, batch {batch}"
    with iqkcpu.use_isa(isa):
        product(weights(name, ROWS, K), batch)


def test_dequantize(benchmark: Any, weights: Any, name: str, isa: str) -> None:
    w = weights(name, ROWS, K)
    out = np.empty(w.shape, np.float32)
    benchmark.group = "decoding"
    with iqkcpu.use_isa(isa):
        benchmark.pedantic(w.dequantize, (out,), {"threads": 1}, rounds=5, warmup_rounds=1)
    benchmark.extra_info["gweights"] = round(1e-9 * ROWS * K / benchmark.stats.stats.min, 2)

"""Blocks of experts.

Up and gate of 64 experts of 2048 x 7168, of which each token takes 8. Within a group, "TYPE, N tokens" (N is the
parameter batch), stand: up and gate in one pass; the same as two products; two calls of `mul_mat_id` with the
activation in NumPy; one `mul_mat_id`; and `mul_mat` of 8 experts, one after the other, with as many rows as an expert
has on average. Extra columns give the rates, GB/s counting the experts that are used.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import iqkcpu
from conftest import Chosen
from iqkcpu.cli._weights import random_weights

EXPERTS, ROWS, K, USED = 64, 2048, 7168, 8
TYPES = ("Q4_K", "IQ2_K", "IQ4_K", "IQ1_S", "IQ1_S_R4")
TOKENS = (1, 64, 8, 512)
CASES = ("fused", "two products", "two calls and NumPy", "one call", "dense")


def cases(chosen: Chosen) -> dict[str, Any]:
    return {"name": chosen(TYPES[:2], TYPES), "batch": chosen(TOKENS[:2], TOKENS), "case": CASES}


@functools.lru_cache(maxsize=1)
def pair(name: str) -> tuple[iqkcpu.QuantTensor, iqkcpu.QuantTensor]:
    t = iqkcpu.Type(name)
    up, gate = (
        iqkcpu.QuantTensor(random_weights(t, EXPERTS * ROWS, K, np.random.default_rng(seed)).raw, t, (EXPERTS, ROWS, K))
        for seed in (1, 2)
    )
    return up, gate


def test_experts(benchmark: Any, name: str, batch: int, case: str) -> None:
    up, gate = pair(name)
    tokens = batch
    rng = np.random.default_rng(3)
    ids = np.argsort(rng.random((tokens, EXPERTS)), axis=1)[:, :USED]
    x = rng.standard_normal((tokens, K), np.float32) / 100
    y, z = np.empty((2, tokens, USED, ROWS), np.float32)
    per_expert = max(1, tokens * USED // EXPERTS)
    part = np.empty((per_expert, ROWS), np.float32)

    def separate() -> None:
        u, g = iqkcpu.mul_mat_id(up, x, ids, out=y), iqkcpu.mul_mat_id(gate, x, ids, out=z)
        with np.errstate(over="ignore"):
            np.multiply(u, g / (1 + np.exp(-g)), out=y)

    def dense() -> None:
        for e in range(0, EXPERTS, EXPERTS // 8):
            iqkcpu.mul_mat(up[e], x[:per_expert], out=part)

    calls: dict[str, Callable[[], object]] = {
        "fused": lambda: iqkcpu.moe_up_gate(up, gate, x, ids, fused=True, out=y),
        "two products": lambda: iqkcpu.moe_up_gate(up, gate, x, ids, fused=False, out=y),
        "two calls and NumPy": separate,
        "one call": lambda: iqkcpu.mul_mat_id(up, x, ids, out=y),
        "dense": dense,
    }
    benchmark.group = f"{up.type.name}, {tokens} tokens"
    benchmark.pedantic(calls[case], rounds=max(2, 8 // tokens), warmup_rounds=1)
    matrices = 1 if case in ("one call", "dense") else 2
    columns, experts = (8 * per_expert, 8) if case == "dense" else (tokens * USED, len(np.unique(ids)))
    best = benchmark.stats.stats.min
    benchmark.extra_info["gflops"] = round(2e-9 * matrices * columns * ROWS * K / best, 1)
    benchmark.extra_info["gbs"] = round(1e-9 * matrices * experts * up.nbytes / EXPERTS / best, 2)

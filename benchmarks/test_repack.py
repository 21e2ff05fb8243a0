"""Repacking and its inverse beside a copy of bytes.

The extra columns: gbs, bytes read and written a second; of_copy, its share of the machine's copy rate with as many
threads, measured in the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iqkcpu
from conftest import Chosen
from iqkcpu import QuantTensor
from iqkcpu.cli._machine import Peaks

SIZE, K = 64 << 20, 4096  # bytes of the plain tensor, columns
TYPES = ("Q4_0", "Q8_0", "Q4_K", "IQ4_K", "IQ2_XXS")


def cases(chosen: Chosen) -> dict[str, Any]:
    every = [t.name for t in iqkcpu.types.values() if t.repacked is not None and t.name != "F16"]
    return {"name": chosen(TYPES, every), "work": [iqkcpu.repack, iqkcpu.unpack]}


@pytest.fixture(scope="module")
def copy_rate() -> float:
    return Peaks.measure(iqkcpu.get_num_threads()).copy_gbs


def test_repack(benchmark: Any, copy_rate: float, name: str, work: Callable[[QuantTensor], QuantTensor]) -> None:
    t = iqkcpu.Type(name)
    row = t.row_bytes(K)
    rows = SIZE // row // 16 * 16
    w = QuantTensor(np.random.default_rng(0).integers(0, 256, rows * row, np.uint8), t, (rows, K))
    r = iqkcpu.repack(w)
    benchmark.group = work.__name__
    benchmark.pedantic(work, (w if work is iqkcpu.repack else r,), rounds=5, warmup_rounds=1)
    gbs = 1e-9 * (w.nbytes + r.nbytes) / benchmark.stats.stats.min
    benchmark.extra_info["gbs"] = round(gbs, 2)
    benchmark.extra_info["of_copy"] = round(gbs / copy_rate, 2)

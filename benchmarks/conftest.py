"""What the benchmarks share: how much of the table they cover, and rates beside the times.

    pytest benchmarks --benchmark-only                     a representative set, in less than five minutes
    pytest benchmarks --benchmark-only --everything        every type, batch and instruction set
    pytest benchmarks --benchmark-only --benchmark-autosave && pytest-benchmark compare --group-by=fullname

The last line puts saved runs beside each other. Every benchmark has a group, and a parameter name, its type, so
--group-by=param:name works for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pytest

import iqkcpu
from iqkcpu.cli._weights import random_weights

Chosen: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--everything", action="store_true", help="every case instead of a representative set")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each file's `cases(chosen)` maps parameters to values; chosen(few, all) picks by the option."""
    everything = metafunc.config.getoption("everything")
    for names, values in metafunc.module.cases(lambda few, every: every if everything else few).items():
        if set(names.split(",")) <= set(metafunc.fixturenames):
            metafunc.parametrize(names, values, ids=_label)


def _label(value: object) -> str | None:
    return "x".join(map(str, value)) if isinstance(value, tuple) else None


@pytest.fixture(scope="session")
def weights() -> Callable[[str, int, int], iqkcpu.QuantTensor]:
    """Makes weights of a type, rows and columns; the last ones are kept."""
    kept: dict[tuple[str, int, int], iqkcpu.QuantTensor] = {}

    def make(name: str, rows: int, cols: int) -> iqkcpu.QuantTensor:
        key = (name, rows, cols)
        if key not in kept:
            kept.clear()
            kept[key] = random_weights(iqkcpu.Type(name), rows, cols, np.random.default_rng(1))
        return kept[key]

    return make


@pytest.fixture
def product(benchmark: Any) -> Callable[..., None]:
    """Times one product in one thread, so that the figures are those of the kernels, and notes its rates."""

    def run(w: iqkcpu.QuantTensor, batch: int, rounds: int = 5, iterations: int = 1) -> None:
        rows, cols = w.shape
        x = np.random.default_rng(2).standard_normal((batch, cols), np.float32)
        out = np.empty((batch, rows), np.float32)
        how = {"rounds": rounds, "iterations": iterations, "warmup_rounds": 1}
        benchmark.pedantic(iqkcpu.mul_mat, (w, x), {"out": out, "threads": 1}, **how)
        best = benchmark.stats.stats.min
        benchmark.extra_info["gflops"] = round(2e-9 * batch * rows * cols / best, 1)
        benchmark.extra_info["gbs"] = round(1e-9 * w.nbytes / best, 2)

    return run

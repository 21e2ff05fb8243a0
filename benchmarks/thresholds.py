"""Where the panel overtakes the fused kernels: the last columns of cpp/iqk/formats.inc, measured on this machine.

    python benchmarks/thresholds.py [TYPE ...]

Prints a line per type: its name, the first batch that is to take the panel, and the ratios (panel to fused) that were
measured. Both sides alternate and the best run of each counts. Takes about a second per type.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import iqkcpu
from iqkcpu import _core
from iqkcpu.cli._weights import random_weights

ROWS, K, ROUNDS = 1024, 4096, 9
_NEVER = 2**31 - 1  # no panel of bfloat16: its threshold is another one
BATCHES = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 24, 28, 32)


def seconds(w: iqkcpu.QuantTensor, x: np.ndarray, out: np.ndarray, threshold: int) -> float:
    """One product, by the panel from `threshold` columns on."""
    _core.set_thresholds(threshold, _NEVER)
    begin = time.perf_counter()
    iqkcpu.mul_mat(w, x, out=out, threads=1)
    return time.perf_counter() - begin


def crossing(ratios: dict[int, float]) -> int:
    """The threshold that loses least, summed over the batches, against the faster side of each."""

    def loss(threshold: int) -> float:
        return sum(max(0, r - 1) if b >= threshold else max(0, 1 / r - 1) for b, r in ratios.items())

    return min([*ratios, max(ratios) + 1], key=loss)


def main() -> None:
    rng = np.random.default_rng(1)
    for name in sys.argv[1:] or iqkcpu.types:
        t = iqkcpu.Type(name)
        if not t._info.can_multiply or t.name == "I2_S":
            continue
        w = random_weights(t, ROWS, K, rng)
        ratios = {}
        for batch in BATCHES:
            x = rng.standard_normal((batch, K), np.float32)
            out = np.empty((batch, ROWS), np.float32)
            fused = panel = float("inf")
            for _ in range(ROUNDS):
                fused = min(fused, seconds(w, x, out, batch + 1))
                panel = min(panel, seconds(w, x, out, 1))
            ratios[batch] = panel / fused
        _core.set_thresholds(-1, -1)
        print(f"{t.name:12}{crossing(ratios):3}  " + " ".join(f"{b}:{r:.2f}" for b, r in ratios.items()), flush=True)


if __name__ == "__main__":
    main()

"""Where the panel overtakes the fused kernels: the last columns of cpp/iqk/formats.inc, measured on this machine.

    python benchmarks/thresholds.py [--tiles] [TYPE ...]

With --tiles: where the panel of bfloat16 overtakes both, on a machine with tiles. Prints a line per type: its name, the
first batch that is to take the panel, and the ratios (panel to the other) that were measured. Both sides alternate and
the best run of each counts. Takes about a second per type.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import iqkcpu
from iqkcpu import _core
from iqkcpu.cli._weights import random_weights

ROWS, K, ROUNDS = 1024, 4096, 9
TILE_BATCHES = (4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64)
_NEVER = 2**31 - 1  # no panel of bfloat16
BATCHES = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 24, 28, 32)


def seconds(w: iqkcpu.QuantTensor, x: np.ndarray, out: np.ndarray, panel: int, tiles: int) -> float:
    """One product, by the panels from so many columns on."""
    _core.set_thresholds(panel, tiles)
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
    of_tiles = "--tiles" in sys.argv
    for name in [a for a in sys.argv[1:] if a != "--tiles"] or iqkcpu.types:
        t = iqkcpu.Type(name)
        if not t._info.can_multiply or t.name == "I2_S":
            continue
        w = random_weights(t, ROWS, K, rng)
        ratios = {}
        for batch in TILE_BATCHES if of_tiles else BATCHES:
            x = rng.standard_normal((batch, K), np.float32)
            out = np.empty((batch, ROWS), np.float32)
            fused = panel = float("inf")
            for _ in range(ROUNDS):
                fused = min(fused, seconds(w, x, out, -1 if of_tiles else batch + 1, _NEVER))
                panel = min(panel, seconds(w, x, out, -1 if of_tiles else 1, 1 if of_tiles else _NEVER))
            ratios[batch] = panel / fused
        _core.set_thresholds(-1, -1)
        print(f"{t.name:12}{crossing(ratios):3}  " + " ".join(f"{b}:{r:.2f}" for b, r in ratios.items()), flush=True)


if __name__ == "__main__":
    main()

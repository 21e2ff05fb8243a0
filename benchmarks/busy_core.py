"""What a product with all threads keeps of its speed while another process takes one core.

    python benchmarks/busy_core.py [TYPE ...]

The fair share of N threads is then (N - 0.5) / N of their speed: the two processes halve a core. Prints a line per type
and batch: the share of that fair share, the median of three rounds in which both sides take turns. Takes half a minute
per type. The other process is pinned, so Linux only.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import numpy as np

import iqkcpu
from iqkcpu.cli._weights import random_weights

K, SECONDS, ROUNDS = 4096, 1.5, 3
CASES = ((1, 65536), (8, 8192), (512, 8192))  # batch, rows
BUSY = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


def rate(w: iqkcpu.QuantTensor, x: np.ndarray, out: np.ndarray) -> float:
    """Products a second."""
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS:
        iqkcpu.mul_mat(w, x, out=out)
        count += 1
    return count / (time.perf_counter() - begin)


def rate_beside(core: int, w: iqkcpu.QuantTensor, x: np.ndarray, out: np.ndarray) -> float:
    with subprocess.Popen([sys.executable, "-c", BUSY, str(core)]) as busy:
        try:
            time.sleep(0.3)  # until it spins
            return rate(w, x, out)
        finally:
            busy.kill()


def main() -> None:
    threads, core = iqkcpu.get_num_threads(), max(os.sched_getaffinity(0))
    fair = (threads - 0.5) / threads
    for name in sys.argv[1:] or ("Q4_0", "IQ4_K"):
        for batch, rows in CASES:
            w = random_weights(iqkcpu.Type(name), rows, K, np.random.default_rng(0))
            x, out = np.ones((batch, K), np.float32), np.empty((batch, rows), np.float32)
            kept = []
            for _ in range(ROUNDS):
                alone = rate(w, x, out)
                kept.append(rate_beside(core, w, x, out) / alone / fair)
            print(f"{name:10} batch {batch:3}: {statistics.median(kept):.0%} of the fair share", flush=True)


if __name__ == "__main__":
    main()

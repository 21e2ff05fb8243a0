"""One revision at work: reads cases from stdin, a JSON document per line, and writes the seconds of each to stdout.

It runs with the revision's package on the path, and uses public names that every revision has.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable

import numpy as np

import iqkcpu

_SECONDS_PER_TURN = 0.01
_DISTINCT_ROWS = 64


def work_of(type: str, batch: int, rows: int, cols: int, planted: float) -> Callable[[], object]:
    """The call to time; `planted` is the share of its rows that is done twice."""
    rng = np.random.default_rng(1)
    few = iqkcpu.quantize(rng.standard_normal((_DISTINCT_ROWS, cols), np.float32), type)
    t = few.type
    raw = np.resize(few.raw.reshape(-1), rows * t.row_bytes(cols))
    w = iqkcpu.QuantTensor(raw, t, (rows, cols))
    again = w[: int(rows * planted) // t.interleave * t.interleave]
    if batch == 0:
        out = np.empty(w.shape, np.float32)
        extra = np.empty(again.shape, np.float32)

        def decode() -> None:
            w.dequantize(out, threads=1)
            if planted:
                again.dequantize(extra, threads=1)

        return decode
    x = rng.standard_normal((batch, cols), np.float32)
    out = np.empty((batch, rows), np.float32)
    extra = np.empty((batch, again.shape[0]), np.float32)

    def multiply() -> None:
        iqkcpu.mul_mat(w, x, out=out, threads=1)
        if planted:
            iqkcpu.mul_mat(again, x, out=extra, threads=1)

    return multiply


def best_time(call: Callable[[], object]) -> float:
    """The shortest time of runs in a row; of short calls the mean of several."""
    begin = time.perf_counter()
    call()
    inner = max(1, int(2e-4 / (time.perf_counter() - begin + 1e-9)))
    best, spent, runs = float("inf"), 0.0, 0
    while runs < 3 or spent < _SECONDS_PER_TURN:
        begin = time.perf_counter()
        for _ in range(inner):
            call()
        took = time.perf_counter() - begin
        best, spent, runs = min(best, took / inner), spent + took, runs + 1
    return best


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the gate, which Ctrl-C reaches as well, ends its workers
    planted = float(sys.argv[1])
    ready: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        if line not in ready:
            try:
                ready[line] = work_of(**json.loads(line), planted=planted)
            except ValueError as error:  # a type that this revision does not have
                print(json.dumps({"missing": str(error)}), flush=True)
                continue
        print(json.dumps({"seconds": best_time(ready[line])}), flush=True)


if __name__ == "__main__":
    main()

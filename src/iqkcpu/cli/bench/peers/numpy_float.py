"""NumPy's product of float32 matrices."""

from __future__ import annotations

import numpy as np

from .peer import Peer, Problem, UnavailableError, Work


def _prepare(problem: Problem) -> Work:
    try:
        import threadpoolctl
    except ImportError:
        raise UnavailableError("threadpoolctl sets NumPy's threads: pip install threadpoolctl") from None
    if not any(pool["user_api"] == "blas" for pool in threadpoolctl.threadpool_info()):
        raise UnavailableError("threadpoolctl does not know NumPy's BLAS, so its threads cannot be set")
    matrices = np.random.default_rng(2).standard_normal((problem.copies, problem.cols, problem.rows), np.float32)
    transposed = [m.reshape(problem.rows, problem.cols).T for m in matrices]
    x, out = problem.x(), np.empty((problem.batch, problem.rows), np.float32)

    def run() -> None:
        with threadpoolctl.threadpool_limits(problem.threads, "blas"):
            for w in transposed:
                np.matmul(x, w, out=out)

    return Work(run, lambda: out, lambda: transposed[-1].T)


PEERS = (Peer("NumPy float32", "F32", 32, _prepare), Peer("NumPy float32", "Q8_0", 32, _prepare))

"""Decoding by the package gguf, in NumPy and one thread."""

from __future__ import annotations

import functools

import iqkcpu

from .peer import Peer, Problem, UnavailableError, Work

_TYPES = ("Q8_0", "Q6_K", "Q4_0", "Q4_K", "IQ4_XS", "IQ3_S", "Q2_K", "IQ2_XXS", "IQ1_S")


def _prepare(problem: Problem, *, name: str) -> Work:
    try:
        import gguf
        from gguf.quants import dequantize
    except ImportError:
        raise UnavailableError("there is no gguf: pip install gguf") from None
    kind = gguf.GGMLQuantizationType[name]
    matrices = problem.weights(name)
    blocks = [w.raw.reshape(problem.rows, -1) for w in matrices]

    def run() -> None:
        for raw in blocks:
            dequantize(raw, kind)

    return Work(run, lambda: dequantize(blocks[-1], kind), matrices[-1].dequantize)


PEERS = tuple(
    Peer(f"gguf {name}", name, iqkcpu.Type(name).bpw, functools.partial(_prepare, name=name), decodes=True)
    for name in _TYPES
)

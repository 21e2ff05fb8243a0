"""Other libraries that multiply or decode the same kinds of weights, one module per library.

A `Peer` is one way to do it. `ALL` lists them; those that are not installed say what to install when they are prepared.
"""

from . import ggml, gguf_decoding, numpy_float, onnx
from .peer import Peer, Problem, UnavailableError, Work

ALL: tuple[Peer, ...] = (*numpy_float.PEERS, *onnx.PEERS, *ggml.PEERS, *gguf_decoding.PEERS)

__all__ = ["ALL", "Peer", "Problem", "UnavailableError", "Work"]

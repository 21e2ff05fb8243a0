"""The products of ggml's library in llama-cpp-python, with weights as files store them.

Only its public C functions are called, through ctypes, and only where the package is installed.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import iqkcpu

from .peer import Peer, Problem, UnavailableError, Work

_TYPES = ("Q8_0", "Q6_K", "Q4_0", "Q4_K", "IQ4_XS", "IQ3_S", "Q2_K", "IQ2_XXS", "IQ1_S")
_F32 = 0
_ROOM = 64 << 20  # bytes for its bookkeeping and for what its threads need


class _InitParams(ctypes.Structure):
    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


@functools.cache
def _library() -> ctypes.CDLL:
    found = importlib.util.find_spec("llama_cpp")
    if found is None or found.origin is None:
        raise UnavailableError("there is no llama_cpp: pip install llama-cpp-python")
    folder = Path(found.origin).parent / "lib"
    try:
        base = ctypes.CDLL(str(folder / "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
        cpu = ctypes.CDLL(str(folder / "libggml-cpu.so"))
        for name in ("init", "new_tensor_2d", "mul_mat", "new_graph", "get_data"):
            getattr(base, f"ggml_{name}").restype = ctypes.c_void_p
        for library, name in ((base, "free"), (base, "reset"), (cpu, "cpu_init"), (cpu, "graph_compute_with_ctx")):
            setattr(base, f"ggml_{name}", getattr(library, f"ggml_{name}"))
    except (OSError, AttributeError) as error:
        raise UnavailableError(f"llama_cpp has another ggml than is known here: {error}") from None
    base.ggml_cpu_init()
    return base


def _context(ggml: ctypes.CDLL, nbytes: int) -> ctypes.c_void_p:
    context = ctypes.c_void_p(ggml.ggml_init(_InitParams(nbytes, None, False)))
    if not context:
        raise UnavailableError(f"ggml did not get {nbytes} bytes of memory")
    return context


def _prepare(problem: Problem, *, name: str) -> Work:
    ggml = _library()
    matrices, x = problem.weights(name), problem.x()
    results = problem.copies * problem.batch * problem.rows * 4
    context = _context(ggml, sum(w.nbytes for w in matrices) + x.nbytes + results + _ROOM)
    work = _context(ggml, 2 * x.nbytes + _ROOM)
    graph = ctypes.c_void_p(ggml.ggml_new_graph(context))

    def tensor(type_id: int, cols: int, rows: int, data: int, nbytes: int) -> ctypes.c_void_p:
        new = ctypes.c_void_p(ggml.ggml_new_tensor_2d(context, type_id, ctypes.c_int64(cols), ctypes.c_int64(rows)))
        ctypes.memmove(ggml.ggml_get_data(new), data, nbytes)
        return new

    columns = tensor(_F32, problem.cols, problem.batch, x.ctypes.data, x.nbytes)
    for w in matrices:
        stored = tensor(w.type.id, problem.cols, problem.rows, w.raw.ctypes.data, w.nbytes)
        product = ctypes.c_void_p(ggml.ggml_mul_mat(context, stored, columns))
        ggml.ggml_build_forward_expand(graph, product)

    def run() -> None:
        ggml.ggml_reset(work)
        if ggml.ggml_graph_compute_with_ctx(work, graph, problem.threads) != 0:
            raise RuntimeError("ggml did not compute")

    for owned in (context, work):
        weakref.finalize(run, ggml.ggml_free, owned)

    def result() -> NDArray[np.float32]:
        values = ctypes.cast(ggml.ggml_get_data(product), ctypes.POINTER(ctypes.c_float))
        return np.array(np.ctypeslib.as_array(values, (problem.batch, problem.rows)), np.float32)

    return Work(run, result, matrices[-1].dequantize)


PEERS = tuple(
    Peer(f"ggml {name}", name, iqkcpu.Type(name).bpw, functools.partial(_prepare, name=name)) for name in _TYPES
)

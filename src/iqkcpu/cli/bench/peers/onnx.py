"""MatMulNBits of onnxruntime: weights of 2, 4 and 8 bits with a float32 scale per 32.

Accuracy level 4 rounds the activations to int8, as this library does; level 0 keeps them float32.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .peer import Peer, Problem, UnavailableError, Work

_BLOCK = 32
_DOMAIN = "com.microsoft"
_IR_VERSION, _OPSET = 10, 21  # old enough for every onnxruntime that has the operator


def _prepare(problem: Problem, *, bits: int, accuracy_level: int) -> Work:
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise UnavailableError(f"there is no {error.name}: pip install onnx onnxruntime") from None
    if problem.cols % _BLOCK:
        raise UnavailableError(f"onnxruntime: K = {problem.cols} is no multiple of its block, {_BLOCK}")
    rows, cols, blocks = problem.rows, problem.cols, problem.cols // _BLOCK
    rng = np.random.default_rng(2)
    nodes, initializers = [], []
    for i in range(problem.copies):
        codes = rng.integers(256, size=(rows, blocks, _BLOCK * bits // 8), dtype=np.uint8)
        scales = rng.random((rows, blocks), np.float32)
        initializers += [numpy_helper.from_array(codes, f"codes{i}"), numpy_helper.from_array(scales, f"scales{i}")]
        attributes: dict[str, Any] = {
            "K": cols,
            "N": rows,
            "bits": bits,
            "block_size": _BLOCK,
            "accuracy_level": accuracy_level,
        }
        names = ["x", f"codes{i}", f"scales{i}"]
        nodes.append(helper.make_node("MatMulNBits", names, [f"y{i}"], domain=_DOMAIN, **attributes))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [problem.batch, cols])
    ys = [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, [problem.batch, rows]) for i in range(len(nodes))]
    graph = helper.make_graph(nodes, "products", [x], ys, initializers)
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_DOMAIN, 1)]
    model = helper.make_model(graph, ir_version=_IR_VERSION, opset_imports=opsets)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = problem.threads, 1
    options.log_severity_level = 4
    # Its threads would otherwise go on spinning while this library's turn is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_cpu_input("x", problem.x())
        for i in range(len(nodes)):
            out = np.empty((problem.batch, rows), np.float32)
            binding.bind_ortvalue_output(f"y{i}", onnxruntime.OrtValue.ortvalue_from_numpy(out))
        session.run_with_iobinding(binding)
    except Exception as error:  # its exceptions have no class of their own to name here
        reason = str(error).splitlines()[0]
        raise UnavailableError(f"onnxruntime {onnxruntime.__version__}, {bits} bits: {reason}") from None

    def result() -> NDArray[np.float32]:
        return np.asarray(binding.get_outputs()[-1].numpy(), np.float32)

    def weights() -> NDArray[np.float32]:
        fields = np.arange(0, 8, bits, dtype=np.uint8)  # of a byte, the lowest bits first
        unpacked = (codes[..., None] >> fields) & (2**bits - 1)
        values = unpacked.reshape(rows, blocks, _BLOCK) - np.float32(2 ** (bits - 1))
        decoded: NDArray[np.float32] = (values * scales[..., None]).reshape(rows, cols)
        return decoded

    return Work(lambda: session.run_with_iobinding(binding), result, weights)


PEERS = tuple(
    Peer(
        f"onnxruntime {bits} bit, {'int8' if level == 4 else 'float'} x",
        name,
        bits + 32 / _BLOCK,
        functools.partial(_prepare, bits=bits, accuracy_level=level),
    )
    for bits, name in ((8, "Q8_0"), (4, "Q4_0"), (2, "Q2_K"))
    for level in (4, 0)
)

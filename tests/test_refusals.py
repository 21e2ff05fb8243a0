"""Is every wrong input refused with a clear Python exception, before a byte of output is written?"""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import iqkcpu
from iqkcpu import QuantTensor, mul_mat, plan, quantize

ONES = np.ones((4, 64), np.float32)
W = quantize(np.ones((8, 64), np.float32), "Q8_0")
X = np.ones((2, 64), np.float32)


@pytest.mark.parametrize(
    ("raw", "shape", "message"),
    [
        (bytes(67), (2, 32), "takes 68 bytes, raw has 67"),
        (bytes(69), (2, 32), "takes 68 bytes, raw has 69"),
        (b"", (2, 32), "takes 68 bytes, raw has 0"),
        (bytes(68), (2, 33), "K = 33 is not a multiple of the block of 32"),
        (bytes(68), (2, 0), "must not be 0"),
        (bytes(68), (-2, 32), "-2 is out of range"),
        (bytes(68), (2**62, 32 * 2**62), "out of range"),
        (bytes(68), (2**40, 2**40), "too large"),
        (bytes(68), (2**50, 2, 32), "raw has 68"),
        (bytes(68), (64,), "rows, K"),
        (bytes(68), (1, 1, 2, 32), "rows, K"),
        (np.zeros((68, 2), np.uint8)[:, 0], (2, 32), "C-contiguous"),
    ],
)
def test_tensors_of_wrong_sizes(raw: bytes, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QuantTensor(raw, "Q8_0", shape)


def test_rows_that_do_not_fill_a_group() -> None:
    with pytest.raises(ValueError, match="12 rows are not a multiple of the 8"):
        QuantTensor(bytes(12 * 34), "Q8_0_R8", (12, 32))


@pytest.mark.parametrize("raw", [None, 5, "text", [1, 2], np.array([None] * 68)])
def test_raw_that_is_no_buffer(raw: object) -> None:
    with pytest.raises(TypeError, match="raw must"):
        QuantTensor(raw, "Q8_0", (2, 32))  # type: ignore[arg-type]


def test_shapes_that_are_no_integers() -> None:
    with pytest.raises(TypeError):
        QuantTensor(bytes(68), "Q8_0", (2.0, 32))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2, 63), (2, 65), (64, 2), (), (0,), (2, 0)])
def test_x_with_a_wrong_last_axis(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="last axis must be K = 64"):
        mul_mat(W, np.ones(shape, np.float32))


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.bool_, np.complex64, object, "U3", "M8[s]", "f4,f4"])
def test_x_of_a_wrong_kind(dtype: str) -> None:
    with pytest.raises(TypeError, match="float32, float16 or bfloat16"):
        mul_mat(W, np.zeros((2, 64), dtype))


@pytest.mark.parametrize("x", [None, "x", [1] * 64, 1j])
def test_x_that_holds_no_floats(x: object) -> None:
    with pytest.raises(TypeError, match="float32, float16 or bfloat16"):
        mul_mat(W, x)  # type: ignore[arg-type]


def test_w_that_is_no_quantized_tensor() -> None:
    for w in (np.ones((8, 64)), None, W.raw):
        with pytest.raises(TypeError, match="QuantTensor"):
            mul_mat(w, X)  # type: ignore[arg-type]


def _read_only() -> NDArray[np.float32]:
    out = np.zeros((2, 8), np.float32)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros((2, 9), np.float32), "shape"),
        (np.zeros((8, 2), np.float32), "shape"),
        (np.zeros((1, 2, 8), np.float32), "shape"),
        (np.zeros(16, np.float32), "shape"),
        (np.zeros((2, 8), np.float64), "dtype"),
        (np.zeros((2, 8), np.float16), "dtype"),
        (np.zeros((2, 8), np.int32), "dtype"),
        (np.zeros((2, 8), ">f4"), "dtype"),
        (np.zeros((8, 2), np.float32).T, "C-contiguous"),
        (np.zeros((2, 16), np.float32)[:, ::2], "C-contiguous"),
        (_read_only(), "read-only"),
    ],
)
def test_out_that_does_not_fit(out: NDArray[np.float32], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mul_mat(W, X, out=out)
    assert not out.any()


def test_out_that_is_no_array() -> None:
    for out in ([[0.0] * 8] * 2, memoryview(bytearray(64)), 0):
        with pytest.raises(TypeError, match="out must be"):
            mul_mat(W, X, out=out)  # type: ignore[arg-type]


def test_out_over_an_input() -> None:
    memory = np.ones((4, 64), np.float32)
    x = memory[:2]
    for out in (memory.reshape(-1)[:16].reshape(2, 8), memory.reshape(-1)[120:136].reshape(2, 8)):
        with pytest.raises(ValueError, match="out overlaps x"):
            mul_mat(W, x, out=out)
    for unlike in (memory.view(np.float16)[:2, :64], memory.T[:, :2].T):  # these are converted before the product
        with pytest.raises(ValueError, match="out overlaps x"):
            mul_mat(W, unlike, out=memory.reshape(-1)[:16].reshape(2, 8))
    source = np.zeros(64, np.float32)
    w = QuantTensor(source, "F32", (1, 64))
    with pytest.raises(ValueError, match="out overlaps w"):
        mul_mat(w, X, out=source[:2].reshape(2, 1))
    with pytest.raises(ValueError, match="out overlaps w"):
        w.dequantize(source.reshape(1, 64))
    assert memory.all()


@pytest.mark.parametrize("threads", [0, -1, -(2**70)])
def test_too_few_threads(threads: int) -> None:
    calls = (
        lambda: mul_mat(W, X, threads=threads),
        lambda: plan(W, 1, threads=threads),
        lambda: quantize(ONES, "Q8_0", threads=threads),
        lambda: W.dequantize(threads=threads),
        lambda: W.dequantize(dtype=np.float16, threads=threads),
        lambda: iqkcpu.set_num_threads(threads),
    )
    for call in calls:
        with pytest.raises(ValueError, match=f"threads must be at least 1, not {threads}"):
            call()


def test_threads_that_are_no_integer() -> None:
    for threads in (1.0, "2", X):
        with pytest.raises(TypeError):
            mul_mat(W, X, threads=threads)  # type: ignore[arg-type]


def test_more_threads_than_any_machine_has() -> None:
    assert np.array_equal(mul_mat(W, X, threads=2**70), mul_mat(W, X, threads=1))


def test_experts_where_a_matrix_is_needed() -> None:
    experts = quantize(np.ones((2, 8, 64), np.float32), "Q8_0")
    for call in (lambda: mul_mat(experts, X), lambda: plan(experts, 1)):
        with pytest.raises(ValueError, match="mul_mat_id"):
            call()


def test_negative_batch() -> None:
    with pytest.raises(ValueError, match="batch"):
        plan(W, -1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["Q8_0", "Q4_0", "IQ4_NL", "F16"])
def test_what_is_not_finite_cannot_be_quantized(name: str, value: float) -> None:
    a = np.ones((3, 700, 1024), np.float32)
    a[2, 650, 33] = a[2, 699, 0] = value
    with pytest.raises(ValueError, match=r"a\[2, 650, 33\] is (nan|inf|-inf)"):
        quantize(a, name)
    with pytest.raises(ValueError, match=r"a\[650, 33\] is (nan|inf|-inf)"):
        quantize(a[2].astype(np.float16), name)


def test_float64_that_float32_cannot_hold_is_not_quantized() -> None:
    a = np.ones((1, 32))
    a[0, 7] = 1e300
    with pytest.raises(ValueError, match=r"a\[0, 7\] is 1e\+300"):
        quantize(a, "Q8_0")


@pytest.mark.parametrize(
    ("a", "name", "error", "message"),
    [
        (ONES, "Q9_0", ValueError, "unknown type 'Q9_0'; near matches: .*Q6_0"),
        (ONES, "Q8_K_R8", ValueError, "no quantizer for Q8_K_R8"),
        (ONES[:, :63], "Q8_0", ValueError, "K = 63"),
        (ONES[0], "Q8_0", ValueError, r"\(rows, K\) or \(experts, rows, K\), not \(64,\)"),
        (ONES[None, None], "Q8_0", ValueError, "rows, K"),
        (ONES.astype(np.int64), "Q8_0", TypeError, "int64"),
        (ONES.astype(np.complex64), "Q8_0", TypeError, "complex64"),
        ([[None] * 64], "Q8_0", TypeError, "object"),
    ],
)
def test_what_cannot_be_quantized(a: NDArray[np.float32], name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        quantize(a, name)


@pytest.mark.parametrize(
    ("imatrix", "error", "message"),
    [
        (np.ones(63), ValueError, "imatrix has shape"),
        (np.ones((4, 64)), ValueError, "imatrix has shape"),
        (np.ones((1, 64)), ValueError, "imatrix has shape"),
        (1.0, ValueError, "imatrix has shape"),
        (np.full(64, -1.0), ValueError, "not negative"),
        (np.full(64, np.nan), ValueError, "finite"),
        (np.full(64, np.inf), ValueError, "finite"),
        (np.ones(64, int), TypeError, "imatrix must hold"),
    ],
)
def test_importance_matrices_that_do_not_fit(
    imatrix: NDArray[np.float64], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        quantize(ONES, "Q8_0", imatrix=imatrix)


@pytest.mark.parametrize("dtype", [np.int32, np.complex64, object, np.uint8])
def test_decoding_to_other_than_floats(dtype: str) -> None:
    with pytest.raises(TypeError, match="floating-point"):
        W.dequantize(dtype=dtype)


def test_decoding_into_what_does_not_fit() -> None:
    def outs() -> Iterator[NDArray[np.float32]]:
        yield np.zeros((8, 65), np.float32)
        yield np.zeros((8, 64), np.float64)
        yield np.zeros((64, 8), np.float32).T
        yield np.zeros(512, np.float32)

    for out in outs():
        with pytest.raises(ValueError, match="out"):
            W.dequantize(out)
        assert not out.any()

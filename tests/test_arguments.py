"""Which x, out and sources of weights are taken, and do they all give the same result?"""

import ml_dtypes
import numpy as np
import pytest

import iqkcpu
from iqkcpu import mul_mat, plan, quantize

RNG = np.random.default_rng(5)
W = quantize(RNG.standard_normal((24, 64), np.float32), "Q8_0")
X = (RNG.integers(-8, 9, (6, 64)) / 4).astype(np.float32)  # exact in every floating-point type
Y = mul_mat(W, X)


def test_the_product_is_that_of_the_decoded_weights() -> None:
    assert np.allclose(Y, X @ W.dequantize().T, rtol=0.03, atol=0.3)
    assert Y.shape == (6, 24)
    assert Y.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.longdouble, ml_dtypes.bfloat16, ">f4", "<f4"])
def test_floating_point_types(dtype: str) -> None:
    assert np.array_equal(mul_mat(W, X.astype(dtype)), Y)


def test_strides_and_orders() -> None:
    wide = np.zeros((12, 130), np.float32)
    wide[::2, 1:129:2] = X
    for x in (np.asfortranarray(X), wide[::2, 1:129:2], X[::-1].copy()[::-1], X[:, ::-1].copy()[:, ::-1]):
        assert not x.flags.c_contiguous
        assert np.array_equal(mul_mat(W, x), Y)
    one = np.broadcast_to(X[0], (6, 64))
    assert np.array_equal(mul_mat(W, one), mul_mat(W, one.copy()))


def test_unaligned_and_read_only_arrays() -> None:
    shifted = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(X.shape)
    assert np.array_equal(mul_mat(W, shifted), Y)
    out = np.empty(Y.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(Y.shape)
    mul_mat(W, X, out=out)
    assert np.array_equal(out, Y)


def test_array_likes() -> None:
    assert np.array_equal(mul_mat(W, X.tolist()), Y)
    assert np.array_equal(mul_mat(W, [*X]), Y)
    assert np.array_equal(mul_mat(W, memoryview(X.tobytes()).cast("f", X.shape)), Y)


def test_leading_axes() -> None:
    assert np.array_equal(mul_mat(W, X.reshape(2, 3, 1, 64)), Y.reshape(2, 3, 1, 24))
    assert mul_mat(W, X[0]).shape == (24,)
    for shape in ((0, 64), (3, 0, 64)):
        assert mul_mat(W, np.empty(shape, np.float32)).shape == (*shape[:-1], 24)


def test_out() -> None:
    out = np.full((6, 24), np.nan, np.float32)
    assert mul_mat(W, X, out=out) is out
    assert np.array_equal(out, Y)
    both = np.zeros((12, 64), np.float32)
    both[:6] = X
    beside = both[6:].reshape(-1)[: Y.size].reshape(Y.shape)
    assert np.array_equal(mul_mat(W, both[:6], out=beside), Y)


def test_numbers_too_large_for_float32_become_infinity() -> None:
    w = quantize(np.ones((1, 32)), "F32")
    assert mul_mat(w, np.full(32, 1e300)) == np.inf


@pytest.mark.parametrize("name", ["F32", "Q8_0"])
@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_quantize_takes_floating_point_types(name: str, dtype: str) -> None:
    a = X.astype(dtype)
    assert quantize(a, name) == quantize(X, name)
    assert quantize(np.asfortranarray(a), name) == quantize(X, name)
    assert quantize(X.tolist(), iqkcpu.Type(name).id) == quantize(X, name)


def test_quantize_experts() -> None:
    a = RNG.standard_normal((3, 5, 64), np.float32)
    w = quantize(a, "Q8_0", imatrix=np.ones((3, 64)))
    assert w.shape == (3, 5, 64)
    for e in range(3):
        assert w[e] == quantize(a[e], "Q8_0", imatrix=np.ones(64))


def test_quantize_reports_progress_by_rows() -> None:
    a = RNG.standard_normal((2, 400, 4096), np.float32)
    seen: list[tuple[int, int]] = []
    w = quantize(a, "Q8_0", progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 4
    assert seen == sorted(set(seen))
    assert seen[-1] == (800, 800)
    assert w == quantize(a, "Q8_0")


def test_quantize_ends_when_progress_raises() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(X, "Q8_0", progress=stop)


def test_plan() -> None:
    p = plan(W, 1, threads=3)
    assert p == plan(W, np.int64(1), threads=3)
    assert (p.weights, p.isa) == ("Q8_0", iqkcpu.isa())
    assert 1 <= p.threads <= 3
    assert "Q8_0" in p.why
    assert plan(W, 0).kernel == "none"
    with iqkcpu.use_isa("scalar"):
        assert plan(W, 1).kernel == plan(W, 512).kernel == "plain"
        assert plan(W, 1).threshold == 0


@pytest.mark.skipif(iqkcpu.isas() == ("scalar",), reason="no vector instructions")
def test_plan_on_the_best_instruction_set() -> None:
    with iqkcpu.use_isa(iqkcpu.isas()[-1]):
        threshold = plan(W, 1).threshold
        assert plan(W, threshold - 1).kernel == "gemv"
        assert plan(W, threshold).kernel == "panel"
        assert plan(W, threshold).weights == "Q8_0_R8"
        assert plan(quantize(X, "F32"), 1).kernel == "float_gemv"

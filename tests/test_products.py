"""Are products as exact as promised, for every type, instruction set and kernel?"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import iqkcpu
from iqkcpu import QuantTensor

GOLDEN = Path(__file__).parent / "golden"
COLUMNS = 64
BATCHES = (1, 3, 4, 7, 8, 16, 33, COLUMNS)
FLOATS = ("F32", "F16", "BF16", "BF16_R16")

Array = NDArray[np.float32]


def load(name: str) -> tuple[QuantTensor, NDArray[np.float64]]:
    data = np.load(GOLDEN / f"{name}.npz")
    return QuantTensor(data["raw"], name, data["decoded"].shape), data["decoded"].astype(np.float64)


def products(w: QuantTensor, x: Array, batch: int) -> Array:
    """Multiply all of x, `batch` columns at a time."""
    return np.concatenate([iqkcpu.mul_mat(w, x[i : i + batch]) for i in range(0, len(x), batch)])


def activations(outliers: bool) -> Array:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((COLUMNS, 1024), np.float32)
    if outliers:
        x[np.arange(COLUMNS), rng.integers(0, 1024, COLUMNS)] = 30
    return x


@pytest.mark.parametrize("isa", iqkcpu.isas())
@pytest.mark.parametrize("name", iqkcpu.types)
def test_precision(name: str, isa: str) -> None:
    """Normalised squared error: 1e-4 is allowed; 2.9e-5 is what int8 activations cost a usual row, all else exact."""
    w, decoded = load(name)
    for outliers in (False, True):
        x = activations(outliers)
        expected = x @ decoded.T
        limit = 1e-10 if name in FLOATS else 7e-5 if name == "IQ6_K" else 3.6e-5  # IQ6_K multiplies rounded levels
        with iqkcpu.use_isa("scalar"):
            reference = iqkcpu.mul_mat(w, x)
        size = np.abs(x) @ np.abs(decoded).T
        with iqkcpu.use_isa(isa):
            for batch in BATCHES:
                y = products(w, x, batch)
                lost, power = (y - expected) ** 2, expected**2
                assert lost.sum() <= (5e-4 if outliers else 1e-4) * power.sum(), f"batch {batch}"
                rows = power.any(axis=0)  # a golden may have a row of zeros
                row = np.median(lost[:, rows].sum(axis=0) / power[:, rows].sum(axis=0))
                assert row <= (5 * limit if outliers else limit), f"batch {batch}: {row}"
                # Tiles round activations and weights to bfloat16 where the others round activations to int8.
                near = 1e-5 if iqkcpu.plan(w, batch).kernel != "tiles" else 2e-2
                assert np.all(np.abs(y - reference) <= near * size), f"batch {batch} differs from the scalar tier"


@pytest.mark.skipif("avx512amx" not in iqkcpu.isas(), reason="this machine lacks avx512amx")
@pytest.mark.parametrize(("name", "limit"), [("Q4_0", 1e-5), ("Q4_K", 1e-5), ("IQ3_S", 1e-5), ("F16", 1e-10)])
def test_tiles_lose_less(name: str, limit: float) -> None:
    """Bfloat16 has no scales for an outlier to spoil: 6e-6, and 1e-11 in two parts."""
    w, decoded = load(name)
    with iqkcpu.use_isa("avx512amx"):
        plans = [iqkcpu.plan(w, batch) for batch in (1, COLUMNS)]
        for outliers in (False, True):
            x = activations(outliers)
            y, expected = iqkcpu.mul_mat(w, x), x @ decoded.T
            assert ((y - expected) ** 2).sum() <= limit * (expected**2).sum()
    assert [p.kernel for p in plans] == (["float_gemv", "float_tiles"] if name == "F16" else ["gemv", "tiles"])
    assert "bfloat16" in plans[1].activations
    assert plans[1].weights == "BF16"


@pytest.mark.parametrize("name", iqkcpu.types)
def test_nothing_is_lost_where_activations_are_exact(name: str) -> None:
    """Activations of one magnitude become codes of 127 and -127: sums that saturate would show."""
    w, decoded = load(name)
    rng = np.random.default_rng(8)
    x = rng.choice(np.array([-3, 3], np.float32), (10, 1024))
    x[:3] = 3
    x[3:6] = -3
    slack = 0.01 if name == "IQ6_K" else 1e-5
    size = np.abs(x) @ np.abs(decoded).T
    for isa in iqkcpu.isas():
        with iqkcpu.use_isa(isa):
            for batch in (1, 2, 3, 10):
                assert np.all(np.abs(products(w, x, batch) - x @ decoded.T) <= slack * size), (isa, batch)


@pytest.mark.parametrize("name", ["F32", "BF16_R16", "Q4_0", "Q4_K", "IQ4_K", "IQ1_S", "IQ2_KT", "IQ2_BN", "Q8_K_R16"])
def test_not_a_number_and_infinity(name: str) -> None:
    w, decoded = load(name)
    for isa in iqkcpu.isas():
        with iqkcpu.use_isa(isa):
            for batch in (5, 40):
                x = np.random.default_rng(9).standard_normal((batch, 1024), np.float32)
                clean = iqkcpu.mul_mat(w, x)
                x[1, 1023], x[3, 500] = np.nan, np.inf
                y = iqkcpu.mul_mat(w, x)
                with np.errstate(invalid="ignore"):
                    expected = x[[1, 3]] @ decoded.T
                np.testing.assert_array_equal(y[[1, 3]], expected.astype(np.float32))
                others = np.delete(np.arange(batch), [1, 3])
                np.testing.assert_array_equal(y[others], clean[others])


@pytest.mark.parametrize("isa", iqkcpu.isas())
@pytest.mark.parametrize(
    ("name", "weights", "factor"),
    [("MXFP4", 118, -10), ("MXFP4_R8", 118, -10), ("IQ4_KS", 102, -10), ("IQ2_KT", 110, -10), ("Q4_0", 0, 115)],
)
def test_numbers_near_the_largest(name: str, weights: int, factor: int, isa: str) -> None:
    """Scales of weights of 2^118 and activations of 2^115, whose products are still finite."""
    w, _ = load(name)
    raw = w.raw.copy()
    if name == "MXFP4":
        raw.reshape(-1, 17)[:, 0] = weights + 128  # 2^(exponent - 128)
    elif name == "MXFP4_R8":
        raw.reshape(-1, 8 * 17)[:, :8] = weights + 128
    elif weights:  # a float leads each row
        raw.reshape(16, -1)[:, :4] = np.frombuffer(np.float32(2.0**weights).tobytes(), np.uint8)
    w = QuantTensor(raw, w.type, w.shape)
    decoded = w.dequantize().astype(np.float64)
    assert np.all(np.isfinite(decoded))
    x = activations(False) * np.float32(2.0**factor)
    expected = x @ decoded.T
    with iqkcpu.use_isa(isa):
        for batch in BATCHES:
            lost = products(w, x, batch) - expected
            assert np.linalg.norm(lost) <= 1e-2 * np.linalg.norm(expected), f"batch {batch}"


@pytest.mark.parametrize("isa", iqkcpu.isas())
def test_denormals_of_the_caller(isa: str) -> None:
    """The smallest scales may count as zero, which is faster; the caller's own arithmetic and decoding keep them."""
    w, _ = load("MXFP4")
    raw = w.raw.copy()
    raw.reshape(-1, 17)[:, 0] = np.arange(raw.size // 17) % 3  # 2^-128, 2^-127, 2^-126
    w = QuantTensor(raw, w.type, w.shape)
    tiny = np.full(8, 2.0**-140, np.float32)
    with iqkcpu.use_isa(isa):
        for batch in BATCHES:
            y = products(w, activations(False), batch)
            assert np.all(np.abs(y) <= 1024 * 2.0**-122)
            assert np.all(tiny + tiny == np.float32(2.0**-139))
        assert np.abs(w.dequantize()[0, :32]).max() == 2.0**-128 * 12


@pytest.mark.parametrize("name", ["F16", "Q4_0", "Q5_1", "IQ4_NL", "Q1_0_G128", "IQ1_BN", "Q8_KV"])
def test_rows_of_any_number_of_blocks(name: str) -> None:
    w, _ = load(name)
    raw, t = w.raw.reshape(16, -1), w.type
    x = np.random.default_rng(10).standard_normal((9, 1024), np.float32)
    for blocks in range(1, 10):
        k = blocks * max(t.block_size, 16)
        if k > 1024:
            break
        part = QuantTensor(np.ascontiguousarray(raw[:, : t.row_bytes(k)]), t, (16, k))
        decoded = part.dequantize().astype(np.float64)
        for isa in iqkcpu.isas():
            with iqkcpu.use_isa(isa):
                y, one = iqkcpu.mul_mat(part, x[:, :k]), iqkcpu.mul_mat(part, x[0, :k])
        expected = x[:, :k] @ decoded.T
        assert np.mean((y - expected) ** 2) <= 1e-4 * np.mean(expected**2)
        assert np.mean((one - expected[0]) ** 2) <= 2e-4 * np.mean(expected[0] ** 2)

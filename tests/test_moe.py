"""Are products over chosen experts, and those of up and gate, as exact as promised, and the same for every path?"""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

import iqkcpu
import moe_block
from iqkcpu import QuantTensor, moe_ffn, moe_up_gate, mul_mat, mul_mat_id, plan, quantize, split_up_gate, up_gate
from iqkcpu._moe import Activation

GOLDEN = Path(__file__).parent / "golden"
EXPERTS, ROWS, K = 6, 48, 512
PAIRS = (
    ("IQ4_K", "IQ4_K"),
    ("Q4_K", "Q4_K"),
    ("IQ2_XXS_R4", "IQ2_XXS_R4"),
    ("F16", "F16"),
    ("BF16_R16", "BF16_R16"),
    ("IQ4_K", "IQ5_K"),
    ("IQ1_M", "IQ1_S"),
    ("Q4_K", "Q6_K"),
    ("IQ1_S_R4", "IQ1_M_R4"),
    ("F32", "Q8_0"),
)
ACTIVATIONS: tuple[Activation, ...] = ("silu", "gelu", "relu", "swiglu_oai")

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def experts(name: str, seed: int, count: int = EXPERTS, rows: int = ROWS, k: int = K) -> QuantTensor:
    """Experts with the groups of rows of a golden file in random order, cut to K columns."""
    t = iqkcpu.Type(name)
    data = np.load(GOLDEN / f"{name}.npz")
    group = t.interleave
    raw = data["raw"].reshape(16 // group, -1)[:, : group * t.row_bytes(k)]
    chosen = np.random.default_rng(seed).integers(len(raw), size=count * rows // group)
    return QuantTensor(raw[chosen], name, (count, rows, k))


def route(tokens: int, used: int, seed: int = 3, count: int = EXPERTS) -> Ints:
    """Different experts for each token, some masked; the last expert gets none, the first one most."""
    rng = np.random.default_rng(seed)
    ids = np.array([rng.permutation(count - 1)[:used] for _ in range(tokens)], np.int64).reshape(tokens, used)
    ids[rng.random(ids.shape) < 0.1] = -1
    ids[rng.random(ids.shape) < 0.05] = count
    ids[:, 0] = np.where(rng.random(tokens) < 0.6, 0, ids[:, 0])
    return ids


def activations(*shape: int, seed: int = 5) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def routed(decoded: Doubles, x: ArrayLike, ids: Ints) -> Doubles:
    """What mul_mat_id computes, in float64."""
    x = np.asarray(x, np.float64)
    y = np.zeros((*ids.shape, decoded.shape[1]))
    for t, n in np.ndindex(*ids.shape):
        if 0 <= ids[t, n] < len(decoded):
            y[t, n] = decoded[ids[t, n]] @ (x[t] if x.ndim == 2 else x[t, n])
    return y


def sigmoid(x: Doubles) -> Doubles:
    exact: Doubles = np.exp(-np.logaddexp(0, -x))
    return exact


def act(name: Activation, u: Doubles, g: Doubles, limit: float | None = None) -> Doubles:
    """The formulas of the documentation, in float64."""
    if limit is not None:
        u, g = np.clip(u, -limit, limit), np.minimum(g, limit)
    if name == "silu":
        return g * sigmoid(g) * u
    if name == "gelu":
        return g * sigmoid(2 * np.sqrt(2 / np.pi) * (g + 0.044715 * g**3)) * u  # (1 + tanh(t)) / 2 = sigmoid(2 t)
    if name == "relu":
        return np.maximum(g, 0) * u
    h = np.minimum(g, 7)
    y: Doubles = h * sigmoid(1.702 * h) * (1 + np.clip(u, -7, 7))
    return y


def error(y: Floats, expected: Doubles) -> float:
    """Normalised mean squared error."""
    return float(np.sum((y - expected) ** 2) / np.sum(expected**2))


def all_isas(test: Callable[[str], None]) -> None:
    for isa in iqkcpu.isas():
        with iqkcpu.use_isa(isa):
            test(isa)


@pytest.mark.parametrize("name", [name for name in iqkcpu.types if name != "I2_S"])
def test_routed_products_are_those_of_the_experts(name: str) -> None:
    """The same bits as one mul_mat per expert with its own tokens: the same kernels, chosen by the same batch."""
    w, ids = experts(name, 1), route(37, 3)
    for shared in (True, False):
        x = activations(37, K) if shared else activations(37, 3, K)

        def test(isa: str, x: Floats = x) -> None:
            y = mul_mat_id(w, x, ids)
            assert not y[(ids < 0) | (ids >= EXPERTS)].any()
            for e in range(EXPERTS):
                t, n = np.nonzero(ids == e)
                own = x[t] if x.ndim == 2 else x[t, n]
                np.testing.assert_array_equal(y[t, n], mul_mat(w[e], own), err_msg=isa)

        all_isas(test)


@pytest.mark.parametrize("tokens", [1, 2, 5, 16, 130])
@pytest.mark.parametrize("name", ["IQ4_K", "Q4_K", "IQ1_S_R4", "F16"])
def test_precision(name: str, tokens: int) -> None:
    w, ids = experts(name, 1), route(tokens, 2)
    x = activations(tokens, K)
    expected = routed(w.dequantize().astype(np.float64), x, ids)

    def test(isa: str) -> None:
        assert error(mul_mat_id(w, x, ids), expected) <= 1e-4

    all_isas(test)


@pytest.mark.parametrize("tokens", [1, 3, 9, 130])
@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_up_and_gate(pair: tuple[str, str], tokens: int) -> None:
    """Against float64, where the errors of two products add up, and against the function of the two products."""
    up, gate, ids = experts(pair[0], 1), experts(pair[1], 2), route(tokens, 2)
    scale = np.float32(2 / np.sqrt(np.mean(mul_mat(gate[0], activations(4, K)) ** 2)))  # gate values of a usual size
    x = scale * activations(tokens, K)
    u, g = (routed(w.dequantize().astype(np.float64), x, ids) for w in (up, gate))
    there = ((ids >= 0) & (ids < EXPERTS))[..., None]

    def test(isa: str) -> None:
        for name in ACTIVATIONS:
            expected = act(name, u, g) * there
            y = moe_up_gate(up, gate, x, ids, name)
            assert error(y, expected) <= (4e-4 if tokens == 1 else 2e-4), (isa, name)
            parts = (mul_mat_id(up, x, ids).astype(np.float64), mul_mat_id(gate, x, ids).astype(np.float64))
            np.testing.assert_allclose(y, act(name, *parts) * there, rtol=1e-5, atol=1e-12, err_msg=isa)
            np.testing.assert_array_equal(y, moe_up_gate(up, gate, x, ids, name, fused=False))
            if pair[0] == pair[1]:
                np.testing.assert_array_equal(y, moe_up_gate(up, gate, x, ids, name, fused=True))

    all_isas(test)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_functions(name: Activation) -> None:
    """Float weights of 1 let x through: every value of gate with the formula in float64, to a few units."""
    g = np.concatenate([np.linspace(-110, 110, 4001), np.geomspace(1e-38, 1e38, 300), -np.geomspace(1e-38, 1e38, 300)])
    x = np.stack([g, np.full_like(g, 1.5)], axis=-1).astype(np.float32)
    up, gate = (QuantTensor(np.array(row, np.float32), "F32", (1, 2)) for row in ([0, 1], [1, 0]))
    y = up_gate(up, gate, x, name)[:, 0]
    with np.errstate(over="ignore"):
        expected = act(name, x[:, 1].astype(np.float64), x[:, 0].astype(np.float64))
    # The argument of the exponential is rounded to float32, which costs more the larger it is.
    np.testing.assert_allclose(y[:4001], expected[:4001], rtol=2e-5, atol=1e-14)
    near = np.abs(g) < 4
    np.testing.assert_allclose(y[near], expected[near], rtol=2e-6, atol=1e-36)
    np.testing.assert_allclose(y[4001:], expected[4001:].astype(np.float32), rtol=1e-5, atol=1e-36)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_no_numbers(name: Activation) -> None:
    """By the biases: infinity times a weight of zero would be NaN already."""
    zero = QuantTensor(np.zeros(2, np.float32), "F32", (1, 2))
    x = np.zeros((1, 2), np.float32)
    for u, g in product((1.5, np.nan, np.inf, -np.inf), repeat=2):
        y = up_gate(zero, zero, x, name, up_bias=np.array([u]), gate_bias=np.array([g]))[0]
        with np.errstate(invalid="ignore"):
            expected = act(name, np.array([u]), np.array([g]))
        np.testing.assert_allclose(y, expected, rtol=1e-6, err_msg=f"{u} {g}")


@pytest.mark.parametrize("pair", [("IQ4_K", "IQ4_K"), ("Q4_K", "Q6_K")], ids="+".join)
@pytest.mark.parametrize("limit", [None, 0.7, np.inf])
def test_biases_and_limit(pair: tuple[str, str], limit: float | None) -> None:
    up, gate = (experts(name, seed) for seed, name in enumerate(pair))
    scale = np.float32(1 / np.sqrt(np.mean(mul_mat(gate[0], activations(4, K)) ** 2)))
    rng = np.random.default_rng(1)
    up_bias, gate_bias = rng.standard_normal((2, EXPERTS, ROWS))
    for tokens, name in product((1, 20), ACTIVATIONS):
        ids, x = route(tokens, 2), scale * activations(tokens, 2, K)
        u, g = (routed(w.dequantize().astype(np.float64), x, ids) for w in (up, gate))
        kept = np.where((ids < 0) | (ids >= EXPERTS), 0, ids)
        expected = act(name, u + up_bias[kept], g + gate_bias[kept], limit)
        expected[(ids < 0) | (ids >= EXPERTS)] = 0
        for fused in ("auto", False):
            y = moe_up_gate(up, gate, x, ids, name, up_bias, gate_bias, limit, fused)
            assert error(y, expected) <= 2e-4
        dense = up_gate(up[1], gate[1], x, name, up_bias[1], gate_bias[1], limit)
        u, g = (x.astype(np.float64) @ w[1].dequantize().T for w in (up, gate))
        assert error(dense, act(name, u + up_bias[1], g + gate_bias[1], limit)) <= 2e-4


@pytest.mark.parametrize("name", ["IQ4_K", "Q4_0", "F32", "IQ2_XXS_R4"])
def test_dense_up_gate_is_that_of_one_expert(name: str) -> None:
    up, gate = experts(name, 1, 1), experts(name, 2, 1)
    for tokens in (0, 1, 7, 40):
        x = activations(tokens, K)
        ids = np.zeros((tokens, 1), np.int64)
        y = up_gate(up[0], gate[0], x)
        np.testing.assert_array_equal(y, moe_up_gate(up, gate, x, ids)[:, 0])
        np.testing.assert_array_equal(up_gate(up[0], gate[0], x.reshape(tokens, 1, K)), y[:, None])
        np.testing.assert_array_equal(mul_mat_id(up, x, ids)[:, 0], mul_mat(up[0], x))


def test_one_scale_for_a_whole_tensor() -> None:
    data = np.load(GOLDEN / "I2_S.npz")
    w = QuantTensor(data["raw"], "I2_S", data["decoded"].shape)
    x = activations(5, 1024)
    u = x.astype(np.float64) @ data["decoded"].T
    assert error(up_gate(w, w, x), act("silu", u, u)) <= 2e-4


@pytest.mark.parametrize("types", [("IQ4_K",) * 3, ("IQ4_K", "IQ5_K", "Q6_K"), ("F16",) * 3, ("IQ1_S_R4",) * 3])
@pytest.mark.parametrize("tokens", [1, 6, 130])
def test_a_whole_block_is_its_three_parts(types: tuple[str, str, str], tokens: int) -> None:
    up, gate = (experts(name, seed, rows=256) for seed, name in enumerate(types[:2]))
    down = experts(types[2], 3, rows=80, k=256)
    scale = np.float32(1 / np.sqrt(np.mean(mul_mat(gate[0], activations(4, K)) ** 2)))
    ids, x = route(tokens, 3), scale * activations(tokens, K)
    weights = np.random.default_rng(6).random((tokens, 3), np.float32)
    bias = np.random.default_rng(7).standard_normal((EXPERTS, 80)).astype(np.float32)
    there = (ids >= 0) & (ids < EXPERTS)

    def test(isa: str) -> None:
        for down_bias in (None, bias):
            y = moe_ffn(x, ids, weights, up, gate, down, "silu", limit=7, down_bias=down_bias)
            h = moe_up_gate(up, gate, x, ids, "silu", limit=7)
            parts = mul_mat_id(down, h, ids)
            if down_bias is not None:
                parts[there] += down_bias[ids[there]]
            expected = (parts.astype(np.float64) * weights[..., None]).sum(axis=1)
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=2e-6 * np.abs(parts).max())

    all_isas(test)


def test_large_calls_take_several_waves() -> None:
    """More packed activations than a wave's 32 MB, and experts cut in parts, against the dense product."""
    w = quantize(np.random.default_rng(1).standard_normal((3, 16, 8192), np.float32), "Q8_0")
    x = activations(2400, 8192)
    ids = np.stack([np.zeros(2400, np.int64), np.arange(2400) % 2 + 1], axis=1)
    y = mul_mat_id(w, x, ids)
    np.testing.assert_array_equal(y[:, 0], mul_mat(w[0], x))
    np.testing.assert_array_equal(y[::2, 1], mul_mat(w[1], x[::2]))
    np.testing.assert_array_equal(mul_mat(w[0], x)[:1152], mul_mat(w[0], x[:1152]))
    ones = np.ones((2400, 2), np.float32)
    up = quantize(np.random.default_rng(2).standard_normal((3, 8192, 32), np.float32), "Q8_0")
    z = moe_ffn(x[:, :32].copy(), ids, ones, up, up, w, "relu")
    h = moe_up_gate(up, up, x[:, :32].copy(), ids, "relu")
    np.testing.assert_allclose(z, mul_mat_id(w, h, ids).sum(axis=1), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("tokens", [1, 40])
@pytest.mark.parametrize("types", [("IQ4_K", "IQ4_K", "IQ4_K"), ("Q4_K", "Q6_K", "F16")])
def test_same_bits_for_any_number_of_threads(types: tuple[str, str, str], tokens: int) -> None:
    up, gate = (experts(name, seed, rows=1024) for seed, name in enumerate(types[:2]))
    down = experts(types[2], 3, rows=1040, k=1024)
    ids, x = route(tokens, 4), activations(tokens, K)
    weights = np.random.default_rng(6).random((tokens, 4), np.float32)

    def calls(threads: int) -> list[Floats]:
        return [
            mul_mat_id(up, x, ids, threads=threads),
            moe_up_gate(up, gate, x, ids, threads=threads),
            up_gate(up[0], gate[0], x, threads=threads),
            moe_ffn(x, ids, weights, up, gate, down, threads=threads),
        ]

    def test(isa: str) -> None:
        one = calls(1)
        for threads in (2, 3, 7):
            for y, first in zip(calls(threads), one, strict=True):
                np.testing.assert_array_equal(y.view(np.uint32), first.view(np.uint32), err_msg=isa)

    all_isas(test)


@pytest.mark.parametrize("name", ["IQ4_K", "Q4_K", "F16"])
@pytest.mark.parametrize("tokens", [4, 40])
def test_not_a_number_reaches_its_token_only(name: str, tokens: int) -> None:
    up, gate = (experts(name, seed, rows=256) for seed in (1, 2))
    down = experts(name, 3, rows=32, k=256)
    ids, x = route(tokens, 2), activations(tokens, K)
    ids[1] = 0, -1
    bad = x.copy()
    bad[1, 100], bad[3, 511] = np.nan, np.inf
    weights = np.ones((tokens, 2), np.float32)
    others = np.delete(np.arange(tokens), [1, 3])

    def test(isa: str) -> None:
        calls: tuple[Callable[[Floats], Floats], ...] = (
            lambda x: mul_mat_id(up, x, ids),
            lambda x: moe_up_gate(up, gate, x, ids),
            lambda x: moe_up_gate(up, gate, x, ids, fused=False),
            lambda x: moe_ffn(x, ids, weights, up, gate, down),
        )
        for call in calls:
            clean, y = call(x), call(bad)
            np.testing.assert_array_equal(y[others], clean[others], err_msg=isa)
            assert np.isnan(y[1, 0]).all() if y.ndim == 3 else np.isnan(y[1]).all()
            assert not (y.ndim == 3 and y[1, 1].any())
            there = (ids[3] >= 0) & (ids[3] < EXPERTS)
            assert not np.isfinite(y[3][there] if y.ndim == 3 else y[3]).any() or not there.any()

    all_isas(test)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64, ">i4"])
def test_ids_of_any_integer_type(dtype: str) -> None:
    w, x = experts("Q4_0", 1), activations(5, K)
    ids = np.arange(10).reshape(5, 2) % 7  # one is outside
    expected = mul_mat_id(w, x, ids)
    assert np.array_equal(mul_mat_id(w, x, ids.astype(dtype)), expected)
    assert np.array_equal(mul_mat_id(w, x, np.asfortranarray(ids.astype(dtype))), expected)
    assert np.array_equal(mul_mat_id(w, x, ids.tolist()), expected)
    largest = np.full((5, 2), np.iinfo(dtype).max, dtype)
    assert not mul_mat_id(w, x, largest).any()


def test_all_tokens_one_expert_and_none() -> None:
    w, x = experts("IQ4_K", 1), activations(50, K)
    np.testing.assert_array_equal(mul_mat_id(w, x, np.full((50, 1), 4))[:, 0], mul_mat(w[4], x))
    twice = mul_mat_id(w, x, np.full((50, 2), 4))  # the same expert again
    np.testing.assert_array_equal(twice[:, 0], twice[:, 1])
    out = np.full((50, 2, ROWS), np.nan, np.float32)
    assert mul_mat_id(w, x, np.full((50, 2), -1), out=out) is out
    assert not out.any()
    none = QuantTensor(b"", "IQ4_K", (0, ROWS, K))
    assert not mul_mat_id(none, x, np.zeros((50, 1), int)).any()
    empty = np.empty((0, 2), int)
    assert mul_mat_id(w, x[:0], empty).shape == (0, 2, ROWS)
    assert mul_mat_id(w, x, np.empty((50, 0), int)).shape == (50, 0, ROWS)
    down = experts("F32", 1, k=ROWS, rows=8)
    assert not moe_ffn(x, np.empty((50, 0), int), np.empty((50, 0)), w, w, down).any()
    assert moe_ffn(x[:0], empty, np.empty((0, 2)), w, w, down).shape == (0, 8)


def test_many_experts() -> None:
    w, x = experts("Q4_0", 1, 512, 16, 256), activations(300, 256)
    ids = np.argsort(np.random.default_rng(1).random((300, 512)), axis=1)[:, :16]
    y = mul_mat_id(w, x, ids)
    for e in (0, 77, 511):
        t, n = np.nonzero(ids == e)
        np.testing.assert_array_equal(y[t, n], mul_mat(w[e], x[t]))


@pytest.mark.parametrize("name", ["Q4_0", "IQ4_K_R4", "F16"])
def test_split(name: str) -> None:
    both = experts(name, 1)
    up, gate = split_up_gate(both)
    assert up.shape == gate.shape == (EXPERTS, ROWS // 2, K)
    assert np.shares_memory(up.raw, both.raw)
    decoded = both.dequantize()
    np.testing.assert_array_equal(gate.dequantize(), decoded[:, : ROWS // 2])
    np.testing.assert_array_equal(up.dequantize(dtype=np.float64), decoded[:, ROWS // 2 :])
    np.testing.assert_array_equal(up[1:3].dequantize(), decoded[1:3, ROWS // 2 :])
    assert up[2] == both[2][ROWS // 2 :]
    copied = QuantTensor(up.raw.copy(), name, up.shape)
    assert up == copied
    x, ids = activations(20, K), route(20, 2)
    np.testing.assert_array_equal(
        moe_up_gate(up, gate, x, ids), moe_up_gate(copied, QuantTensor(gate.raw.copy(), name, gate.shape), x, ids)
    )
    one_up, one_gate = split_up_gate(both[3])
    assert one_up == up[3]
    assert one_gate == gate[3]


def test_plan_tells_of_up_and_gate() -> None:
    same, other = experts("IQ4_K", 1), experts("IQ5_K", 1)
    p = plan(same[0], 4, gate=same[1])
    assert p.fused is True
    assert "one pass: type and shape agree" in p.why
    assert plan(same, 4, gate=same).fused is True
    assert plan(same[0], 4).fused is None
    p = plan(same[0], 4, gate=other[0])
    assert p.fused is False
    assert "types differ: up is IQ4_K of shape (48, 512), gate is IQ5_K" in p.why
    assert plan(same[0], 4, gate=same[0], fused=False).fused is False
    with pytest.raises(TypeError, match="types differ"):
        plan(same[0], 4, gate=other[0], fused=True)
    with pytest.raises(TypeError, match="gate must be an iqkcpu"):
        plan(same[0], 4, gate=other.raw)  # type: ignore[arg-type]


W = experts("Q4_0", 1, 2, 8, 64)
X, IDS, WEIGHTS = activations(3, 64), np.zeros((3, 2), int), np.ones((3, 2), np.float32)
DOWN = experts("Q4_0", 2, 2, 4, 32)
UP = experts("Q4_0", 3, 2, 32, 64)


@pytest.mark.parametrize("ids", [np.zeros((3, 2)), np.zeros((3, 2), bool), np.zeros((3, 2), object), [["a", "b"]] * 3])
def test_ids_that_are_no_integers(ids: ArrayLike) -> None:
    calls: tuple[Callable[[], object], ...] = (lambda: mul_mat_id(W, X, ids), lambda: moe_up_gate(W, W, X, ids))
    for call in calls:
        with pytest.raises(TypeError, match="ids must hold integers"):
            call()


@pytest.mark.parametrize("ids", [np.zeros(3, int), np.zeros((3, 2, 1), int), 0, np.zeros((4, 2), int)])
def test_ids_of_a_wrong_shape(ids: ArrayLike) -> None:
    with pytest.raises(ValueError, match="shape"):
        mul_mat_id(W, X, ids)


@pytest.mark.parametrize("shape", [(3, 63), (2, 64), (3, 1, 64), (3, 2, 63), (64,), (3, 2, 1, 64)])
def test_x_of_a_wrong_shape(shape: tuple[int, ...]) -> None:
    calls: tuple[Callable[[Floats], Floats], ...] = (
        lambda x: mul_mat_id(W, x, IDS),
        lambda x: moe_up_gate(W, W, x, IDS),
        lambda x: moe_ffn(x, IDS, WEIGHTS, UP, UP, DOWN),
    )
    for call in calls:
        with pytest.raises(ValueError, match="x has shape"):
            call(np.ones(shape, np.float32))


def test_x_of_a_wrong_kind() -> None:
    x = np.ones((3, 64), int)
    calls: tuple[Callable[[], object], ...] = (lambda: mul_mat_id(W, x, IDS), lambda: up_gate(W[0], W[0], x))
    for call in calls:
        with pytest.raises(TypeError, match="x must hold float32"):
            call()


def test_weights_that_do_not_fit_together() -> None:
    other = experts("Q8_0", 1, 2, 8, 64)
    calls: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (ValueError, "w must be a stack of experts", lambda: mul_mat_id(W[0], X, IDS)),
        (ValueError, "up must be a matrix", lambda: up_gate(W, W[0], X)),
        (ValueError, "gate must be a matrix", lambda: up_gate(W[0], W, X)),
        (ValueError, "gate must be a stack", lambda: moe_up_gate(W, W[0], X, IDS)),
        (TypeError, "gate must be an iqkcpu.QuantTensor", lambda: up_gate(W[0], X, X)),  # type: ignore[arg-type]
        (ValueError, r"up has shape \(8, 64\), gate has \(4, 64\)", lambda: up_gate(W[0], W[0][:4], X)),
        (ValueError, "up has shape", lambda: moe_up_gate(W, W[:1], X, IDS)),
        (TypeError, r"up is Q4_0 of shape \(8, 64\), gate is Q8_0 of", lambda: up_gate(W[0], other[0], X, fused=True)),
        (TypeError, r"up is Q4_0 of shape \(2, 8, 64\)", lambda: moe_up_gate(W, other, X, IDS, fused=True)),
        (TypeError, "shapes differ", lambda: up_gate(W[0], W[0][:4], X, fused=True)),
        (ValueError, "fused must be", lambda: up_gate(W[0], W[0], X, fused="yes")),  # type: ignore[arg-type]
        (TypeError, "fused must be", lambda: up_gate(W[0], W[0], X, fused=1)),  # type: ignore[arg-type]
        (ValueError, "unknown activation", lambda: up_gate(W[0], W[0], X, "swish")),  # type: ignore[arg-type]
        (ValueError, "limit must be above 0", lambda: up_gate(W[0], W[0], X, limit=0)),
        (ValueError, "limit must be above 0", lambda: up_gate(W[0], W[0], X, limit=np.nan)),
        (ValueError, "up_bias has shape", lambda: up_gate(W[0], W[0], X, up_bias=np.ones(7))),
        (ValueError, "gate_bias has shape", lambda: moe_up_gate(W, W, X, IDS, gate_bias=np.ones(8))),
        (TypeError, "up_bias must hold", lambda: up_gate(W[0], W[0], X, up_bias=np.ones(8, int))),
        (ValueError, "down has shape", lambda: moe_ffn(X, IDS, WEIGHTS, UP, UP, W)),
        (ValueError, "down has shape", lambda: moe_ffn(X, IDS, WEIGHTS, UP, UP, DOWN[:1])),
        (ValueError, "weights has shape", lambda: moe_ffn(X, IDS, WEIGHTS[:, :1], UP, UP, DOWN)),
        (TypeError, "weights must hold", lambda: moe_ffn(X, IDS, IDS, UP, UP, DOWN)),
        (ValueError, "down_bias has", lambda: moe_ffn(X, IDS, WEIGHTS, UP, UP, DOWN, down_bias=np.ones(4))),
        (ValueError, "threads", lambda: mul_mat_id(W, X, IDS, threads=0)),
        (ValueError, "same number", lambda: split_up_gate(W[0][:3])),
        (ValueError, "cut through a group", lambda: split_up_gate(experts("Q4_0_R8", 1, 2, 8, 64))),
        (ValueError, "cut through a group", lambda: split_up_gate(experts("Q4_0_R8", 1, 2, 8, 64)[0])),
    ]
    for kind, message, call in calls:
        with pytest.raises(kind, match=message):
            call()


def test_out() -> None:
    out = np.full((3, 2, 8), 7, np.float32)
    wrong = (np.zeros((3, 2, 9), np.float32), np.zeros((3, 2, 8)), np.zeros((2, 3, 8), np.float32).swapaxes(0, 1))
    for bad in wrong:
        with pytest.raises(ValueError, match="out"):
            mul_mat_id(W, X, IDS, out=bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="out"):
            moe_up_gate(W, W, X, IDS, out=bad)  # type: ignore[arg-type]
        assert not bad.any()
    memory = np.zeros(3 * 64, np.float32)
    with pytest.raises(ValueError, match="out overlaps x"):
        mul_mat_id(W, memory.reshape(3, 64), IDS, out=memory[:48].reshape(3, 2, 8))
    with pytest.raises(ValueError, match="out overlaps ids"):
        mul_mat_id(W, X, memory.view(np.int64)[:6].reshape(3, 2), out=memory[:48].reshape(3, 2, 8))
    with pytest.raises(ValueError, match="out overlaps weights"):
        moe_ffn(X, IDS, memory[:6].reshape(3, 2), UP, UP, DOWN, out=memory[:12].reshape(3, 4))
    with pytest.raises(ValueError, match="out overlaps up_bias"):
        up_gate(W[0], W[0], X, up_bias=memory[:8], out=memory[:24].reshape(3, 8))
    assert moe_up_gate(W, W, X, IDS, out=out) is out
    np.testing.assert_array_equal(out, moe_up_gate(W, W, X, IDS))
    dense = np.empty((3, 8), np.float32)
    assert up_gate(W[0], W[0], X, out=dense) is dense
    sums = np.full((3, 4), np.nan, np.float32)
    assert moe_ffn(X, IDS, WEIGHTS, UP, UP, DOWN, out=sums) is sums
    np.testing.assert_array_equal(sums, moe_ffn(X, IDS, WEIGHTS, UP, UP, DOWN))


def test_the_example() -> None:
    reports = moe_block.compare(moe_block.Shape(8, 2, 256, 256), batches=(1, 20), seconds=0)
    assert [r.fused for r in reports] == [True, False, True]
    for report in reports:
        assert 0.01 < report.error < 0.2
        assert "tokens/s at 20" in str(report)


def test_repacking_in_place_changes_what_is_multiplied() -> None:
    w, x, ids = experts("IQ4_K", 1), activations(20, K), route(20, 2)
    w = QuantTensor(w.raw.copy(), w.type, w.shape)
    before = mul_mat_id(w, x, ids)
    repacked = iqkcpu.repack(w)
    iqkcpu.repack(w, inplace=True)
    after = mul_mat_id(w, x, ids)
    np.testing.assert_array_equal(after, mul_mat_id(repacked, x, ids))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4 * np.abs(before).max())
    plain = experts("IQ4_K", 1)
    with pytest.raises(ValueError, match="view of another"):
        iqkcpu.repack(split_up_gate(plain)[0], inplace=True)
    assert iqkcpu.repack(split_up_gate(plain)[0]) == split_up_gate(iqkcpu.repack(plain))[0]

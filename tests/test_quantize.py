"""Do the quantizers keep their promises: shared rules bit for bit, errors below the goldens', clean edges?"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import iqkcpu
from iqkcpu import QuantTensor, quantize

GOLDEN = Path(__file__).parent / "golden"
INPUTS = np.load(GOLDEN / "inputs.npz")
WEIGHTS, IMATRIX, TERNARY = INPUTS["weights"], INPUTS["imatrix"], INPUTS["ternary"]
RNG = np.random.default_rng(11)
NORMAL = RNG.standard_normal((64, 2048), np.float32)

FLOATS = ("F32", "F16", "BF16")
TERNARY_TYPES = ("IQ1_BN", "IQ2_BN", "TQ1_0", "TQ2_0")
ABLE = [name for name, t in iqkcpu.types.items() if t._info.can_quantize]
REPACKED = [name for name, t in iqkcpu.types.items() if t.base is not None and t.base.name in ABLE]
BLOCKS = [name for name in ABLE if name not in FLOATS]
SEARCHED = [name for name in BLOCKS if name not in TERNARY_TYPES]
# Types that have a rule for quantization without importances, which all programs share.
BY_RULE = ("Q8_0", "MXFP4", "Q1_0_G128", "Q8_KV")
# Codes stand for 2, 4 or 8 weights: what they can be is a small part of all combinations of levels.
TRELLISES = ("IQ1_KT", "IQ2_KT", "IQ3_KT", "IQ4_KT")
GRIDS = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S")
# Neither their integer scales nor their levels are zero: a group of zeros beside others becomes something small. The
# groups of the second list have no scale of their own but that of the row.
WITHOUT_ZERO_GROUPS = ("IQ3_K", *GRIDS)
WITHOUT_ZERO_BLOCKS = ("IQ4_KS", "IQ5_KS", "IQ4_KSS", "IQ1_KT", "IQ2_KT")

CONSTANTS = (0.7, -3.0, 1000.0, 1e-3)

Array = NDArray[np.float32]


def decode(a: Array, name: str, imatrix: Array | None = None) -> Array:
    return quantize(a, name, imatrix=imatrix).dequantize()


def errors(a: Array, decoded: Array, importance: Array | None = None) -> NDArray[np.float64]:
    """Relative squared errors of the rows."""
    w = np.ones(a.shape[1]) if importance is None else importance.astype(np.float64)
    x, y = a.astype(np.float64), decoded.astype(np.float64)
    norm = (w * x**2).sum(1)
    relative: NDArray[np.float64] = (w * (x - y) ** 2).sum(1) / np.where(norm > 0, norm, 1)
    return relative


# ---- The rules that all programs share --------------------------------------------------------------------------


def halves(d: Array) -> NDArray[np.uint8]:
    return d.astype(np.float16)[:, None].view(np.uint8)


def inverse(d: Array) -> Array:
    return np.asarray(np.where(d == 0, np.float32(0), np.float32(1) / np.where(d == 0, np.float32(1), d)), np.float32)


def q8_0_rule(x: Array) -> list[NDArray[np.uint8]]:
    d = np.abs(x).max(1) / np.float32(127)
    t = (x * inverse(d)[:, None]).astype(np.float64)
    return [halves(d), np.trunc(t + np.copysign(0.5, t)).astype(np.int8).view(np.uint8)]


def test_q8_0_follows_the_rule_bit_for_bit() -> None:
    grid: Array = (np.round(NORMAL[:8] * 4) / 4).astype(np.float32)  # many ties
    inputs: tuple[Array, ...] = (WEIGHTS, NORMAL, grid, NORMAL * np.float32(1e-3))
    for a in inputs:
        raw = np.concatenate(q8_0_rule(a.reshape(-1, 32)), 1)
        assert np.array_equal(quantize(a, "Q8_0").raw, raw.reshape(len(a), -1))


@pytest.mark.parametrize("name", ["F16", "BF16", "Q8_0", "MXFP4", "Q1_0_G128", "Q8_KV"])
def test_bytes_are_those_of_the_goldens(name: str) -> None:
    assert np.array_equal(quantize(WEIGHTS, name).raw, np.load(GOLDEN / f"{name}.npz")["raw"])


@pytest.mark.parametrize("name", ["IQ1_BN", "IQ2_BN"])
def test_ternary_bytes_are_those_of_the_goldens(name: str) -> None:
    assert np.array_equal(quantize(TERNARY, name).raw, np.load(GOLDEN / f"{name}.npz")["raw"])


# ---- Errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEARCHED)
def test_the_error_with_importances_is_at_most_that_of_the_golden(name: str) -> None:
    golden = np.load(GOLDEN / f"{name}.npz")["decoded"]
    error = errors(WEIGHTS, decode(WEIGHTS, name, IMATRIX), IMATRIX)
    assert error.mean() <= errors(WEIGHTS, golden, IMATRIX).mean()


@pytest.mark.parametrize("name", [name for name in SEARCHED if name not in BY_RULE])
def test_the_error_without_importances_is_at_most_that_of_the_golden(name: str) -> None:
    golden = np.load(GOLDEN / f"{name}.npz")["decoded"]
    assert errors(WEIGHTS, decode(WEIGHTS, name)).mean() <= errors(WEIGHTS, golden).mean()


# Of normally distributed weights without importances.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Q4_0", 0.0067),
        ("Q4_K", 0.0050),
        ("Q6_K", 0.00029),
        ("IQ4_XS", 0.0056),
        ("IQ4_K", 0.0039),
        ("IQ5_K", 0.0010),
        ("IQ6_K", 0.00023),
        ("IQ3_K", 0.017),
        ("IQ2_K", 0.078),
        ("IQ2_KS", 0.097),
        ("IQ4_KS", 0.0052),
        ("IQ2_XXS", 0.118),
        ("IQ2_XS", 0.089),
        ("IQ2_S", 0.062),
        ("IQ3_XXS", 0.033),
        ("IQ3_S", 0.019),
        ("IQ1_S", 0.236),
        ("IQ1_M", 0.197),
        ("IQ2_KL", 0.0525),
        ("IQ1_KT", 0.150),
        ("IQ2_KT", 0.088),
        ("IQ3_KT", 0.0236),
        ("IQ4_KT", 0.0079),
        ("NVFP4", 0.0068),
    ],
)
def test_the_error_of_normal_weights(name: str, expected: float) -> None:
    assert errors(NORMAL, decode(NORMAL, name)).mean() <= expected


@pytest.mark.parametrize("name", [name for name in SEARCHED if name not in ("Q8_0", "Q8_KV")])
def test_importances_lower_the_weighted_error(name: str) -> None:
    importance = RNG.exponential(1, 2048).astype(np.float32)
    with_importance = errors(NORMAL, decode(NORMAL, name, importance), importance).mean()
    assert with_importance < errors(NORMAL, decode(NORMAL, name), importance).mean()


@pytest.mark.parametrize("name", TERNARY_TYPES)
@pytest.mark.parametrize("imatrix", [None, IMATRIX])
def test_ternary_weights_are_kept_exactly(name: str, imatrix: Array | None) -> None:
    scale = np.repeat(RNG.integers(1, 2000, (16, 1)), 1024, 1).astype(np.float32) / 2048
    for a in (TERNARY, np.sign(TERNARY) * scale):
        assert np.array_equal(decode(a, name, imatrix), a)


@pytest.mark.parametrize("name", TERNARY_TYPES)
def test_other_weights_get_the_best_ternary_scale(name: str) -> None:
    # 0.1902 is the error of the optimal ternary quantizer of a normal distribution.
    assert errors(NORMAL, decode(NORMAL, name)).mean() < 0.191


# ---- Codebooks --------------------------------------------------------------------------------------------------


def test_codes_are_the_nearest_of_the_codebook() -> None:
    """IQ2_XXS: of all 256 entries with all even signs, for the scale that was chosen, the best."""
    entries = np.zeros((1, 8, 66), np.uint8)
    entries[..., 1] = 0x48  # d = 8: with the smallest scale, entries decode to themselves
    entries[:, :, 2:].reshape(8, 8, 8)[..., :4] = np.arange(256).reshape(8, 8, 4)
    grid = QuantTensor(entries.reshape(1, -1), "IQ2_XXS", (1, 2048)).dequantize().reshape(256, 8)
    assert sorted(np.unique(grid)) == [8, 25, 43]

    a, importance = NORMAL[:4], RNG.exponential(1, 2048).astype(np.float32)
    w = quantize(a, "IQ2_XXS", imatrix=importance)
    blocks = w.raw.reshape(-1, 66)
    d = blocks[:, :2].copy().view(np.float16).astype(np.float64)
    scales = d * (2 * (blocks[:, 9::8] >> 4) + 1) / 8
    x, y = (np.abs(v.astype(np.float64)).reshape(-1, 8) for v in (a, w.dequantize()))
    weight = np.tile(importance.astype(np.float64), 4).reshape(-1, 8)
    step = np.repeat(scales.reshape(-1), 4)[:, None, None]
    wrong = np.abs(np.sign(a) - np.sign(w.dequantize())).reshape(-1, 8) > 0
    error = (weight * (np.where(wrong, -1, 1) * x - y) ** 2).sum(1)
    each = weight[:, None] * (x[:, None] - step * grid) ** 2
    with_wrong_sign = (each.sum(2)[..., None] + 4 * weight[:, None] * x[:, None] * step * grid).min(2)
    odd = (a < 0).reshape(-1, 8).sum(1) % 2 == 1
    least = np.where(odd, with_wrong_sign.min(1), each.sum(2).min(1))
    assert (error >= least * (1 - 1e-5)).all()
    # Entries are looked for around the scale that a group would have on its own. Few get one far from it.
    assert (error <= least * (1 + 1e-5)).mean() > 0.95
    assert error.sum() < 1.002 * least.sum()


# ---- Edges ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "instead"),
    [("IQ2_XXS", "IQ4_NL"), ("IQ4_K", "IQ4_NL"), ("Q5_K", "Q5_0"), ("IQ6_K", "Q8_0"), ("IQ5_KS", "Q5_0")],
)
def test_rows_that_no_block_divides_have_a_usual_type(name: str, instead: str) -> None:
    with pytest.raises(ValueError, match=f"K = 384 .* block of {name}; {instead} is the usual"):
        quantize(WEIGHTS[:4, :384], name)
    quantize(WEIGHTS[:4, :384], instead)


@pytest.mark.parametrize("name", REPACKED)
def test_types_of_rows_stored_together_are_their_base_repacked(name: str) -> None:
    t, a = iqkcpu.Type(name), WEIGHTS[:16]
    base = t.base
    assert base is not None
    seen: list[tuple[int, int]] = []
    w = quantize(a, name, imatrix=IMATRIX, progress=lambda done, total: seen.append((done, total)))
    assert w.type is t
    assert seen[-1] == (16, 16)
    assert w == iqkcpu.repack(quantize(a, base, imatrix=IMATRIX), t)
    with pytest.raises(ValueError, match="rows"):
        quantize(a[:3], name)


@pytest.mark.parametrize("name", ABLE)
@pytest.mark.parametrize("imatrix", [None, IMATRIX])
def test_zero_rows_stay_zero(name: str, imatrix: Array | None) -> None:
    a = NORMAL[:3, :1024].copy()
    a[1] = 0
    assert not decode(a, name, imatrix)[1].any()


@pytest.mark.parametrize("name", [name for name in ABLE if name not in WITHOUT_ZERO_BLOCKS])
def test_zero_blocks_stay_zero(name: str) -> None:
    a = NORMAL[:1, :1024].copy()
    a[0, 256:512] = 0
    assert not decode(a, name)[0, 256:512].any()


@pytest.mark.parametrize(
    "name", [name for name in ABLE if name not in (*WITHOUT_ZERO_GROUPS, *WITHOUT_ZERO_BLOCKS, "Q1_0_G128")]
)
def test_zero_groups_of_32_stay_zero(name: str) -> None:
    a = NORMAL[:1, :1024].copy()
    a[0, 64:96] = 0
    assert not decode(a, name)[0, 64:96].any()


@pytest.mark.parametrize("name", [name for name in BLOCKS if name not in TERNARY_TYPES])
@pytest.mark.parametrize("imatrix", [None, IMATRIX])
@pytest.mark.parametrize("size", [1e-44, 1e-30, 1e-7, 1e5, 1e30, 3e38])
def test_tiny_and_huge_weights_stay_finite(name: str, imatrix: Array | None, size: float) -> None:
    a = RNG.uniform(-1, 1, (4, 1024)).astype(np.float32) * np.float32(size)
    assert np.isfinite(decode(a, name, imatrix)).all()


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("imatrix", [None, IMATRIX])
def test_one_huge_weight_among_others_stays_finite(name: str, imatrix: Array | None) -> None:
    a = NORMAL[:2, :1024].copy()
    a[0, 3], a[1, 700] = 1e30, -3e38
    assert np.isfinite(decode(a, name, imatrix)).all()


@pytest.mark.parametrize("name", [name for name in SEARCHED if name not in ("MXFP4", "Q1_0_G128", *GRIDS, *TRELLISES)])
@pytest.mark.parametrize("value", CONSTANTS)
def test_constant_rows(name: str, value: float) -> None:
    a = np.full((1, 1024), value, np.float32)
    assert errors(a, decode(a, name, IMATRIX)).max() < 1e-3


@pytest.mark.parametrize("name", [*GRIDS, *TRELLISES])
@pytest.mark.parametrize("value", CONSTANTS)
def test_constant_rows_are_not_much_worse_than_others(name: str, value: float) -> None:
    a = np.full((1, 1024), value, np.float32)
    assert errors(a, decode(a, name, IMATRIX)).max() < 3 * errors(NORMAL[:8], decode(NORMAL[:8], name)).mean()


@pytest.mark.parametrize("name", SEARCHED)
@pytest.mark.parametrize(
    "importance",
    [
        np.zeros(2048),
        np.repeat([0.0, 1.0], 1024),
        np.arange(2048) // 16 % 2,
        np.full(2048, 1e-38),
        np.full(2048, 3e38),
        10.0 ** np.linspace(-38, 38, 2048),
        np.eye(1, 2048)[0],
    ],
)
def test_weights_of_no_importance_are_still_quantized_well(name: str, importance: NDArray[np.float64]) -> None:
    plain = errors(NORMAL[:8], decode(NORMAL[:8], name)).mean()
    assert errors(NORMAL[:8], decode(NORMAL[:8], name, importance.astype(np.float32))).mean() < 2 * plain + 1e-6


@pytest.mark.parametrize("name", SEARCHED)
def test_only_relative_importance_counts(name: str) -> None:
    importance = RNG.exponential(1, 2048).astype(np.float32)
    assert np.array_equal(
        quantize(NORMAL[:4], name, imatrix=importance).raw, quantize(NORMAL[:4], name, imatrix=importance * 64).raw
    )


# ---- Rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ABLE)
@pytest.mark.parametrize("imatrix", [None, IMATRIX])
def test_rows_do_not_depend_on_their_neighbours(name: str, imatrix: Array | None) -> None:
    assert np.array_equal(
        quantize(WEIGHTS, name, imatrix=imatrix).raw[5:7], quantize(WEIGHTS[5:7], name, imatrix=imatrix).raw
    )


@pytest.mark.parametrize("name", ABLE)
def test_bytes_do_not_depend_on_threads(name: str) -> None:
    assert np.array_equal(quantize(NORMAL, name, threads=1).raw, quantize(NORMAL, name, threads=5).raw)


@pytest.mark.parametrize("name", ABLE)
def test_bytes_do_not_depend_on_the_instruction_set(name: str) -> None:
    raws = []
    for isa in iqkcpu.isas():
        with iqkcpu.use_isa(isa):
            raws.append(quantize(WEIGHTS, name, imatrix=IMATRIX).raw)
    assert all(np.array_equal(raw, raws[0]) for raw in raws)


# ---- Refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ABLE)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_position(name: str, value: float) -> None:
    a = np.ones((70, 1024), np.float32)
    a[60, 33] = a[69, 0] = value
    with pytest.raises(ValueError, match=r"60, (column )?33"):
        quantize(a, name)


@pytest.mark.parametrize(("name", "largest"), [("F16", 65519.996), ("BF16", 3.3961774e38)])
def test_what_a_float_type_cannot_hold_is_refused(name: str, largest: float) -> None:
    a = np.ones((2, 64), np.float32)
    a[1, 5] = -largest
    assert np.isfinite(decode(a, name)).all()
    a[1, 5] = np.nextafter(np.float32(-largest), np.float32(-np.inf))
    with pytest.raises(ValueError, match=f"row 1, column 5 is .* too large for {name}"):
        quantize(a, name)


def test_types_without_a_quantizer_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no quantizer for Q8_K_R8"):
        quantize(NORMAL[:8], "Q8_K_R8")

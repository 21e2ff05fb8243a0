"""Does repacking give the bytes that files have, and unpacking the bytes of before?"""

import zlib
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import iqkcpu
from iqkcpu import QuantTensor, RepackPlan, Type, get_rows, repack, repack_plan, unpack

GOLDEN = Path(__file__).parent / "golden"
INTERLEAVED = [t for t in iqkcpu.types.values() if t.base is not None]
OLD = ("Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8")  # layouts that are made on demand only
NAMES = [t.name for t in INTERLEAVED]

# CRC-32 of 16 x 512 weights repacked from the bytes of `lcg_bytes`, as another program gives it.
CHECKSUMS = {
    "Q4_0_R8": 0x7C54732B,
    "Q5_0_R4": 0x1963A90B,
    "Q8_0_R8": 0xE5F84251,
    "Q2_K_R4": 0x6808E5D0,
    "Q3_K_R4": 0x2869ED9D,
    "Q4_K_R4": 0xD2051885,
    "Q5_K_R4": 0x516B2C03,
    "Q6_K_R4": 0x62264B8B,
    "IQ2_XXS_R4": 0xA78864DF,
    "IQ2_XS_R4": 0x7E6F1165,
    "IQ3_XXS_R4": 0x496893CA,
    "IQ4_NL_R4": 0x5C9A98EE,
    "IQ3_S_R4": 0xD905F279,
    "IQ2_S_R4": 0x43771D98,
    "IQ4_XS_R8": 0x4671B909,
    "BF16_R16": 0x532C9501,
    "Q6_0_R4": 0xB3C12FED,
    "IQ2_BN_R4": 0xA2926081,
    "IQ2_K_R4": 0x13A1E1D6,
    "IQ3_K_R4": 0x8B15E5AB,
    "IQ4_K_R4": 0xC6527A91,
    "IQ5_K_R4": 0x680D5279,
    "IQ4_KS_R4": 0x2B93023E,
    "IQ5_KS_R4": 0x590B7AED,
    "MXFP4_R8": 0x932A083E,
    "Q8_KV_R8": 0xB5A4DEB9,
}


def lcg_bytes(count: int) -> bytes:
    def states() -> Iterator[int]:
        x = 1
        for _ in range(count):
            x = (1664525 * x + 1013904223) % 2**32
            yield x >> 24

    return bytes(states())


def base_of(name: str) -> Type:
    base = Type(name).base
    assert base is not None
    return base


def random_tensor(base: Type, shape: tuple[int, ...], seed: int = 0) -> QuantTensor:
    """Random bytes; the sums that Q8_KV has in its rows are right."""
    rows, k = int(np.prod(shape[:-1])), shape[-1]
    raw = np.random.default_rng(seed).integers(0, 256, (rows, base.row_bytes(k)), np.uint8)
    if base.name == "Q8_KV":
        raw[:, 4:8] = raw[:, 8:].view(np.int8).sum(1, dtype=np.int32)[:, None].view(np.uint8)
    return QuantTensor(raw, base, shape)


def test_every_pair_is_known() -> None:
    assert {*CHECKSUMS, *OLD} == set(NAMES)
    repacked = {t.repacked.name for t in iqkcpu.types.values() if t.repacked}
    assert repacked == set(CHECKSUMS)


@pytest.mark.parametrize("name", CHECKSUMS)
def test_bytes_are_those_of_other_programs(name: str) -> None:
    base = base_of(name)
    w = QuantTensor(lcg_bytes(16 * base.row_bytes(512)), base, (16, 512))
    r = repack(w)
    assert r.type.name == name
    assert zlib.crc32(r.raw.tobytes()) == CHECKSUMS[name]


@pytest.mark.parametrize("name", NAMES)
def test_goldens(name: str) -> None:
    """The goldens of a type and of its base were made of the same weights."""
    base = base_of(name)
    with np.load(GOLDEN / f"{base.name}.npz") as plain, np.load(GOLDEN / f"{name}.npz") as interleaved:
        w, r = QuantTensor(plain["raw"], base, (16, 1024)), QuantTensor(interleaved["raw"], name, (16, 1024))
    back = unpack(r)
    assert back.type is base
    assert repack(back, name) == r
    assert np.array_equal(back.dequantize(), r.dequantize())
    made = repack(w, name)
    assert np.array_equal(made.dequantize(), w.dequantize())
    assert made == r


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(
    groups=st.integers(0, 5),
    blocks=st.integers(1, 9),
    experts=st.integers(0, 3),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_inverse_is_exact(name: str, groups: int, blocks: int, experts: int, threads: int, seed: int) -> None:
    t, base = Type(name), base_of(name)
    shape: tuple[int, ...] = (groups * t.interleave, blocks * max(2, t.block_size))
    if experts:
        shape = (experts, *shape)
    w = random_tensor(base, shape, seed)
    before = w.raw.copy()
    r = repack(w, name, threads=threads)
    assert (r.type, r.shape) == (t, shape)
    assert np.array_equal(w.raw, before)
    assert unpack(r, threads=threads) == w
    for e in range(experts):  # no group of rows spans two experts
        assert repack(w[e], name) == r[e]

    memory = before.copy()
    same = QuantTensor(memory, base, shape)
    assert repack(same, name, inplace=True, threads=threads) is same
    assert same == r
    assert same.raw.size == 0 or np.shares_memory(same.raw, memory)
    assert np.array_equal(same.dequantize().view(np.uint32), r.dequantize().view(np.uint32))


def test_large_tensors_in_many_threads() -> None:
    for name in ("Q4_K_R4", "Q8_KV_R8", "Q4_0_R8", "BF16_R16"):
        w = random_tensor(base_of(name), (512, 4096))
        one = repack(w, threads=1)
        assert repack(w, threads=5) == one
        assert unpack(one, threads=5) == w
        assert repack(QuantTensor(w.raw.copy(), w.type, w.shape), inplace=True, threads=5) == one


def test_wrong_sums_of_q8_kv_are_put_right() -> None:
    w = random_tensor(Type("Q8_KV"), (8, 64))
    wrong = w.raw.copy()
    wrong[:, 4:8] = 7
    assert unpack(repack(QuantTensor(wrong, "Q8_KV", (8, 64)))) == w


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_floats_are_cut_to_bfloat16(dtype: type[np.floating]) -> None:
    a = np.random.default_rng(0).standard_normal((32, 10)).astype(dtype)
    name = {"float32": "F32", "float16": "F16"}[np.dtype(dtype).name]
    w = QuantTensor(a.copy(), name, a.shape)
    assert not repack_plan(w, "BF16_R16").exact
    assert repack_plan(w).target is Type(name).repacked
    r = repack(w, "BF16_R16")
    cut = (a.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert np.array_equal(r.dequantize(), cut)
    assert np.array_equal(unpack(r).raw.view(ml_dtypes.bfloat16).astype(np.float32), cut)
    assert repack(w, "BF16_R16", inplace=True) == r
    assert w == r


def test_products_are_the_same() -> None:
    rng = np.random.default_rng(0)
    w = iqkcpu.quantize(rng.standard_normal((16, 512), np.float32), "IQ4_NL")
    x = rng.standard_normal((3, 512), np.float32)
    for isa in iqkcpu.isas():
        with iqkcpu.use_isa(isa):
            np.testing.assert_allclose(iqkcpu.mul_mat(repack(w), x), iqkcpu.mul_mat(w, x), rtol=1e-3, atol=1e-3)


def test_what_stays_and_why() -> None:
    def why(w: QuantTensor, type: str | None = None) -> str:
        plan = repack_plan(w, type)
        assert plan.target is None
        assert (plan.source, plan.nbytes, plan.exact) == (w.type, w.nbytes, True)
        return plan.why

    q4_k, q4_1 = random_tensor(Type("Q4_K"), (6, 256)), random_tensor(Type("Q4_1"), (8, 32))
    bf16, r4 = random_tensor(Type("BF16"), (16, 3)), repack(random_tensor(Type("Q4_K"), (4, 256)))
    assert "6 rows are not a multiple of the 4 that Q4_K_R4 stores together" in why(q4_k)
    assert "Q4_1 has no repacked form" in why(q4_1)
    assert "K = 3" in why(bf16)
    assert "stores 4 rows together already" in why(r4)
    for w in (q4_k, q4_1, bf16, r4):
        assert repack(w) is w
        assert repack(w, inplace=True) is w
    assert unpack(q4_k) is q4_k
    assert repack(r4, "Q4_K_R4") is r4
    experts = random_tensor(Type("Q4_K"), (4, 6, 256))  # 24 rows, but 6 of each expert
    assert repack(experts) is experts


def test_a_plan_says_what_comes() -> None:
    w = random_tensor(Type("Q8_KV"), (16, 64))
    plan = repack_plan(w)
    assert plan == RepackPlan(
        Type("Q8_KV"), Type("Q8_KV_R8"), 16 * 68, True, "8 rows are stored together, no weight changes"
    )
    assert repack(w).nbytes == plan.nbytes


def test_refusals() -> None:
    w = random_tensor(Type("Q4_0"), (6, 32))
    with pytest.raises(ValueError, match="6 rows are not a multiple of the 8"):
        repack(w, "Q4_0_R8")
    with pytest.raises(ValueError, match=r"Q4_0 cannot become Q4_K_R4; it can become Q4_0_4_4 or .*Q4_0_R8"):
        repack(w, "Q4_K_R4")
    with pytest.raises(ValueError, match=r"near matches:.*Q4_0_R8"):
        repack(w, "Q4_0R8")
    with pytest.raises(ValueError, match="threads must be at least 1"):
        repack(w, threads=0)
    with pytest.raises(ValueError, match="threads must be at least 1"):
        unpack(w, threads=0)
    for call in (repack, unpack, repack_plan):
        with pytest.raises(TypeError, match="QuantTensor"):
            call(w.raw)  # type: ignore[arg-type]


def test_in_place_needs_memory_of_its_own() -> None:
    bytes_ = random_tensor(Type("Q4_0"), (16, 32)).raw.copy()
    read_only = bytes_.copy()
    read_only.flags.writeable = False
    for w in (
        QuantTensor(bytes_.tobytes(), "Q4_0", (16, 32)),
        QuantTensor(read_only, "Q4_0", (16, 32)),
        QuantTensor(bytes_, "Q4_0", (16, 32))[:8],
    ):
        with pytest.raises(ValueError, match="in place"):
            repack(w, inplace=True)
        assert w.type.name == "Q4_0"
    assert QuantTensor(bytearray(bytes_), "Q4_0", (16, 32)) == QuantTensor(bytes_, "Q4_0", (16, 32))


PLAIN = [t.name for t in iqkcpu.types.values() if t.interleave == 1]


@pytest.mark.parametrize("name", PLAIN)
def test_rows(name: str) -> None:
    with np.load(GOLDEN / f"{name}.npz") as golden:
        w = QuantTensor(golden["raw"].ravel(), name, golden["decoded"].shape)
    decoded = w.dequantize()
    for ids in ([3, 0, 15, 3], [[1], [2]], 7, [], np.array([[5, 5]], np.uint8)):
        rows: NDArray[np.float32] = get_rows(w, ids)
        assert rows.dtype == np.float32
        assert np.array_equal(rows, decoded[np.asarray(ids, np.intp)])


def test_rows_that_cannot_be_had() -> None:
    w = random_tensor(Type("Q4_0"), (16, 32))
    for ids in (16, [0, -1], [2**40]):
        with pytest.raises(IndexError, match=r"outside of 0\.\.15"):
            get_rows(w, ids)
    for wrong in ([0.0], ["a"], [None], [True]):
        with pytest.raises(TypeError, match="integers"):
            get_rows(w, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stores 8 rows together"):
        get_rows(repack(w), [0])
    with pytest.raises(ValueError, match="experts"):
        get_rows(random_tensor(Type("Q4_0"), (2, 16, 32)), [0])
    with pytest.raises(ValueError, match="threads"):
        get_rows(w, [0], threads=0)
    with pytest.raises(TypeError, match="QuantTensor"):
        get_rows(w.raw, [0])  # type: ignore[arg-type]

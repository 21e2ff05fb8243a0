"""Is the table of types complete, and do its objects behave as values?"""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

import iqkcpu

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_TYPES = sorted(file.stem for file in GOLDEN.glob("*.npz") if file.stem != "inputs")


def test_names_and_ids_find_the_same_objects() -> None:
    assert len(iqkcpu.types) == 80
    for name, t in iqkcpu.types.items():
        assert t.name == name
        assert iqkcpu.Type(name) is iqkcpu.Type(t.id) is iqkcpu.Type(t) is t
    assert len({t.id for t in iqkcpu.types.values()}) == len(iqkcpu.types)


def test_ids_may_be_numpy_integers() -> None:
    assert iqkcpu.Type(np.uint32(139)) is iqkcpu.Type("IQ4_K")


def test_mapping_is_read_only() -> None:
    with pytest.raises(TypeError):
        iqkcpu.types["new"] = iqkcpu.Type("F32")  # type: ignore[index]


def test_facts_of_a_plain_and_an_interleaved_type() -> None:
    t = iqkcpu.Type("IQ4_KS")
    assert (t.id, t.block_size, t.block_bytes, t.row_meta_bytes, t.interleave) == (144, 256, 136, 4, 1)
    assert t.bpw == 4.25
    assert t.row_bytes(512) == 4 + 2 * 136
    assert t.base is None
    assert t.repacked is not None
    assert t.repacked.base is t
    assert (t.repacked.name, t.repacked.interleave) == ("IQ4_KS_R4", 4)


def test_base_and_repacked_point_at_each_other() -> None:
    for t in iqkcpu.types.values():
        if t.repacked is not None and t.name != "F16":  # F16 becomes BF16_R16, whose base is BF16
            assert t.repacked.base is t
        if t.base is not None:
            assert t.interleave > 1


def test_alias() -> None:
    assert iqkcpu.Type("Q1_0") is iqkcpu.Type("Q1_0_G128")
    assert "Q1_0" not in iqkcpu.types


@pytest.mark.parametrize("name", GOLDEN_TYPES)
def test_sizes_are_those_of_real_files(name: str) -> None:
    raw = np.load(GOLDEN / f"{name}.npz")["raw"]
    assert iqkcpu.QuantTensor(raw, name, (16, 1024)).nbytes == raw.size
    assert name == "I2_S" or iqkcpu.Type(name).row_bytes(1024) * 16 == raw.size


@pytest.mark.parametrize("k", [-256, 1, 255, 257, 2**62, 2**70])
def test_row_bytes_refuses_parts_of_blocks_and_what_no_memory_holds(k: int) -> None:
    with pytest.raises(ValueError, match=f"K = {k}"):
        iqkcpu.Type("Q4_K").row_bytes(k)


def test_bf16_r16_stores_columns_in_pairs() -> None:
    assert iqkcpu.Type("BF16_R16").row_bytes(6) == 12
    with pytest.raises(ValueError, match="K = 7"):
        iqkcpu.Type("BF16_R16").row_bytes(7)


@pytest.mark.parametrize(
    ("name", "near"), [("Q4K", "Q4_K"), ("iq4_nl", "IQ4_NL"), ("IQ4_XSS", "IQ4_KSS"), ("Q4_0_R4", "Q4_0_R8")]
)
def test_unknown_names_are_refused_with_near_matches(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown type '{name}'.*\b{near}\b"):
        iqkcpu.Type(name)


def test_unknown_names_without_near_matches() -> None:
    with pytest.raises(ValueError, match="unknown type 'zebra'"):
        iqkcpu.Type("zebra")


@pytest.mark.parametrize("number", [-1, 4, 5, 9, 10**30])
def test_unknown_ids_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"unknown type id {number}"):
        iqkcpu.Type(number)


@pytest.mark.parametrize("value", [None, 2.0, b"Q4_0", ["Q4_0"]])
def test_other_things_are_no_types(value: object) -> None:
    with pytest.raises(TypeError):
        iqkcpu.Type(value)  # type: ignore[arg-type]


def test_types_are_values() -> None:
    t, other = iqkcpu.Type("IQ2_BN"), iqkcpu.Type("IQ1_BN")
    assert t == iqkcpu.Type("IQ2_BN")
    assert t != other
    assert {t: 1}[iqkcpu.Type("IQ2_BN")] == 1
    assert pickle.loads(pickle.dumps(t)) is t
    assert copy.deepcopy(t) is t
    assert eval(repr(t), {"Type": iqkcpu.Type}) is t


def test_types_are_immutable() -> None:
    with pytest.raises(AttributeError):
        iqkcpu.Type("F32").name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        iqkcpu.Type("F32").other = 1  # type: ignore[attr-defined]


def test_which_types_need_an_importance_matrix() -> None:
    needy = {t.name for t in iqkcpu.types.values() if t.needs_imatrix}
    assert {"IQ1_S", "IQ2_XXS", "IQ2_KT", "Q2_K", "IQ2_K_R4"} <= needy
    assert not needy & {"IQ2_BN", "TQ1_0", "Q1_0_G128", "Q3_K", "IQ4_K", "F16"}

"""Is a QuantTensor a faithful, immutable view of bytes that belong to someone else?"""

import array
import copy
import gc
import mmap
import pickle
import weakref
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import iqkcpu
from iqkcpu import QuantTensor

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> tuple[QuantTensor, np.typing.NDArray[np.float32]]:
    data = np.load(GOLDEN / f"{name}.npz")
    return QuantTensor(data["raw"], name, data["decoded"].shape), data["decoded"]


def stack(name: str, experts: int = 3) -> QuantTensor:
    raw = np.load(GOLDEN / f"{name}.npz")["raw"]
    return QuantTensor(np.stack([raw] * experts), name, (experts, 16, 1024))


def test_facts() -> None:
    w, _ = golden("IQ4_KS")
    assert w.type is iqkcpu.Type("IQ4_KS")
    assert (w.shape, w.ndim, len(w)) == ((16, 1024), 2, 16)
    assert w.nbytes == 16 * (4 + 4 * 136) == w.raw.size
    assert w.bpw == 8 * w.nbytes / (16 * 1024)
    assert w.raw.dtype == np.uint8
    assert w.raw.shape == (16, 4 + 4 * 136)


def test_type_may_be_given_as_name_id_or_object() -> None:
    raw = bytes(34)
    assert QuantTensor(raw, "Q8_0", (1, 32)) == QuantTensor(raw, 8, (1, 32))
    assert QuantTensor(raw, iqkcpu.Type("Q8_0"), (1, 32)).type.id == 8


def test_any_buffer_is_taken_without_a_copy(tmp_path: Path) -> None:
    array_ = np.arange(68, dtype=np.uint8)
    for buffer in (array_, array_.reshape(2, 34), array_.view(np.int8), bytearray(array_), array.array("B", array_)):
        w = QuantTensor(buffer, "Q8_0", (2, 32))
        assert w.raw.tobytes() == array_.tobytes()
        assert np.shares_memory(w.raw, np.frombuffer(buffer, np.uint8))
    assert QuantTensor(bytes(array_), "Q8_0", (2, 32)) == w
    assert QuantTensor(memoryview(array_.tobytes())[:34], "Q8_0", (1, 32)).raw.tobytes() == bytes(range(34))
    file = tmp_path / "weights"
    file.write_bytes(bytes(10) + array_.tobytes())
    with file.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert QuantTensor(memoryview(mapped)[10:], "Q8_0", (2, 32)) == w
        gc.collect()
    assert QuantTensor(np.memmap(file, np.uint8, "r", 10), "Q8_0", (2, 32)) == w


def test_float_types_take_float_arrays() -> None:
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(QuantTensor(a, "F32", (3, 4)).dequantize(), a)
    b = a.astype(ml_dtypes.bfloat16)
    assert np.array_equal(QuantTensor(b, "BF16", (3, 4)).dequantize(), a)


def test_raw_is_read_only_and_the_source_stays_writable() -> None:
    source = np.zeros(34, np.uint8)
    w = QuantTensor(source, "Q8_0", (1, 32))
    with pytest.raises(ValueError, match="read-only"):
        w.raw[0] = 1
    source[5] = 7
    assert w.raw[0, 5] == 7


def test_attributes_cannot_be_set() -> None:
    w, _ = golden("Q8_0")
    for name in ("raw", "type", "shape", "nbytes", "other"):
        with pytest.raises(AttributeError):
            setattr(w, name, None)


def test_the_bytes_live_as_long_as_a_view() -> None:
    source = np.zeros(68, np.uint8)
    alive = weakref.ref(source)
    view = QuantTensor(source, "Q8_0", (2, 32))[1:]
    del source
    gc.collect()
    assert alive() is not None
    del view
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("name", ["Q8_0", "IQ2_BN", "IQ4_K_R4", "Q8_0_R8"])
def test_row_ranges_are_views_of_whole_groups(name: str) -> None:
    w, decoded = golden(name)
    group = w.type.interleave
    for part in (slice(0, group), slice(group, 16), slice(-group, None), slice(None), slice(8, 8), slice(8, 0)):
        view = w[part]
        assert view.shape == decoded[part].shape
        assert np.array_equal(view.dequantize(), decoded[part])
        assert np.shares_memory(view.raw, w.raw) or not view.nbytes


@pytest.mark.parametrize("part", [slice(0, 2), slice(2, 4), slice(1, 5), slice(-3, None)])
def test_row_ranges_that_cut_a_group_are_refused(part: slice) -> None:
    w, _ = golden("IQ4_K_R4")
    with pytest.raises(ValueError, match="4 rows together"):
        w[part]


def test_steps_and_single_rows_are_refused() -> None:
    w, _ = golden("Q8_0")
    for index in (slice(None, None, 2), slice(None, None, -1), 0):
        with pytest.raises(ValueError, match=r"step 1|range"):
            w[index]
    for nonsense in ("a", 1.5, None, (0, 1)):
        with pytest.raises(TypeError):
            w[nonsense]  # type: ignore[index]


def test_experts() -> None:
    stacked, (w, _) = stack("IQ4_K_R4"), golden("IQ4_K_R4")
    assert (stacked.shape, stacked.ndim, len(stacked)) == ((3, 16, 1024), 3, 3)
    assert stacked.raw.shape == (3, 16, 576)
    assert stacked[1] == stacked[-1] == stacked[np.int64(0)] == w
    assert np.shares_memory(stacked[1].raw, stacked.raw)
    assert stacked[1:].shape == (2, 16, 1024)
    assert [e.shape for e in stacked] == [(16, 1024)] * 3  # type: ignore[attr-defined]
    with pytest.raises(IndexError):
        stacked[3]


@pytest.mark.parametrize("name", ["F32", "Q8_0", "IQ2_BN", "Q8_0_R8", "IQ4_K_R4"])
def test_dequantize(name: str) -> None:
    w, decoded = golden(name) if name != "F32" else (iqkcpu.quantize(np.ones((16, 1024)), "F32"), np.ones((16, 1024)))
    assert np.array_equal(w.dequantize(), decoded)
    assert w.dequantize().dtype == np.float32
    out = np.full(w.shape, np.nan, np.float32)
    assert w.dequantize(out) is out
    assert np.array_equal(out, decoded)
    for dtype in (np.float16, np.float64, ml_dtypes.bfloat16):
        converted = w.dequantize(dtype=dtype)
        assert converted.dtype == dtype
        assert np.array_equal(converted, decoded.astype(dtype))
        out = np.empty(w.shape, dtype)
        assert w.dequantize(out, dtype) is out
        assert np.array_equal(out, converted)


def test_dequantize_experts_and_long_matrices_in_other_dtypes() -> None:
    w, decoded = golden("IQ4_K_R4")
    assert np.array_equal(stack("IQ4_K_R4").dequantize(), np.stack([decoded] * 3))
    assert np.array_equal(stack("IQ4_K_R4").dequantize(dtype="f8"), np.stack([decoded] * 3))
    long = QuantTensor(np.tile(w.raw, (200, 1)), w.type, (3200, 1024))
    assert np.array_equal(long.dequantize(dtype=np.float64), np.tile(decoded, (200, 1)))


def test_empty_tensors() -> None:
    w = QuantTensor(b"", "Q8_0", (0, 32))
    assert w.dequantize().shape == (0, 32)
    assert iqkcpu.mul_mat(w, np.ones((3, 32), np.float32)).shape == (3, 0)
    experts = QuantTensor(b"", "Q8_0", (0, 4, 32))
    assert (experts.shape, experts.bpw) == ((0, 4, 32), 0)
    assert repr(experts)


def test_one_scale_for_a_whole_tensor() -> None:
    w = QuantTensor(bytes(2 * 32 + 32), "I2_S", (2, 128))
    assert w.raw.shape == (96,)
    assert w.dequantize().shape == (2, 128)
    assert w.dequantize(dtype=np.float16).shape == (2, 128)
    with pytest.raises(ValueError, match="one scale"):
        w[0:1]
    with pytest.raises(ValueError, match="one scale"):
        QuantTensor(bytes(3 * 96), "I2_S", (3, 2, 128))


def test_transpose_multiplies_from_the_left() -> None:
    w, _ = golden("Q8_0")
    x = np.random.default_rng(0).standard_normal((5, 1024), np.float32)
    assert np.array_equal(x @ w.T, iqkcpu.mul_mat(w, x))
    assert np.array_equal(x[0] @ w.T, iqkcpu.mul_mat(w, x[0]))
    assert np.array_equal(x.tolist() @ w.T, iqkcpu.mul_mat(w, x))
    assert w.T.shape == (1024, 16)
    assert w.T.T is w
    assert "IQ" not in repr(w.T)
    with pytest.raises(TypeError):
        _ = w.T @ x  # type: ignore[operator]
    with pytest.raises(TypeError):
        x * w.T  # type: ignore[operator]
    with pytest.raises(ValueError, match="expert"):
        _ = stack("Q8_0").T


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol: int) -> None:
    w, _ = golden("IQ4_K_R4")
    for tensor in (w, w[4:8], stack("Q8_0")):
        again = pickle.loads(pickle.dumps(tensor, protocol))
        assert again == tensor
        assert again.raw.flags.writeable is False
    assert len(pickle.dumps(w[4:8])) < w.nbytes / 2


def test_copies() -> None:
    w, _ = golden("Q8_0")
    shallow, deep = copy.copy(w), copy.deepcopy(w)
    assert shallow == deep == w
    assert np.shares_memory(shallow.raw, w.raw)
    assert not np.shares_memory(deep.raw, w.raw)


def test_equality() -> None:
    w, _ = golden("Q8_0")
    changed = w.raw.copy()
    changed[3, 3] ^= 1
    assert w == QuantTensor(w.raw.copy(), "Q8_0", w.shape)
    assert w != QuantTensor(changed, "Q8_0", w.shape)
    assert w != QuantTensor(w.raw, "Q8_0", (32, 512))
    assert QuantTensor(bytes(36), "Q4_0", (2, 32)) != QuantTensor(bytes(36), "IQ4_NL", (2, 32))
    assert w != "Q8_0"
    with pytest.raises(TypeError, match="unhashable"):
        hash(w)


def test_repr() -> None:
    w, _ = golden("IQ4_KS")
    assert repr(w) == "QuantTensor(IQ4_KS, shape=(16, 1024), 8768 bytes, 4.281 bpw)"


def test_numpy_does_not_decode_unasked() -> None:
    w, _ = golden("Q8_0")
    with pytest.raises(TypeError, match="dequantize"):
        np.asarray(w)
    with pytest.raises(TypeError, match="dequantize"):
        iqkcpu.mul_mat(w, w)  # type: ignore[arg-type]

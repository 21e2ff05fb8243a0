"""Are weights that are quantized piece by piece those of `quantize`, and is memory bounded meanwhile?"""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iqkcpu
from iqkcpu import QuantTensor, _pieces, open_gguf, save_gguf
from iqkcpu._pieces import quantized_pieces
from quantize_command import normal, run

_BOUND = 256 << 20  # bytes


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pieces, "_PIECE", 20 * 256)


def random(name: str, *shape: int) -> QuantTensor:
    t = iqkcpu.Type(name)
    if name == "I2_S":
        raw = np.zeros(int(np.prod(shape)) // 4 + 32, np.uint8)
        raw[: -32 or None] = np.random.default_rng(0).integers(0, 256, raw.size - 32) & 0b10101010
        raw[-32:-28] = np.float32(0.5).reshape(1).view(np.uint8)
        return QuantTensor(raw, t, shape)
    return iqkcpu.quantize(normal(*shape), t)


def sources() -> dict[str, Any]:
    shapes = {"matrix": (80, 256), "experts": (3, 48, 256), "one row": (1, 512)}
    found: dict[str, Any] = {}
    for how, shape in shapes.items():
        found[f"F32 {how}"] = normal(*shape)
        found[f"F16 {how}"] = normal(*shape).astype(np.float16)
        found[f"F64 {how}"] = normal(*shape).astype(np.float64)
        for name in ("BF16", "Q8_0", "IQ4_KS", *(("Q4_K_R4", "Q4_0_R8", "BF16_R16") if how != "one row" else ())):
            found[f"{name} {how}"] = random(name, *shape)
    found["I2_S matrix"] = random("I2_S", 80, 256)
    return found


SOURCES = sources()


@pytest.mark.parametrize("target", ["Q4_K", "Q8_0", "IQ2_KS", "IQ4_NL_R4", "Q4_0_R8", "BF16_R16", "F16", "F32"])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.usefixtures("small")
def test_pieces_are_the_whole(source: str, target: str) -> None:
    w = SOURCES[source]
    if w.shape[-2] % iqkcpu.Type(target).interleave:
        pytest.skip("rows do not fit")
    floats = w.dequantize() if isinstance(w, QuantTensor) else w
    shared = np.abs(normal(w.shape[-1])) + 0.1
    each = np.abs(normal(*w.shape[:-2], w.shape[-1])) + 0.1
    for imatrix in (None, shared, each):
        pieces = quantized_pieces(w, iqkcpu.Type(target), imatrix)
        raw = np.concatenate([piece.raw.reshape(-1) for piece in pieces])
        assert np.array_equal(raw, iqkcpu.quantize(floats, target, imatrix).raw.reshape(-1))


@pytest.mark.usefixtures("small")
def test_progress_counts_all_rows() -> None:
    heard: list[tuple[int, int]] = []
    for _ in quantized_pieces(SOURCES["Q8_0 experts"], iqkcpu.Type("Q4_K"), None, lambda *rows: heard.append(rows)):
        pass
    assert heard == sorted(heard)
    assert heard[0] == (20, 144)
    assert heard[-1] == (144, 144)


@pytest.mark.usefixtures("small")
def test_there_are_several_pieces() -> None:
    assert len(list(quantized_pieces(SOURCES["BF16 matrix"], iqkcpu.Type("Q4_K")))) == 4
    assert len(list(quantized_pieces(SOURCES["BF16_R16 matrix"], iqkcpu.Type("Q4_K")))) == 5
    assert len(list(quantized_pieces(SOURCES["F32 experts"], iqkcpu.Type("Q4_K_R4")))) == 9


@pytest.mark.usefixtures("small")
def test_positions_count_from_the_beginning() -> None:
    w = normal(3, 48, 256)
    w[1, 41, 7] = np.nan
    for source in (w, iqkcpu.QuantTensor((w.view(np.uint32) >> 16).astype(np.uint16), "BF16", w.shape)):
        with pytest.raises(ValueError, match=r"a\[1, 41, 7\] is nan"):
            list(quantized_pieces(source, iqkcpu.Type("Q4_K")))


@pytest.mark.parametrize("name", ["BF16", "Q8_0"])
def test_memory_is_bounded(tmp_path: Path, name: str) -> None:
    shape = (1, 24576, 4096)  # 384 MB as float32
    model, out = tmp_path / "model.gguf", tmp_path / "out.gguf"
    size = iqkcpu.Type(name).row_bytes(shape[-1]) * shape[0] * shape[1]
    save_gguf(model, {"exps": QuantTensor(np.zeros(size, np.uint8), name, shape)})
    tracemalloc.start()  # NumPy tells it of its arrays
    try:
        run(model, out, "--type", "Q6_0")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < _BOUND
    assert open_gguf(out).infos["exps"].shape == shape

"""Are GGUF files read and written as other programs do it, without a copy and without a half file?"""

import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import iqkcpu
from iqkcpu import GGUFError, LazyTensor, Metadata, QuantTensor, RawTensor, TensorInfo, open_gguf, save_gguf

RNG = np.random.default_rng(0)


def weights(name: str, shape: tuple[int, ...] | None = None) -> QuantTensor:
    t = iqkcpu.Type(name)
    if shape is None:
        shape = (2 * t.interleave, 2 * max(2, t.block_size))
    rows, k = int(np.prod(shape[:-1])), shape[-1]
    size = rows * t.row_bytes(k) + (32 if name == "I2_S" else 0)
    return QuantTensor(RNG.integers(0, 256, size, np.uint8), t, shape)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def shared_with_map(raw: NDArray[np.uint8]) -> bool:
    base: Any = raw
    while isinstance(base, np.ndarray):
        base = base.base
    return type(base).__name__ in ("mmap", "memoryview")


METADATA = {
    "general.architecture": "llama",
    "u8": np.uint8(200),
    "i8": np.int8(-100),
    "u16": np.uint16(60000),
    "i16": np.int16(-30000),
    "u32": 7,
    "i32": -7,
    "f32": 0.5,
    "bool": True,
    "u64": 2**40,
    "i64": -(2**40),
    "f64": np.float64(1e300),
    "text": "Größe ✓ \0 end",
    "empty text": "",
    "ints": [1, -2, 3],
    "floats": [0.5, 1.0],
    "bools": [True, False],
    "strings": ["a", "", "ß"],
    "bytes": np.arange(5, dtype=np.uint8),
    "nothing": np.empty(0, np.int16),
    "nested": [[1, 2], [3]],
    "deep": [[["a"], ["b", "c"]], [["d"]]],
}
KINDS = {
    **{"u8": "uint8", "i8": "int8", "u16": "uint16", "i16": "int16", "u32": "uint32", "i32": "int32", "f32": "float32"},
    **{"bool": "bool", "u64": "uint64", "i64": "int64", "f64": "float64", "text": "string", "ints": "array[int32]"},
    **{"floats": "array[float32]", "bools": "array[bool]", "strings": "array[string]", "bytes": "array[uint8]"},
    **{"nothing": "array[int16]", "nested": "array[array]", "deep": "array[array]"},
}


def plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(v) for v in value] if isinstance(value, list) else value


def test_every_type_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "all.gguf"
    tensors: dict[str, Any] = {name: weights(name) for name in iqkcpu.types if name not in ("F32", "F16")}
    tensors["experts"] = weights("Q4_K", (3, 4, 512))
    dtypes = ("f4", "f2", "f8", "i1", "i2", "i4", "i8")
    tensors |= {dtype: RNG.integers(-100, 100, (3, 5)).astype(dtype) for dtype in dtypes}
    tensors["vector"] = np.arange(7, dtype=np.float32)
    tensors["four axes"] = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    tensors["none"] = np.empty((3, 0), np.float32)
    save_gguf(file, tensors, METADATA)
    with open_gguf(file) as model:
        assert list(model) == list(tensors)
        for name, tensor in tensors.items():
            read = model[name]
            if isinstance(tensor, QuantTensor):
                assert read == tensor
                assert isinstance(read, QuantTensor)
                assert shared_with_map(read.raw)
                assert not read.raw.flags.writeable
                assert model.infos[name].type is tensor.type
            else:
                assert isinstance(read, np.ndarray)
                assert read.dtype == tensor.dtype
                assert np.array_equal(read, tensor)
                assert not read.flags.writeable
    assert np.array_equal(model.infos["experts"].shape, (3, 4, 512))


def test_metadata_of_all_kinds(tmp_path: Path) -> None:
    file = tmp_path / "kinds.gguf"
    save_gguf(file, {}, METADATA)
    metadata = open_gguf(file).metadata
    assert {key: plain(value) for key, value in metadata.items()} == {k: plain(v) for k, v in METADATA.items()}
    assert {key: metadata.kind(key) for key in KINDS} == KINDS
    assert type(metadata["u8"]) is int
    assert type(metadata["bool"]) is bool
    assert metadata["bytes"].dtype == np.uint8

    again = tmp_path / "again.gguf"
    save_gguf(again, {}, metadata)
    assert again.read_bytes() == file.read_bytes()
    changed = metadata | {"u8": np.uint8(3), "new": "x"}
    assert (changed["u8"], changed.kind("u8"), changed["new"]) == (3, "uint8", "x")
    assert metadata["u8"] == 200
    assert list(metadata.without("u8", "no such key")) == [key for key in METADATA if key != "u8"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "empty list"),
        (None, "NoneType"),
        ([1, "a"], "one kind"),
        (2**64, "64 bits"),
        ([-1, 2**63], "64 bits"),
        (np.float16(1), "float16"),
        (np.ones(2, complex), "complex128"),
        (1j, "complex"),
        (b"bytes", "bytes"),
        (np.array(1), "without axes"),
    ],
)
def test_metadata_that_cannot_be(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"'the key'.*{message}"):
        save_gguf(tmp_path / "x.gguf", {}, {"the key": value})
    assert not list(tmp_path.iterdir())


def gguf_package_file(path: Path, alignment: int | None = None) -> dict[str, NDArray[Any]]:
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_uint32("a.number", 5)
    writer.add_float64("a.double", 0.1)
    writer.add_bool("a.bool", True)
    writer.add_array("tokens", ["<s>", "ä", "b"])
    writer.add_array("numbers", [1, 2, 3])
    a = RNG.standard_normal((8, 512)).astype(np.float32)
    arrays = {"f32": a, "f16": a.astype(np.float16), "norm": a[0]}
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    for name in ("Q8_0", "Q4_0", "Q5_1", "BF16"):
        type_ = gguf.GGMLQuantizationType[name]
        writer.add_tensor(name, gguf.quants.quantize(a, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return arrays


@pytest.mark.parametrize("alignment", [None, 8, 512])
def test_files_of_the_gguf_package_open(tmp_path: Path, alignment: int | None) -> None:
    file = tmp_path / "theirs.gguf"
    arrays = gguf_package_file(file, alignment)
    model = open_gguf(file)
    assert model.alignment == (alignment or 32)
    assert model.metadata["a.double"] == 0.1
    assert model.metadata["tokens"] == ["<s>", "ä", "b"]
    for name, array in arrays.items():
        assert np.array_equal(model[name], array)  # type: ignore[arg-type]
    for name in ("Q8_0", "Q4_0", "Q5_1", "BF16"):
        w = model[name]
        assert isinstance(w, QuantTensor)
        expected = gguf.quants.dequantize(w.raw, gguf.GGMLQuantizationType[name])
        np.testing.assert_allclose(w.dequantize(), expected, rtol=1e-6)
    # Written again it is the same file, whatever the kinds of its metadata.
    again = tmp_path / "ours.gguf"
    save_gguf(again, model, model.metadata)
    assert again.read_bytes() == file.read_bytes()


def test_the_gguf_package_opens_our_files(tmp_path: Path) -> None:
    known = {t.name for t in gguf.GGMLQuantizationType}
    mainline = [n for n in iqkcpu.types if n in known and n not in ("F32", "F16") and not n.startswith("Q4_0_")]
    assert len(mainline) > 20
    tensors: dict[str, Any] = {n: weights(n) for n in mainline if iqkcpu.Type(n).row_meta_bytes == 0}
    tensors["experts"] = weights("Q6_K", (2, 3, 256))
    tensors["f16"] = RNG.standard_normal((2, 3)).astype(np.float16)
    tensors["bf16"] = RNG.standard_normal((2, 6)).astype(ml_dtypes.bfloat16)
    file = tmp_path / "ours.gguf"
    save_gguf(file, tensors, {k: v for k, v in METADATA.items() if k not in ("nested", "deep", "nothing")})
    reader = gguf.GGUFReader(file)
    assert reader.get_field("general.architecture").contents() == "llama"  # type: ignore[union-attr]
    assert reader.get_field("strings").contents() == METADATA["strings"]  # type: ignore[union-attr]
    assert reader.get_field("f64").contents() == 1e300  # type: ignore[union-attr]
    for read in reader.tensors:
        tensor = tensors[read.name]
        assert tuple(reversed(read.shape.tolist())) == tensor.shape
        mine = tensor.raw if isinstance(tensor, QuantTensor) else tensor
        assert np.asarray(read.data).tobytes() == mine.tobytes()


def test_version_2_is_version_3_on_little_endian_machines(tmp_path: Path) -> None:
    file = tmp_path / "v.gguf"
    save_gguf(file, {"w": weights("Q8_0")}, {"a": 1})
    data = bytearray(file.read_bytes())
    data[4:8] = struct.pack("<I", 2)
    file.write_bytes(data)
    assert open_gguf(file).version == 2
    for version, message in ((1, "version 1"), (4, "version 4"), (0x03000000, "big-endian")):
        data[4:8] = struct.pack("<I", version)
        file.write_bytes(data)
        with pytest.raises(GGUFError, match=message):
            open_gguf(file)


def test_unknown_types_are_kept(tmp_path: Path) -> None:
    file, again = tmp_path / "u.gguf", tmp_path / "again.gguf"
    odd = RawTensor(np.arange(100, dtype=np.uint8), 9999, (4, 25))
    save_gguf(file, {"first": odd, "w": weights("Q8_0"), "last": odd})
    model = open_gguf(file)
    assert model.infos["first"].type is None
    assert model.infos["first"].type_name == "unknown (9999)"
    for name in ("first", "last"):
        read = model[name]
        assert isinstance(read, RawTensor)
        assert (read.type_id, read.shape) == (9999, (4, 25))
        assert read.raw.tobytes() == odd.raw.tobytes() + bytes(28)  # with what fills it up to the alignment
    save_gguf(again, model, model.metadata)
    assert again.read_bytes() == file.read_bytes()


def test_vectors_and_four_axes_of_quantized_types(tmp_path: Path) -> None:
    file = tmp_path / "axes.gguf"
    raw = weights("Q8_0", (1, 64)).raw
    four = weights("Q8_0", (6, 2, 32))
    lazy = {
        "vector": LazyTensor(8, (64,), raw.size, lambda: QuantTensor(raw, "Q8_0", (1, 64))),
        "four": LazyTensor(8, (2, 3, 2, 32), four.nbytes, lambda: four),
    }
    save_gguf(file, lazy)
    model = open_gguf(file)
    assert model.infos["vector"].shape == (64,)
    assert model["vector"] == QuantTensor(raw, "Q8_0", (1, 64))
    assert model["four"] == four


def split(path: Path, count: int, change: Callable[[int, dict[str, Any]], None] = lambda i, m: None) -> list[Path]:
    """A model of `count` files with two tensors each."""
    files = []
    for i in range(count):
        files.append(path / f"m-{i + 1:05}-of-{count:05}.gguf")
        metadata = {
            "split.no": np.uint16(i),
            "split.count": np.uint16(count),
            "split.tensors.count": np.int32(2 * count),
        }
        if i == 0:
            metadata["general.architecture"] = "llama"
        change(i, metadata)
        tensors = {f"{i}.{k}": np.full(10, 10 * i + k, np.float32) for k in range(2)}
        save_gguf(files[-1], tensors, metadata)
    return files


def test_split_files_are_joined(tmp_path: Path) -> None:
    for file in split(tmp_path, 3):
        model = open_gguf(file)
        assert list(model) == ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]
        assert all(np.all(model[f"{i}.{k}"] == 10 * i + k) for i in range(3) for k in range(2))
        assert dict(model.metadata) == {"general.architecture": "llama"}
        assert len(model.paths) == 3
    save_gguf(tmp_path / "joined.gguf", model, model.metadata)
    assert list(open_gguf(tmp_path / "joined.gguf")) == list(model)


def test_split_files_that_do_not_belong_together(tmp_path: Path) -> None:
    files = split(tmp_path, 3)
    files[1].rename(tmp_path / "away")
    with pytest.raises(GGUFError, match=r"missing: m-00002-of-00003\.gguf"):
        open_gguf(files[0])
    (tmp_path / "away").rename(files[1])
    renamed = files[0].rename(tmp_path / "model.gguf")
    with pytest.raises(GGUFError, match="one of 3 files of a split model, but not named"):
        open_gguf(renamed)

    def wrong(key: str, value: object) -> Callable[[int, dict[str, Any]], None]:
        return lambda i, metadata: metadata.update({key: value}) if i == 1 else None

    split(tmp_path, 3, wrong("split.no", np.uint16(7)))
    with pytest.raises(GGUFError, match=r"m-00002-of-00003.gguf: the metadata calls it file 7"):
        open_gguf(files[0])
    split(tmp_path, 3, lambda i, metadata: metadata.update({"split.tensors.count": np.int32(9)}))
    with pytest.raises(GGUFError, match=r"split\.tensors\.count is 9, the files have 6"):
        open_gguf(files[0])
    split(tmp_path, 2)
    second = tmp_path / "m-00002-of-00002.gguf"
    save_gguf(
        second, {"0.0": np.zeros(1), "x": np.zeros(1)}, open_gguf(second).metadata | {"split.no": 1, "split.count": 2}
    )
    with pytest.raises(GGUFError, match=r"'0\.0' is in .*m-00001-of-00002\.gguf too"):
        open_gguf(second)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_gguf(tmp_path / "none.gguf")
    empty = tmp_path / "empty.gguf"
    empty.touch()
    with pytest.raises(GGUFError, match=r"empty.gguf: the file is empty"):
        open_gguf(empty)
    empty.write_bytes(b"PK\3\4 and so on")
    with pytest.raises(GGUFError, match="byte 0: no GGUF file"):
        open_gguf(str(empty))


def test_unknown_names(tmp_path: Path) -> None:
    save_gguf(tmp_path / "n.gguf", {"blk.0.ffn_up.weight": np.zeros(1)})
    model = open_gguf(tmp_path / "n.gguf")
    with pytest.raises(KeyError, match=r"near matches: blk\.0\.ffn_up\.weight"):
        model["blk.0.ffn_pu.weight"]
    assert "blk" not in model


def test_tensors_stay_valid_after_close(tmp_path: Path) -> None:
    file, w = tmp_path / "c.gguf", weights("Q4_K")
    save_gguf(file, {"w": w})
    with open_gguf(file) as model:
        read = model["w"]
    file.unlink()
    assert read == w
    with pytest.raises(ValueError, match="closed"):
        model["w"]


def repackable(path: Path) -> dict[str, QuantTensor]:
    tensors = {
        "token_embd.weight": weights("Q4_K", (8, 256)),
        "blk.0.up.weight": weights("Q4_K", (8, 256)),
        "blk.1.up.weight": weights("Q4_0", (8, 256)),
        "blk.1.odd.weight": weights("Q4_0", (7, 256)),
        "experts.weight": weights("IQ4_NL", (3, 4, 64)),
        "q4_1.weight": weights("Q4_1", (8, 256)),
    }
    save_gguf(path, {**tensors, "norm": np.ones(4, np.float32)})
    return tensors


def test_repack_on_first_use(tmp_path: Path) -> None:
    file = tmp_path / "r.gguf"
    tensors = repackable(file)

    def types(repack: Any) -> dict[str, str]:
        model = open_gguf(file, repack=repack)
        read = {name: model[name] for name in tensors}
        for name, w in tensors.items():
            r = read[name]
            assert isinstance(r, QuantTensor)
            assert r in (w, iqkcpu.repack(w))
            assert r.type is w.type or model[name] is r  # made once
        assert isinstance(model["norm"], np.ndarray)
        return {name: r.type.name for name, r in read.items() if r.type is not tensors[name].type}  # type: ignore[union-attr]

    everything = {"blk.0.up.weight": "Q4_K_R4", "blk.1.up.weight": "Q4_0_R8", "experts.weight": "IQ4_NL_R4"}
    assert types(False) == {}
    assert types(True) == everything
    assert types(".") == everything | {"token_embd.weight": "Q4_K_R4"}
    assert types(re.compile(r"^blk\.0")) == {"blk.0.up.weight": "Q4_K_R4"}

    def three_axes(info: TensorInfo) -> bool:
        return len(info.shape) == 3

    assert types(three_axes) == {"experts.weight": "IQ4_NL_R4"}
    with pytest.raises(ValueError, match="'attn' matches no tensor"):
        open_gguf(file, repack="attn")
    with pytest.raises(ValueError, match="no regular expression"):
        open_gguf(file, repack="(")


_PEAK = """
import sys, resource
import numpy as np, iqkcpu
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before, most = resident(), 0
model = iqkcpu.open_gguf(sys.argv[1], repack=True)
opened = resident() - before
for name in model:
    assert model[name].type.name == "Q4_K_R4"
    most = max(most, resident() - before)
print(opened, most, resident() - before)
"""


def test_repacking_holds_the_size_of_the_file_and_a_tensor(tmp_path: Path) -> None:
    file, count = tmp_path / "big.gguf", 8
    w = weights("Q4_K", (4096, 4096))
    save_gguf(file, {f"blk.{i}.weight": w for i in range(count)})
    done = subprocess.run([sys.executable, "-c", _PEAK, file], capture_output=True, text=True, check=True)
    opened, most, at_end = map(int, done.stdout.split())
    slack = 4 << 20  # for Python and the thread pool
    assert opened < slack
    assert most < (count + 1) * w.nbytes + slack
    assert count * w.nbytes < at_end < count * w.nbytes + slack  # the source's pages are gone


def test_a_file_larger_than_memory_opens_at_once(tmp_path: Path) -> None:
    """A file of holes: a terabyte, or as much as the file system takes."""
    file, rows = tmp_path / "huge.gguf", 1 << 24
    save_gguf(file, {"w": weights("Q8_0", (1, 1024))})
    data = bytearray(file.read_bytes())
    at = data.index(b"w" + struct.pack("<IQQI", 2, 1024, 1, 8))
    data[at + 13 : at + 21] = struct.pack("<Q", rows)
    file.write_bytes(data)
    try:
        os.truncate(file, 4096 + rows * 1088)
    except OSError:
        pytest.skip("the file system has no files that large")
    begin = time.monotonic()
    w = open_gguf(file)["w"]
    assert time.monotonic() - begin < 1
    assert isinstance(w, QuantTensor)
    assert w.shape == (rows, 1024)
    assert np.all(iqkcpu.get_rows(w, [rows - 1]) == 0)


# ---- Writing --------------------------------------------------------------------------------------------------------


def test_the_alignment_of_the_metadata_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    for alignment in (1, 8, 4096):
        save_gguf(file, {"a": np.ones(3, np.int8), "w": weights("Q8_0")}, {"general.alignment": alignment})
        model = open_gguf(file)
        assert model.alignment == alignment
        assert all(info.offset % alignment == 0 for info in model.infos.values())
        assert np.array_equal(model["a"], np.ones(3, np.int8))  # type: ignore[arg-type]
    for wrong in (0, 3, -8, "32", 2.0):
        with pytest.raises(ValueError, match="alignment"):
            save_gguf(file, {}, {"general.alignment": wrong})


def test_arrays_of_any_strides_and_byte_order(tmp_path: Path) -> None:
    file, a = tmp_path / "s.gguf", np.arange(24, dtype=np.float32).reshape(4, 6)
    save_gguf(file, {"t": a.T, "step": a[::2, ::3], "big": a.astype(">f4")})
    model = open_gguf(file)
    for name, expected in (("t", a.T), ("step", a[::2, ::3]), ("big", a)):
        assert np.array_equal(model[name], expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([("a", np.zeros(1))], "mapping of names, not list"),
        ({"a": np.zeros(1, complex)}, "complex128"),
        ({"a": np.array(["x"])}, "no place"),
        ({"a": np.zeros(())}, "axes"),
        ({"a": np.zeros((1,) * 5)}, "axes"),
        ({"a": [1.0]}, "no tensor but list"),
        ({"": np.zeros(1)}, "1 to"),
        ({3: np.zeros(1)}, "strings"),
    ],
)
def test_tensors_that_cannot_be_written(tmp_path: Path, tensors: Any, message: str) -> None:
    file = tmp_path / "old.gguf"
    file.write_text("old")
    with pytest.raises((TypeError, ValueError), match=message):
        save_gguf(file, tensors)
    assert file.read_text() == "old"
    assert names(tmp_path) == ["old.gguf"]


def test_lazy_tensors_are_made_one_at_a_time(tmp_path: Path) -> None:
    alive: list[int] = []
    most = 0

    class Counted(np.ndarray[Any, Any]):
        pass

    def make(i: int) -> Callable[[], NDArray[Any]]:
        def made() -> NDArray[Any]:
            nonlocal most
            array = np.full(1000, i, np.float32).view(Counted)
            alive.append(i)
            weakref.finalize(array, alive.remove, i)
            most = max(most, len(alive))
            return array

        return made

    save_gguf(tmp_path / "l.gguf", {str(i): LazyTensor(0, (1000,), 4000, make(i)) for i in range(5)})
    assert most == 1
    model = open_gguf(tmp_path / "l.gguf")
    assert all(np.all(model[str(i)] == i) for i in range(5))
    with pytest.raises(ValueError, match="announced with 8 bytes of type 0, made are 16"):
        save_gguf(tmp_path / "w.gguf", {"w": LazyTensor(0, (2,), 8, lambda: np.zeros(4, np.float32))})
    assert names(tmp_path) == ["l.gguf"]


def test_progress_and_its_exceptions(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    file = tmp_path / "p.gguf"
    save_gguf(file, {"a": np.zeros(10**7, np.float32)}, progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (file.stat().st_size,) * 2
    assert len(seen) >= 3
    before = file.read_bytes()

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_gguf(file, {"a": np.ones(10, np.float32)}, progress=stop)
    assert file.read_bytes() == before
    assert names(tmp_path) == ["p.gguf"]


def test_a_file_may_be_written_over_itself(tmp_path: Path) -> None:
    file, w = tmp_path / "self.gguf", weights("Q4_K", (8, 256))
    save_gguf(file, {"w": w, "gone": np.zeros(10)})
    file.chmod(0o640)
    link = tmp_path / "link.gguf"
    link.symlink_to(file)
    with open_gguf(link, repack=True) as model:
        save_gguf(link, {"w": model["w"]}, model.metadata)
        assert np.all(model["gone"] == 0)  # the old file is still there for those who have it open
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert dict(open_gguf(file)) == {"w": iqkcpu.repack(w)}
    assert names(tmp_path) == ["link.gguf", "self.gguf"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_gguf(tmp_path / "no" / "x.gguf", {})
    with pytest.raises(ValueError, match="no regular file"):
        save_gguf(tmp_path, {})
    with pytest.raises(ValueError, match="no regular file"):
        save_gguf("/dev/null", {})


@pytest.mark.parametrize("named", [False, True])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if named:  # as on file systems that have no files without a name
        monkeypatch.delattr(os, "O_TMPFILE")
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_CREAT, raising=False)
    file = tmp_path / "full.gguf"
    save_gguf(file, {"a": np.arange(10, dtype=np.float32)})
    assert names(tmp_path) == ["full.gguf"]
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            save_gguf(file, {"a": np.zeros(10**6, np.float32)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert names(tmp_path) == ["full.gguf"]


_KILLED = """
import sys, time
import numpy as np, iqkcpu
def progress(done, of):
    print("writing", flush=True)
    time.sleep(60)
iqkcpu.save_gguf(sys.argv[1], {"a": np.zeros(10**7, np.float32)}, progress=progress)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_writer_leaves_no_half_file(tmp_path: Path, how: signal.Signals) -> None:
    file = tmp_path / "killed.gguf"
    file.write_text("old")
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == "writing\n"
        p.send_signal(how)
        p.wait(10)
    assert file.read_text() == "old"
    left = names(tmp_path)
    assert "killed.gguf" in left
    assert all(name == "killed.gguf" or name.endswith(".tmp") for name in left)


def test_metadata_is_a_mapping() -> None:
    metadata = Metadata({"a": 1})
    assert repr(metadata) == "Metadata(1 keys)"
    assert dict(metadata | {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="1 to 65535"):
        Metadata({"x" * 65536: 1})
    with pytest.raises(TypeError, match="strings"):
        Metadata({1: 1})  # type: ignore[dict-item]

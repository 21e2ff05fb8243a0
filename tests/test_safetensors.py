"""Are safetensors files read, alone, as shards and by their index, and damaged ones refused?"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iqkcpu
from iqkcpu import open_gguf
from quantize_command import normal, run


def write_safetensors(path: Path, tensors: dict[str, tuple[str, Any]]) -> None:
    head, data = {"__metadata__": {"format": "pt"}}, b""
    entries: dict[str, Any] = dict(head)
    for name, (dtype, array) in tensors.items():
        raw = array.tobytes()
        entries[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_safetensors_shards(tmp_path: Path) -> None:
    w = normal(8, 256)
    bf16 = (w.view(np.uint32) >> 16).astype(np.uint16)
    first, second = (tmp_path / f"m-0000{i}-of-00002.safetensors" for i in (1, 2))
    write_safetensors(first, {"a.byte": ("I8", np.ones(1, np.int8)), "a.weight": ("F32", w), "norm": ("F32", w[0])})
    assert "shards are missing" in run(first, "--type", "Q4_K", "--dry-run", status=1)
    write_safetensors(second, {"b.weight": ("F16", w.astype(np.float16)), "c.weight": ("BF16", bf16)})
    run(second, tmp_path / "out.gguf", "--type", "Q4_K")
    made = open_gguf(tmp_path / "out.gguf")
    assert list(made) == ["a.byte", "a.weight", "norm", "b.weight", "c.weight"]
    assert np.array_equal(made["norm"], w[0])  # type: ignore[arg-type]
    rounded = (bf16.astype(np.uint32) << 16).view(np.float32)
    for name, floats in (("a.weight", w), ("b.weight", w.astype(np.float16)), ("c.weight", rounded)):
        assert made[name] == iqkcpu.quantize(floats, "Q4_K")


def test_damaged_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"w": ("F32", normal(2, 32))})
    whole = path.read_bytes()
    for bad in (
        whole[:4],
        whole[:40],
        whole[:-1],
        whole.replace(b"F32", b"U99"),
        whole.replace(b"[2, 32]", b"[2,-32]"),
    ):
        path.write_bytes(bad)
        assert "Error: " in run(path, "--type", "Q8_0", "--dry-run", status=1)
    good = {"dtype": "F32", "shape": [2, 32], "data_offsets": [0, 256]}
    for head in (
        "[]",
        "[" * 100_000,
        '{"w": 3}',
        *(
            json.dumps({"w": good | change})
            for change in (
                {"shape": "ab"},
                {"shape": [float("inf")]},
                {"shape": [2.5, 32]},
                {"shape": [2**70, 32]},
                {"shape": [0, 32]},
                {"data_offsets": [0]},
                {"data_offsets": [-9, 247]},
                {"data_offsets": [256, 0]},
                {"dtype": [1]},
            )
        ),
    ):
        path.write_bytes(struct.pack("<Q", len(head)) + head.encode() + bytes(256))
        assert "m.safetensors: no safetensors file, or a damaged one" in run(
            path, "--type", "Q8_0", "--dry-run", status=1
        )


# ---- the index ------------------------------------------------------------------------------------------------------

INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
WEIGHT_MAP = {"a.weight": FIRST, "b.weight": SECOND}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    model = tmp_path / "Some-Model"
    model.mkdir()
    for name, file in WEIGHT_MAP.items():
        write_safetensors(model / file, {name: ("F32", normal(8, 256))})
    write_index(model, WEIGHT_MAP)
    return model


def write_index(model: Path, weight_map: object) -> None:
    (model / INDEX).write_text(json.dumps({"metadata": {"total_size": 16384}, "weight_map": weight_map}))


def refusal(model: Path) -> str:
    out = model / "out.gguf"
    message = run(model, out, "--type", "Q8_0", status=1)
    assert not out.exists()
    return message


def test_a_directory_and_its_index_are_the_model(directory: Path, tmp_path: Path) -> None:
    made = []
    for number, source in enumerate((directory, directory / INDEX)):
        out = tmp_path / f"{number}.gguf"
        run(source, out, "--type", "Q8_0")
        assert list(open_gguf(out)) == ["a.weight", "b.weight"]
        assert open_gguf(out).metadata["general.name"] == "Some-Model"
        made.append(out.read_bytes())
    assert made[0] == made[1]
    run(directory / FIRST, tmp_path / "shards.gguf", "--type", "Q8_0")
    assert dict(open_gguf(tmp_path / "shards.gguf")) == dict(open_gguf(tmp_path / "0.gguf"))


@pytest.mark.parametrize("file", [INDEX, FIRST])
def test_files_that_are_read_are_not_replaced(directory: Path, file: str) -> None:
    before = (directory / file).read_bytes()
    assert "is IN" in run(directory, directory / file, "--type", "Q8_0", "--force", status=2)
    assert (directory / file).read_bytes() == before


def test_shards_may_be_links(directory: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for file in (FIRST, SECOND, INDEX):
        (directory / file).rename(blobs / f"{file[6:11]}-blob")
        (directory / file).symlink_to(f"../blobs/{file[6:11]}-blob")
    run(directory, tmp_path / "out.gguf", "--type", "Q8_0")
    assert len(open_gguf(tmp_path / "out.gguf")) == 2


def test_a_directory_without_an_index(directory: Path, tmp_path: Path) -> None:
    (directory / INDEX).unlink()
    assert f"neither {INDEX} nor model.safetensors" in refusal(directory)
    (directory / FIRST).rename(directory / "model.safetensors")
    run(directory, tmp_path / "out.gguf", "--type", "Q8_0")
    assert list(open_gguf(tmp_path / "out.gguf")) == ["a.weight"]


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        (WEIGHT_MAP | {"c.weight": FIRST}, f"the index says that 'c.weight' is in {FIRST}, where it is not"),
        ({"a.weight": SECOND, "b.weight": FIRST}, f"'a.weight' is in {FIRST}, the index says {SECOND}"),
        ({"a.weight": FIRST, "c.weight": SECOND}, f"{SECOND} has a tensor 'b.weight' that is not in the index"),
        (WEIGHT_MAP | {"c.weight": "model-3.safetensors"}, "shards are missing: model-3.safetensors"),
        (WEIGHT_MAP | {"c.weight": "../outside.safetensors"}, "files lie beside the index"),
        (WEIGHT_MAP | {"c.weight": "/etc/passwd"}, "files lie beside the index"),
        (WEIGHT_MAP | {"c.weight": ".."}, "files lie beside the index"),
        (WEIGHT_MAP | {"c.weight": "a\0b"}, "files lie beside the index"),
        (WEIGHT_MAP | {"c.weight": ""}, "files lie beside the index"),
        (WEIGHT_MAP | {"c.weight": 3}, "the file of 'c.weight' is no name"),
        (WEIGHT_MAP | {"c.weight": INDEX}, "no safetensors file, or a damaged one"),
        ({}, "the index has no tensors"),
        ([], "it has no weight_map"),
        ("text", "it has no weight_map"),
        (None, "it has no weight_map"),
    ],
)
def test_an_index_that_does_not_agree_with_its_files(directory: Path, weight_map: object, message: str) -> None:
    (directory.parent / "outside.safetensors").write_bytes((directory / FIRST).read_bytes())
    write_index(directory, weight_map)
    assert message in refusal(directory)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[1]",
        b"[" * 100_000,
        b'{"weight_map": {"a.weight": "x", "a.weight": "y"}}',
        b'{"weight_map": ' + b"9" * 5000 + b"}",
        b"{}",
    ],
)
def test_an_index_that_is_none(directory: Path, text: bytes) -> None:
    (directory / INDEX).write_bytes(text)
    assert f"{INDEX}: no index of a safetensors model, or a damaged one" in refusal(directory)


def test_a_tensor_in_two_shards(directory: Path) -> None:
    write_safetensors(directory / SECOND, {n: ("F32", normal(8, 256)) for n in WEIGHT_MAP})
    assert "the tensor 'a.weight' is in another shard too" in refusal(directory)

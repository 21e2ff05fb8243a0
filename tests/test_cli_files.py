"""Do `iqkcpu inspect` and `iqkcpu repack` do what they say, and harm no file?"""

import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

import iqkcpu
from iqkcpu import QuantTensor, RawTensor, open_gguf, repack, save_gguf
from iqkcpu.cli import app
from terminal import shown_on_terminal

COMMAND = (sys.executable, "-m", "iqkcpu")
METADATA: dict[str, Any] = {"general.architecture": "llama", "general.name": "A model\nof two lines", "u8": np.uint8(3)}


def weights(name: str, shape: tuple[int, ...]) -> QuantTensor:
    size = int(np.prod(shape[:-1])) * iqkcpu.Type(name).row_bytes(shape[-1])
    return QuantTensor(np.random.default_rng(0).integers(0, 256, size, np.uint8), name, shape)


TENSORS: dict[str, Any] = {
    "token_embd.weight": weights("Q4_K", (8, 256)),
    "blk.0.attn_q.weight": weights("Q4_K", (8, 256)),
    "blk.0.ffn_up.weight": weights("Q4_0", (16, 256)),
    "blk.0.odd.weight": weights("Q4_0", (7, 256)),
    "blk.0.exps.weight": weights("IQ4_NL", (2, 4, 64)),
    "blk.0.ks.weight": weights("IQ4_KS_R4", (4, 256)),
    "output.weight": weights("Q8_KV", (8, 64)),
    "blk.0.norm": np.ones(6, np.float32),
    "half": np.ones((16, 2), np.float16),
    "odd": RawTensor(np.zeros(32, np.uint8), 9999, (8,)),
}
REPACKED = {"blk.0.attn_q.weight", "blk.0.ffn_up.weight", "blk.0.exps.weight", "output.weight"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    save_gguf(path, TENSORS, METADATA)
    return path


class Output(NamedTuple):
    stdout: str
    stderr: str
    output: str


def run(*arguments: object, status: int = 0) -> Output:
    # Wide, so that messages are not broken into lines.
    result = CliRunner(env={"COLUMNS": "500", "TERMINAL_WIDTH": "500"}).invoke(app, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return Output(result.stdout, result.stderr, result.output)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# ---- inspect --------------------------------------------------------------------------------------------------------


def test_inspect(model: Path) -> None:
    text = run("inspect", model).stdout
    assert "GGUF version 3, 3 metadata keys, 10 tensors" in text
    assert re.search(r"^blk\.0\.exps\.weight +IQ4_NL +2 x 4 x 64 +288 +4\.5$", text, re.MULTILINE)
    assert re.search(r"^odd +unknown \(9999\) +8 +32 +32$", text, re.MULTILINE)
    assert re.search(r"^Q4_0 +2 +5888 +3312 +3\.23 KiB +4\.5$", text, re.MULTILINE)
    total = sum(t.nbytes for t in TENSORS.values())
    assert re.search(rf"^in all +10 +\d+ +{total} ", text, re.MULTILINE)
    assert "general.name" not in text
    metadata = run("inspect", model, "--metadata").stdout
    assert re.search(r"^general\.name +string +'A model\\nof two lines'$", metadata, re.MULTILINE)
    assert re.search(r"^u8 +uint8 +3$", metadata, re.MULTILINE)


def test_inspect_json(model: Path) -> None:
    document = json.loads(run("inspect", model, "--json").stdout)
    assert document["metadata"] == {"general.architecture": "llama", "general.name": "A model\nof two lines", "u8": 3}
    listed = {t["name"]: t for t in document["tensors"]}
    assert list(listed) == list(TENSORS)
    assert listed["blk.0.exps.weight"]["shape"] == [2, 4, 64]
    assert listed["blk.0.ks.weight"]["type"] == "IQ4_KS_R4"
    assert {t["type"] for t in document["types"]} == {t["type"] for t in document["tensors"]}
    assert sum(t["bytes"] for t in document["types"]) == sum(t.nbytes for t in TENSORS.values())


def test_inspect_numbers_that_json_has_not(tmp_path: Path) -> None:
    save_gguf(tmp_path / "n.gguf", {}, {"nan": float("nan"), "list": [float("inf"), 1.0], "nested": [[1], [2]]})
    text = run("inspect", tmp_path / "n.gguf", "--json").stdout
    assert json.loads(text, parse_constant=pytest.fail)["metadata"] == {
        "nan": "nan",
        "list": ["inf", 1.0],
        "nested": [[1], [2]],
    }
    assert "in all" in run("inspect", tmp_path / "n.gguf", "--metadata").stdout


def test_inspect_a_damaged_file(model: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    data = model.read_bytes()
    cut.write_bytes(data[:400])
    assert re.search(r"cut\.gguf: byte \d+: .* bytes, the file ends after", run("inspect", cut, status=1).stderr)
    cut.write_bytes(data[: len(data) // 2])
    message = run("inspect", cut, status=1).stderr
    assert re.search(r"cut\.gguf: the tensor '\S+' .* the file ends at byte \d+", message)
    cut.write_bytes(b"")
    assert "the file is empty" in run("inspect", cut, status=1).stderr
    for command in (["inspect"], ["repack", "--dry-run"]):
        assert "directory" in run(*command, tmp_path, status=1).stderr


def test_a_typo_in_the_name_of_a_file(model: Path, tmp_path: Path) -> None:
    for arguments in (["inspect", tmp_path / "modle.gguf"], ["repack", tmp_path / "modle.gguf", tmp_path / "out"]):
        assert "near matches: model.gguf" in run(*arguments, status=2).stderr
    assert "there is no file" in run("inspect", tmp_path / "no" / "such", status=2).stderr


# ---- repack ---------------------------------------------------------------------------------------------------------


def check_repacked(path: Path, repacked: set[str] = REPACKED) -> None:
    made = open_gguf(path)
    assert list(made) == list(TENSORS)
    for name, tensor in TENSORS.items():
        read = made[name]
        if isinstance(tensor, QuantTensor):
            assert read == (repack(tensor) if name in repacked else tensor)
            assert made.infos[name].shape == tensor.shape
        elif isinstance(tensor, np.ndarray):
            assert np.array_equal(read, tensor)  # type: ignore[arg-type]
    assert dict(made.metadata) == {**METADATA, "u8": 3}
    assert made.metadata.kind("u8") == "uint8"


def test_repack(model: Path, tmp_path: Path) -> None:
    before, out = model.read_bytes(), tmp_path / "out.gguf"
    text = run("repack", model, out, "-t", 1).stdout
    check_repacked(out)
    assert model.read_bytes() == before
    assert names(tmp_path) == ["model.gguf", "out.gguf"]
    for line in (
        r"Q4_0 +Q4_0_R8 +1 .*8 rows are stored together, no weight changes",
        r"Q4_0 +stays +1 .*7 rows are not a multiple of the 8 that Q4_0_R8 stores together",
        r"Q4_K +stays +1 .*looked up one by one",
        r"IQ4_KS_R4 +stays .*already",
        r"F16 +stays .*no repacked form of equal precision",
        r"F32 +stays .*no repacked form",
        r"unknown \(9999\) +stays .*no type of weights",
        r"wrote .*out\.gguf: 10 tensors, ",
    ):
        assert re.search(rf"^{line}", text, re.MULTILINE), line
    # A second time there is nothing left to do.
    again = run("repack", out, tmp_path / "again.gguf").stdout
    assert "no weight changes" not in again
    assert (tmp_path / "again.gguf").read_bytes() == out.read_bytes()


def test_repack_only(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    text = run("repack", model, out, "--only", r"embd|ffn_(up|down)").stdout
    check_repacked(out, {"token_embd.weight", "blk.0.ffn_up.weight"})
    assert "not chosen by --only" in text
    assert "matches no tensor" in run("repack", model, out, "--force", "--only", "ffn_gate", status=2).stderr
    assert "no regular expression" in run("repack", model, out, "--force", "--only", "(", status=2).stderr


def test_a_dry_run_writes_nothing(model: Path, tmp_path: Path) -> None:
    for arguments in ([], [tmp_path / "out.gguf"], ["--inplace"]):
        text = run("repack", model, *arguments, "--dry-run").stdout
        assert re.search(r"^Q4_K +Q4_K_R4", text, re.MULTILINE)
        assert names(tmp_path) == ["model.gguf"]
    assert open_gguf(model)["blk.0.attn_q.weight"] == TENSORS["blk.0.attn_q.weight"]


def test_repack_in_place(model: Path) -> None:
    assert run("repack", model, "--inplace", "--quiet").output == ""
    check_repacked(model)
    assert names(model.parent) == ["model.gguf"]


def test_repack_refuses(model: Path, tmp_path: Path) -> None:
    out, link = tmp_path / "out.gguf", tmp_path / "link.gguf"
    out.write_text("precious")
    link.symlink_to(model)
    before = model.read_bytes()
    for arguments, message in (
        ([out], "ask for --force"),
        ([model], "is IN: ask for --inplace"),
        ([link, "--force"], "is IN: ask for --inplace"),
        ([], "name an OUT"),
        ([out, "--inplace"], "exclude each other"),
        ([tmp_path, "--force"], "is a directory"),
        ([tmp_path / "no" / "out.gguf"], "there is no directory"),
        ([out, "--threads", "0"], "threads must be at least 1"),
    ):
        assert message in run("repack", model, *arguments, status=2).stderr
    assert out.read_text() == "precious"
    assert model.read_bytes() == before
    run("repack", model, out, "--force")
    check_repacked(out)


def test_split_models_become_one_file(tmp_path: Path) -> None:
    for i, name in enumerate(("blk.0.attn_q.weight", "blk.0.ffn_up.weight")):
        metadata = {"split.no": np.uint16(i), "split.count": np.uint16(2), "split.tensors.count": np.int32(2)}
        save_gguf(tmp_path / f"m-{i + 1:05}-of-00002.gguf", {name: TENSORS[name]}, metadata)
    second = tmp_path / "m-00002-of-00002.gguf"
    assert "IN is a split model" in run("repack", second, "--inplace", status=2).stderr
    assert "is IN" in run("repack", second, tmp_path / "m-00001-of-00002.gguf", "--force", status=2).stderr
    run("repack", second, tmp_path / "one.gguf")
    one = open_gguf(tmp_path / "one.gguf")
    assert [info.type_name for info in one.infos.values()] == ["Q4_K_R4", "Q4_0_R8"]
    assert "split.count" not in one.metadata


def holes(path: Path, rows: int) -> None:
    """A file with two tensors of many rows, that takes no room on the disk."""
    save_gguf(path, {f"blk.{i}": weights("Q4_0", (1, 4096)) for i in range(2)})
    data = bytearray(path.read_bytes())
    end = 0
    for i in range(2):
        begin = data.index(b"blk.%d" % i) + 5
        end = begin + 32
        data[begin:end] = struct.pack("<IQQIQ", 2, 4096, rows, 2, i * rows * 2304)
    path.write_bytes(data[: end + -end % 32])
    os.truncate(path, end + -end % 32 + 2 * rows * 2304)


def test_interrupt_leaves_no_half_file(tmp_path: Path) -> None:
    model, out = tmp_path / "model.gguf", tmp_path / "out.gguf"
    holes(model, 1 << 17)
    for how, status in ((signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)):
        command: list[str | Path] = [*COMMAND, "repack", model, out]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
            assert p.stdout is not None
            assert p.stderr is not None
            assert "becomes" in p.stdout.readline()
            time.sleep(0.2)  # so that it is writing
            p.send_signal(how)
            assert p.wait(20) == status
            assert p.stderr.read() == ("interrupted\n" if status == 130 else "")
        assert names(tmp_path) == ["model.gguf"]


def test_a_full_disk(model: Path, tmp_path: Path) -> None:
    limit = len(model.read_bytes()) // 2
    done = subprocess.run(
        [*COMMAND, "repack", model, tmp_path / "out.gguf"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert re.fullmatch("Error: .*File too large.*\n", done.stderr)
    assert names(tmp_path) == ["model.gguf"]


def test_a_terminal_gets_tables_and_a_bar(model: Path, tmp_path: Path) -> None:
    shown = shown_on_terminal([*COMMAND, "repack", model, tmp_path / "out.gguf"], 150)
    assert b"\x1b[" in shown
    assert b"Q4_K_R4" in shown
    assert b"kB" in shown or b"KiB" in shown
    check_repacked(tmp_path / "out.gguf")
    plain = run("repack", model, tmp_path / "plain.gguf").output
    assert "\x1b" not in plain
    assert "\r" not in plain

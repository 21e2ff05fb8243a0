"""Does an interrupted `iqkcpu quantize` go on where it was, to the file that it would have made at once?"""

import errno
import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import iqkcpu
from iqkcpu import GGUFError, open_gguf, save_gguf
from iqkcpu._pieces import quantized_pieces
from iqkcpu.gguf.part import PartFile
from quantize_command import normal, run

COMMAND = (sys.executable, "-m", "iqkcpu", "quantize")
NAMES = [f"blk.{i}.ffn_up.weight" for i in range(6)]
TENSORS: dict[str, Any] = {name: normal(16, 256) for name in NAMES} | {
    "norm": normal(7),
    NAMES[2]: normal(7, 256),  # 1008 bytes of Q4_K: 16 zeros follow
    NAMES[4]: iqkcpu.quantize(normal(2, 8, 256), "Q8_0"),
}
OPTIONS = ("--type", "Q4_K", "--custom-q", "blk.1=IQ4_K")


class Files(NamedTuple):
    model: Path
    out: Path
    part: Path
    whole: bytes
    """Of the file that is made at once."""


@pytest.fixture
def files(tmp_path: Path) -> Files:
    model, out = tmp_path / "model.gguf", tmp_path / "out.gguf"
    save_gguf(model, TENSORS, {"general.architecture": "llama"})
    return Files(model, out, tmp_path / "out.gguf.part", at_once(model, *OPTIONS))


def at_once(model: Path, *options: object) -> bytes:
    whole = model.with_name("whole.gguf")
    run(model, whole, *options)
    data = whole.read_bytes()
    whole.unlink()
    return data


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class Stop:
    """Ends the work when so many tensors are made; counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made, self.after, self.error = 0, 10**9, KeyboardInterrupt()  # type: tuple[int, int, BaseException]

        def pieces(*arguments: Any) -> Any:
            if self.made >= self.after:
                raise self.error
            self.made += 1
            return quantized_pieces(*arguments)

        monkeypatch.setattr("iqkcpu.quantize_model.quantized_pieces", pieces)

    def __call__(self, after: int, error: BaseException | None = None) -> None:
        self.made, self.after, self.error = 0, after, error or KeyboardInterrupt()


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Stop:
    return Stop(monkeypatch)


def interrupt(files: Files, stop: Stop, after: int, *options: object) -> str:
    stop(after)
    text = run(files.model, files.out, *(options or OPTIONS), status=130)
    assert not files.out.exists()
    return text


def finish(files: Files, stop: Stop, made: int, *options: object, whole: bytes | None = None) -> str:
    """Run to the end: so many tensors are made, and the file is that which is made at once."""
    stop(10**9)
    text = run(files.model, files.out, *(options or OPTIONS))
    assert stop.made == made
    assert files.out.read_bytes() == (whole or files.whole)
    assert names(files.model.parent) == ["model.gguf", "out.gguf"]
    return text


@pytest.mark.parametrize("after", range(1, 6))
def test_an_interrupted_run_goes_on(files: Files, stop: Stop, after: int) -> None:
    text = interrupt(files, stop, after)
    assert f"{files.part} keeps what is done: the same command goes on from there\ninterrupted\n" in text
    assert names(files.model.parent) == ["model.gguf", "out.gguf.part"]
    with pytest.raises(GGUFError, match="no GGUF file"):
        open_gguf(files.part)
    text = finish(files, stop, 6 - after)
    assert f"goes on with {files.part}: {after} of 6 tensors can be used\n" in text


def test_nothing_is_left_of_a_run_that_finished_no_tensor(files: Files, stop: Stop) -> None:
    assert interrupt(files, stop, 0).endswith("\ninterrupted\n")
    assert names(files.model.parent) == ["model.gguf"]


def test_interrupted_again_and_again(files: Files, stop: Stop) -> None:
    for _ in range(5):
        interrupt(files, stop, 1)
    finish(files, stop, 1)


def test_an_interrupt_while_the_part_is_checked_loses_nothing(
    files: Files, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(files, stop, 4)
    before = files.part.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("iqkcpu.quantize_model.origin_of", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        assert "keeps what is done" in interrupt(files, stop, 9)
    assert files.part.read_bytes() == before
    finish(files, stop, 2)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals(tmp_path: Path, how: signal.Signals) -> None:
    model, out = tmp_path / "model.gguf", tmp_path / "out.gguf"
    save_gguf(model, {f"blk.{i}": normal(1024, 1024) for i in range(8)})
    whole = at_once(model, "--type", "IQ3_S")
    command: list[str | Path] = [*COMMAND, model, out, "--type", "IQ3_S", "-t", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        while "[3/8]" not in p.stdout.readline():
            pass
        p.send_signal(how)
        assert p.wait(20) == (130 if how == signal.SIGINT else -how)
        assert ("keeps what is done" in p.stderr.read()) == (how == signal.SIGINT)
    assert names(tmp_path) == ["model.gguf", "out.gguf.part"]
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"goes on with .*out\.gguf\.part: [2-7] of 8 tensors can be used", again)
    assert out.read_bytes() == whole
    assert names(tmp_path) == ["model.gguf", "out.gguf"]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def place(files: Files, name: str) -> int:
    """Where a tensor lies in the file that is made at once, and in its part."""
    whole = files.model.with_name("whole.gguf")
    whole.write_bytes(files.whole)
    offset = open_gguf(whole).infos[name].offset
    whole.unlink()
    return offset


def test_damaged_tensors_are_made_again(files: Files, stop: Stop) -> None:
    interrupt(files, stop, 4)
    flip(files.part, place(files, NAMES[0]))
    flip(files.part, place(files, NAMES[3]) + 2303)
    finish(files, stop, 4)


def test_damage_between_the_tensors(files: Files, stop: Stop) -> None:
    interrupt(files, stop, 5)
    for at, size in ((place(files, NAMES[2]) + 1008, 16), (place(files, "norm") + 28, 4)):
        with files.part.open("r+b") as file:
            file.seek(at)
            assert file.read(size) == bytes(size)
            file.seek(at)
            file.write(b"\xff" * size)
    finish(files, stop, 1)


def test_damage_anywhere(files: Files, stop: Stop) -> None:
    interrupt(files, stop, 4)
    stop(10**9)
    part = files.part.read_bytes()
    for at in (4, 8, 30, *range(40, place(files, NAMES[0]), 97)):
        files.part.write_bytes(part)
        flip(files.part, at)
        run(files.model, files.out, *OPTIONS)
        assert files.out.read_bytes() == files.whole
        files.out.unlink()
        assert names(files.model.parent) == ["model.gguf"]


def test_a_part_that_is_cut_short(files: Files, stop: Stop) -> None:
    interrupt(files, stop, 4)
    os.truncate(files.part, 1000)
    text = finish(files, stop, 6)
    assert f"Warning: {files.part} is damaged: all is made anew\n" in text


def test_a_changed_recipe(files: Files, stop: Stop) -> None:
    interrupt(files, stop, 4)
    options = ("--type", "Q4_K", "--custom-q", "blk.1=IQ5_K,blk.5=Q6_K")
    text = finish(files, stop, 3, *options, whole=at_once_without(files, stop, *options))
    assert f"goes on with {files.part}: 3 of 6 tensors can be used\n" in text


def at_once_without(files: Files, stop: Stop, *options: object) -> bytes:
    """The file that is made at once; the part of the other is not touched."""
    stop(10**9)
    return at_once(files.model, *options)


def test_a_changed_recipe_that_is_interrupted_keeps_the_better_part(files: Files, stop: Stop) -> None:
    interrupt(files, stop, 4)
    options = ("--type", "Q4_K", "--custom-q", "blk.[01]=IQ5_K")
    whole = at_once_without(files, stop, *options)
    interrupt(files, stop, 0, *options)  # has the two that could be used
    assert names(files.model.parent) == ["model.gguf", "out.gguf.part"]
    interrupt(files, stop, 1, *options)
    finish(files, stop, 3, *options, whole=whole)


def test_an_old_part_stays_until_the_new_one_has_all_of_it(
    files: Files, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(files, stop, 4)
    before = files.part.read_bytes()
    options = ("--type", "Q4_K", "--custom-q", "blk.1=IQ5_K")
    plain = PartFile.write

    def write(part: PartFile, name: str, pieces: Any) -> None:
        if name == NAMES[3]:  # the last of three that can be used
            raise KeyboardInterrupt
        plain(part, name, pieces)

    with monkeypatch.context() as patch:
        patch.setattr(PartFile, "write", write)
        assert "keeps what is done" in interrupt(files, stop, 9, *options)
    assert files.part.read_bytes() == before
    assert names(files.model.parent) == ["model.gguf", "out.gguf.part"]


def test_changed_weights(files: Files, stop: Stop) -> None:
    interrupt(files, stop, 4)
    save_gguf(files.model, TENSORS | {NAMES[2]: normal(7, 256)}, {"general.architecture": "llama"})
    finish(files, stop, 3, whole=at_once_without(files, stop, *OPTIONS))


def test_a_changed_imatrix(files: Files, stop: Stop, tmp_path_factory: pytest.TempPathFactory) -> None:
    imatrix = tmp_path_factory.mktemp("elsewhere") / "imatrix.gguf"
    options = (*OPTIONS, "--imatrix", imatrix)

    def write(values: Any) -> None:
        save_gguf(imatrix, {f"{NAMES[0]}.in_sum2": values[None], f"{NAMES[0]}.counts": np.ones((1, 1), np.float32)})

    write(np.ones(256, np.float32))
    stop(4)
    run(files.model, files.out, *options, status=130)
    write(np.arange(1, 257, dtype=np.float32))
    finish(files, stop, 3, *options, whole=at_once_without(files, stop, *options))


def test_a_part_and_an_earlier_file(files: Files, stop: Stop) -> None:
    earlier = files.model.with_name("earlier.gguf")
    run(files.model, earlier, "--type", "Q4_K")
    interrupt(files, stop, 2, *OPTIONS)
    stop(10**9)
    text = run(files.model, files.out, *OPTIONS, "--reuse", earlier)
    assert f"reused from {earlier}: 4 tensors\n" in text
    assert "not reused" not in text
    assert stop.made == 0
    assert files.out.read_bytes() == files.whole


def test_the_part_comes_before_an_earlier_file(files: Files, stop: Stop) -> None:
    options = ("--type", "Q5_K", "--custom-q", "blk.[45]=Q4_K")
    run(files.model, files.model.with_name("earlier.gguf"), *options)
    stop(2)
    run(files.model, files.out, "--custom-q", "blk.[235]=Q6_K", status=130)
    assert files.part.exists()
    recipe = ("--custom-q", "blk.[01]=Q5_K,blk.[23]=Q6_K,blk=Q4_0", "--reuse", files.model.with_name("earlier.gguf"))
    stop(0)
    text = run(files.model, files.out, *recipe, status=130)
    turns = re.findall(r"^\[\d/7\] blk\.(\d)", text, re.MULTILINE)
    assert turns == ["2", "3", "0", "1", "4"]


def test_a_part_that_only_lacks_its_name(files: Files, stop: Stop) -> None:
    files.part.write_bytes(files.whole)
    finish(files, stop, 0)


@pytest.mark.parametrize("data", [b"", b"GGUF", b"precious"])
def test_files_of_others_are_not_touched(files: Files, data: bytes) -> None:
    files.part.write_bytes(data)
    text = run(files.model, files.out, *OPTIONS, status=1)
    assert f"Error: {files.part} is in the way, and not what an interrupted run left: remove or rename it\n" in text
    assert files.part.read_bytes() == data
    assert not files.out.exists()
    files.part.unlink()
    shutil.copy(files.model, files.part)
    assert "is in the way" in run(files.model, files.out, *OPTIONS, "--force", status=1)
    assert files.part.read_bytes() == files.model.read_bytes()


def test_a_link_in_the_place_of_a_part_is_not_followed(files: Files, stop: Stop) -> None:
    interrupt(files, stop, 4)
    elsewhere = files.part.rename(files.model.with_name("elsewhere"))
    before = elsewhere.read_bytes()
    files.part.symlink_to(elsewhere)
    assert "symbolic link" in run(files.model, files.out, *OPTIONS, status=1)
    assert elsewhere.read_bytes() == before
    assert files.part.is_symlink()


def test_two_runs_at_once(files: Files, stop: Stop) -> None:
    interrupt(files, stop, 4)
    before = files.part.read_bytes()
    with files.part.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        text = run(files.model, files.out, *OPTIONS, status=1)
    assert f"Error: {files.part}: another process is writing it\n" in text
    assert "keeps what is done" not in text
    assert files.part.read_bytes() == before
    finish(files, stop, 2)


def test_two_runs_that_begin_at_once(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def pieces(*arguments: Any) -> Any:
        files.part.write_text("of the other")
        return quantized_pieces(*arguments)

    monkeypatch.setattr("iqkcpu.quantize_model.quantized_pieces", pieces)
    text = run(files.model, files.out, *OPTIONS, status=1)
    assert f"Error: {files.part}: another process is writing it\n" in text
    assert files.part.read_text() == "of the other"
    assert names(files.model.parent) == ["model.gguf", "out.gguf.part"]


def test_the_old_file_stays_until_the_new_one_is_complete(files: Files, stop: Stop) -> None:
    files.out.write_text("old")
    files.out.chmod(0o640)
    stop(3)
    run(files.model, files.out, *OPTIONS, "--force", status=130)
    assert files.out.read_text() == "old"
    assert files.part.stat().st_mode & 0o777 == 0o640
    finish(files, stop, 3, *OPTIONS, "--force")
    assert files.out.stat().st_mode & 0o777 == 0o640


def test_refused_weights_take_away_what_this_run_began(files: Files, stop: Stop) -> None:
    bad = TENSORS[NAMES[3]].copy()
    bad[1, 2] = np.inf
    save_gguf(files.model, TENSORS | {NAMES[3]: bad}, {"general.architecture": "llama"})
    assert f"Error: {NAMES[3]}: a[1, 2] is inf" in run(files.model, files.out, *OPTIONS, status=1)
    assert names(files.model.parent) == ["model.gguf"]
    interrupt(files, stop, 2)
    stop(10**9)
    assert "keeps what is done" in run(files.model, files.out, *OPTIONS, status=1)
    assert names(files.model.parent) == ["model.gguf", "out.gguf.part"]
    save_gguf(files.model, TENSORS, {"general.architecture": "llama"})
    finish(files, stop, 3)


def test_a_disk_that_fills_up(files: Files, stop: Stop) -> None:
    stop(3, OSError(errno.ENOSPC, "No space left on device"))
    text = run(files.model, files.out, *OPTIONS, status=1)
    assert "No space left on device" in text
    assert "keeps what is done" in text
    finish(files, stop, 3)


def test_a_disk_without_room(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    room = SimpleNamespace(free=len(files.whole) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room)
    text = run(files.model, files.out, *OPTIONS, status=1)
    assert f"the file takes {len(files.whole)} bytes, the disk has room for {len(files.whole) - 1}" in text
    assert names(files.model.parent) == ["model.gguf"]


def test_a_limit_of_file_sizes(files: Files) -> None:
    done = subprocess.run(
        [*COMMAND, files.model, files.out, *OPTIONS],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)),
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert names(files.model.parent) == ["model.gguf"]


def test_a_file_system_without_unnamed_files(files: Files, stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_CREAT)
    interrupt(files, stop, 0)
    assert names(files.model.parent) == ["model.gguf"]
    interrupt(files, stop, 3)
    assert names(files.model.parent) == ["model.gguf", "out.gguf.part"]
    finish(files, stop, 3)


def test_a_reader_that_goes_away(files: Files) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, files.model, files.out, *OPTIONS], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not files.out.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_read_only(files: Files) -> None:
    directory = files.model.parent
    directory.chmod(0o555)
    try:
        assert "Permission denied" in run(files.model, files.out, *OPTIONS, status=1)
    finally:
        directory.chmod(0o755)
    assert names(directory) == ["model.gguf"]

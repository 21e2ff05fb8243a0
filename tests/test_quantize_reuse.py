"""Does `iqkcpu quantize --reuse` copy exactly the tensors that were made from the same, and say why not the others?"""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iqkcpu
from iqkcpu import open_gguf, provenance, save_gguf
from iqkcpu._pieces import quantized_pieces
from iqkcpu.provenance import DIGESTS_KEY, KEYS, TENSORS_KEY, VERSION_KEY
from quantize_command import normal, run
from terminal import shown_on_terminal

Q, UP, EXPERTS, DOWN = (f"blk.0.{name}.weight" for name in ("attn_q", "ffn_up", "ffn_exps", "ffn_down"))
TENSORS: dict[str, Any] = {
    Q: normal(16, 256),
    UP: normal(16, 512).astype(np.float16),
    EXPERTS: iqkcpu.quantize(normal(2, 8, 256), "Q8_0"),
    DOWN: iqkcpu.quantize(normal(16, 256), "BF16"),
    "norm": normal(256),
}
QUANTIZED = {Q, UP, EXPERTS, DOWN}
IMPORTANCE = {name: np.abs(normal(TENSORS[name].shape[-1])) + 0.1 for name in QUANTIZED}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    save_gguf(path, TENSORS, {"general.architecture": "llama"})
    return path


@pytest.fixture
def imatrix(tmp_path: Path) -> Path:
    path = tmp_path / "imatrix.gguf"
    write_imatrix(path, IMPORTANCE)
    return path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the weights that are quantized, one after the other."""
    shapes: list[tuple[int, ...]] = []

    def counted(w: Any, *arguments: Any) -> Any:
        shapes.append(w.shape)
        return quantized_pieces(w, *arguments)

    monkeypatch.setattr("iqkcpu.quantize_model.quantized_pieces", counted)
    return shapes


def write_imatrix(path: Path, importance: dict[str, Any]) -> None:
    sums = {f"{name}.in_sum2": values[None] for name, values in importance.items()}
    save_gguf(path, sums | {f"{name}.counts": np.ones((1, 1), np.float32) for name in importance})


def check(
    reused: set[str], made: list[tuple[int, ...]], source: Path, earlier: Path | list[Path], *options: object
) -> str:
    """Quantize with and without --reuse: the files are the same, and only what is not reused is made; the output."""
    fresh, out = source.with_name("fresh.gguf"), source.with_name("reused.gguf")
    run(source, fresh, *options, "--force")
    made.clear()
    files = [earlier] if isinstance(earlier, Path) else earlier
    text = run(source, out, *options, "--force", *(word for file in files for word in ("--reuse", file)))
    assert out.read_bytes() == fresh.read_bytes()
    assert sorted(made) == sorted(TENSORS[name].shape for name in QUANTIZED - reused)
    return text


def test_a_changed_recipe(model: Path, imatrix: Path, tmp_path: Path, made: Any) -> None:
    earlier, options = tmp_path / "earlier.gguf", ("--type", "Q4_K", "--imatrix", imatrix)
    run(model, earlier, *options)
    text = check({Q, EXPERTS, DOWN}, made, model, earlier, *options, "--custom-q", "ffn_up=IQ4_K")
    assert f"reused from {earlier}: 3 tensors\n" in text
    assert f"not reused: 1 tensor ({UP}): another type\n" in text
    assert f"{Q}: F32 to Q4_K, from {earlier}\n" in text
    # What was made with --reuse serves as well as any other.
    text = check({EXPERTS, DOWN, UP}, made, model, tmp_path / "reused.gguf", "--type", "IQ4_K", "--imatrix", imatrix,
                 "--custom-q", "exps|down=Q4_K")  # fmt: skip
    assert f"not reused: 1 tensor ({Q}): another type" in text


def test_nothing_changed(model: Path, tmp_path: Path, made: Any) -> None:
    run(model, tmp_path / "earlier.gguf", "--type", "Q4_0_R8")
    check(QUANTIZED, made, model, tmp_path / "earlier.gguf", "--type", "Q4_0_R8")


def test_a_changed_imatrix(model: Path, imatrix: Path, tmp_path: Path, made: Any) -> None:
    earlier, options = tmp_path / "earlier.gguf", ("--type", "Q4_K", "--imatrix", imatrix)
    run(model, earlier, *options)
    changed = IMPORTANCE[Q].copy()
    changed[255] *= 1.5
    write_imatrix(imatrix, {**IMPORTANCE, Q: changed})
    text = check(QUANTIZED - {Q}, made, model, earlier, *options)
    assert f"not reused: 1 tensor ({Q}): made with another importance matrix\n" in text
    write_imatrix(imatrix, {UP: IMPORTANCE[UP]})
    check({UP}, made, model, earlier, *options)
    check(set(), made, model, earlier, "--type", "Q4_K")


@pytest.mark.parametrize("chunk", [64, 16 << 20])
def test_changed_weights(model: Path, tmp_path: Path, made: Any, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_CHUNK", chunk)
    earlier = tmp_path / "earlier.gguf"
    run(model, earlier, "--type", "Q4_K")
    changed = TENSORS[Q].copy()
    changed[15, 255] += 1e-3
    save_gguf(model, TENSORS | {Q: changed})
    text = check(QUANTIZED - {Q}, made, model, earlier, "--type", "Q4_K")
    assert f"not reused: 1 tensor ({Q}): made from other weights\n" in text


def test_the_same_bytes_of_another_type_are_other_weights(model: Path, tmp_path: Path, made: Any) -> None:
    run(model, tmp_path / "earlier.gguf", "--type", "Q4_K")
    save_gguf(model, TENSORS | {DOWN: TENSORS[DOWN].raw.view(np.float16)})
    check(QUANTIZED - {DOWN}, made, model, tmp_path / "earlier.gguf", "--type", "Q4_K")


def test_other_names_and_shapes(model: Path, tmp_path: Path, made: Any) -> None:
    renamed = {name.replace("attn_q", "attn_k"): tensor for name, tensor in TENSORS.items()}
    save_gguf(tmp_path / "other.gguf", renamed | {UP: TENSORS[UP].reshape(32, 256)})
    run(tmp_path / "other.gguf", tmp_path / "earlier.gguf", "--type", "Q4_K")
    text = check({EXPERTS, DOWN}, made, model, tmp_path / "earlier.gguf", "--type", "Q4_K")
    assert f"not reused: 1 tensor ({Q}): no tensor of that name\n" in text
    assert f"not reused: 1 tensor ({UP}): another shape\n" in text


def test_decoding_depends_on_the_instruction_set(model: Path, tmp_path: Path, made: Any) -> None:
    if iqkcpu.isa() == "scalar":
        pytest.skip("there is no other instruction set")
    with iqkcpu.use_isa("scalar"):
        run(model, tmp_path / "earlier.gguf", "--type", "Q4_K")
    text = check(QUANTIZED - {EXPERTS}, made, model, tmp_path / "earlier.gguf", "--type", "Q4_K")
    assert f"({EXPERTS}): made from other weights" in text


def test_damaged_tensors_are_not_reused(model: Path, tmp_path: Path, made: Any) -> None:
    earlier = tmp_path / "earlier.gguf"
    run(model, earlier, "--type", "Q4_K")
    data = bytearray(earlier.read_bytes())
    data[open_gguf(earlier).infos[DOWN].offset + 5] ^= 1
    earlier.write_bytes(data)
    text = check(QUANTIZED - {DOWN}, made, model, earlier, "--type", "Q4_K")
    assert f"not reused: 1 tensor ({DOWN}): changed since they were made\n" in text


def test_several_files(model: Path, tmp_path: Path, made: Any) -> None:
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    run(model, first, "--type", "Q4_K")
    run(model, second, "--type", "Q5_K")
    text = check({Q, UP}, made, model, [first, second], "--custom-q", "attn_q=Q4_K,ffn_up=Q5_K,blk=Q6_K")
    assert f"reused from {first}: 1 tensor\n" in text
    assert f"reused from {second}: 1 tensor\n" in text
    assert f"not reused: 2 tensors ({EXPERTS}, {DOWN}): another type\n" in text


def test_the_old_output_itself(model: Path, tmp_path: Path, made: Any) -> None:
    out, fresh = tmp_path / "out.gguf", tmp_path / "fresh.gguf"
    options = ("--type", "Q4_K", "--custom-q", "attn_q=Q6_K")
    run(model, fresh, *options)
    run(model, out, "--type", "Q4_K")
    made.clear()
    run(model, out, *options, "--force", "--reuse", out)
    assert out.read_bytes() == fresh.read_bytes()
    assert made == [TENSORS[Q].shape]


def test_files_that_do_not_tell(model: Path, tmp_path: Path, made: Any) -> None:
    earlier, bare = tmp_path / "earlier.gguf", tmp_path / "bare.gguf"
    run(model, earlier, "--type", "Q4_K")
    with open_gguf(earlier) as tensors:
        save_gguf(bare, tensors, tensors.metadata.without(*KEYS))
        text = check(set(), made, model, bare, "--type", "Q4_K")
        assert f"Warning: nothing of {bare} is reused: it does not say what its tensors were made from\n" in text
        save_gguf(bare, tensors, tensors.metadata | {VERSION_KEY: np.uint32(99)})
        text = check(set(), made, model, bare, "--type", "Q4_K")
    assert f"nothing of {bare} is reused: its tensors were made by version 99 of the quantizers" in text


@pytest.mark.parametrize(
    "values",
    [
        {TENSORS_KEY: 3},
        {DIGESTS_KEY: "text"},
        {DIGESTS_KEY: ["0" * 98] * 4},
        {DIGESTS_KEY: ["", "a b c", "x" * 98, " " * 98]},
        {DIGESTS_KEY: ["a" * 32 + " " + "b" * 32 + " " + "c" * 32] * 9},
        {DIGESTS_KEY: [1, 2, 3, 4]},
        {TENSORS_KEY: [[1], [2]]},
        {VERSION_KEY: "1"},
    ],
)
def test_hostile_records(model: Path, tmp_path: Path, made: Any, values: dict[str, Any]) -> None:
    earlier = tmp_path / "earlier.gguf"
    run(model, earlier, "--type", "Q4_K")
    with open_gguf(earlier) as tensors:
        save_gguf(tmp_path / "hostile.gguf", tensors, tensors.metadata | values)
    check(set(), made, model, tmp_path / "hostile.gguf", "--type", "Q4_K")


def test_records_of_the_source_are_dropped(model: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    run(model, first, "--custom-q", "attn_q=Q8_0,ffn_up=Q8_0")
    run(first, second, "--custom-q", "attn_q=Q4_0")
    assert open_gguf(second).metadata[TENSORS_KEY] == [Q]
    run(second, tmp_path / "third.gguf", "--custom-q", "nothing=Q4_0")
    assert not set(KEYS) & set(open_gguf(tmp_path / "third.gguf").metadata)


def test_quiet(model: Path, tmp_path: Path) -> None:
    earlier, out = tmp_path / "earlier.gguf", tmp_path / "out.gguf"
    run(model, earlier, "--type", "Q4_K")
    for file in (earlier, model):
        assert run(model, out, "--type", "Q4_K", "--force", "--quiet", "--reuse", file) == ""


def test_a_dry_run_tells_what_would_be_reused(model: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.gguf"
    run(model, earlier, "--type", "Q4_K")
    text = run(model, "--type", "Q4_K", "--custom-q", "attn_q=Q6_K", "--dry-run", "--reuse", earlier)
    assert f"reused from {earlier}: 3 tensors\nnot reused: 1 tensor ({Q}): another type\n" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["earlier.gguf", "model.gguf"]


def test_a_terminal_is_told_too(model: Path, tmp_path: Path) -> None:
    earlier, out = tmp_path / "earlier.gguf", tmp_path / "out.gguf"
    run(model, earlier, "--type", "Q4_K")
    command: list[str | Path] = [sys.executable, "-m", "iqkcpu", "quantize", model, out, "--type", "Q4_K"]
    shown = shown_on_terminal([*command, "--reuse", earlier], 200)
    assert b"reused from " in shown
    assert b"100%" in shown
    assert out.read_bytes() == earlier.read_bytes()


def test_files_that_are_none(model: Path, tmp_path: Path) -> None:
    out, damaged = tmp_path / "out.gguf", tmp_path / "damaged.gguf"
    shutil.copy(model, damaged)
    with damaged.open("r+b") as file:
        file.truncate(300)
    for file_name, status, message in (("modle.gguf", 2, "near matches: model.gguf"), ("damaged.gguf", 1, "byte ")):
        assert message in run(model, out, "--type", "Q4_K", "--reuse", tmp_path / file_name, status=status)
    assert not out.exists()

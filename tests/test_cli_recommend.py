"""Does `iqkcpu recommend` write the recipe that makes the file that it says, and the best one?"""

import importlib.util
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import iqkcpu
from iqkcpu import open_gguf, save_gguf
from iqkcpu.cli import app
from terminal import shown_on_terminal

RANDOM = np.random.default_rng(5)
TYPES = "Q8_0,Q4_K,IQ2_KS"


def normal(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


ROUGH = normal(16, 512) * (RANDOM.random((16, 512)) < 0.02)  # harder to quantize than normal numbers
TENSORS: dict[str, Any] = {
    "token_embd.weight": normal(16, 512),
    "blk.0.attn_q.weight": normal(16, 512).astype(np.float16),
    "blk.1.attn_q.weight": iqkcpu.quantize(normal(16, 512), "BF16"),
    "blk.0.ffn_up_exps.weight": normal(4, 8, 512),
    "blk.0.ffn_down.weight": ROUGH + 0.01 * normal(16, 512),
    "blk.0.narrow.weight": normal(7, 96),
    "blk.0.odd.weight": normal(4, 30),
    "blk.0.ffn_gate_inp.weight": normal(4, 512),
    "blk.0.attn_q_norm.weight": normal(4, 512),
    "blk.0.bias": normal(511),
    "ids": np.arange(5, dtype=np.int32),
}
KEPT = ["blk.0.odd.weight", "blk.0.ffn_gate_inp.weight", "blk.0.attn_q_norm.weight", "blk.0.bias", "ids"]
METADATA = {"general.architecture": "llama", "general.file_type": 1, "llama.expert_used_count": 2}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    save_gguf(path, TENSORS, METADATA)
    return path


def run(*arguments: object, command: str = "recommend", status: int = 0) -> str:
    """Output and errors of the command."""
    result = CliRunner(env={"COLUMNS": "500", "TERMINAL_WIDTH": "500"}).invoke(
        app, [command, *(str(a) for a in arguments)]
    )
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


def told(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["recommend", *(str(a) for a in arguments), "--json"])
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.mark.parametrize("budget", ["8bpw", "40KiB"])
@pytest.mark.parametrize("types", [["--types", TYPES], []])
def test_quantize_makes_what_was_promised(model: Path, tmp_path: Path, budget: str, types: list[str]) -> None:
    recipe, out = tmp_path / "recipe", tmp_path / "out.gguf"
    document = told(model, "--budget", budget, *types, "--out", recipe, "--rows", 4, "-t", 1)
    dry = run(model, "--recipe", recipe, "--dry-run", command="quantize")
    assert f"{document['bpw']:.4g} bits per weight" in dry
    assert "never fired" not in dry
    run(model, out, "--recipe", recipe, "--quiet", command="quantize")
    made = open_gguf(out)
    assert sum(i.nbytes for i in made.infos.values()) == document["bytes"]
    assert [t["name"] for t in document["tensors"]] == [name for name in TENSORS if name not in KEPT]
    for t in document["tensors"]:
        assert (made.infos[t["name"]].type_name, made.infos[t["name"]].nbytes) == (t["type"], t["bytes"])
    for name in KEPT:
        assert np.array_equal(made[name], TENSORS[name])  # type: ignore[arg-type]
    weights = sum(i.size for i in made.infos.values())
    if budget.endswith("bpw"):
        assert 8 * document["bytes"] / weights <= 8
    else:
        assert out.stat().st_size <= 40 << 10


def test_the_budget_is_that_of_the_whole_file(model: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe", tmp_path / "out.gguf"
    run(model, "--budget", "0.05MB", "--types", TYPES, "--out", recipe)
    run(model, out, "--recipe", recipe, "--quiet", command="quantize")
    size = out.stat().st_size
    for budget, possible in ((size, True), (size - 1, False)):
        run(model, "--budget", f"{budget}B", "--types", TYPES, "--out", recipe, "--force")
        run(model, out, "--recipe", recipe, "--quiet", "--force", command="quantize")
        assert out.stat().st_size <= budget
        assert (out.stat().st_size == size) is possible


def test_errors_are_measured_and_the_smallest_chosen(model: Path) -> None:
    """All rows are sampled: errors are exact, and brute force finds the same best."""
    document = told(model, "--budget", "9bpw", "--types", TYPES, "--rows", 1000)
    names = [t["name"] for t in document["tensors"]]
    table: list[list[tuple[int, float]]] = []
    for name in names:
        tensor = TENSORS[name]
        floats = tensor.dequantize() if isinstance(tensor, iqkcpu.QuantTensor) else tensor.astype(np.float32)
        usual = {"Q8_0": "Q8_0", "Q4_K": "IQ4_NL", "IQ2_KS": "IQ4_NL"} if floats.shape[-1] % 256 else {}
        row = []
        for t in TYPES.split(","):
            made = iqkcpu.quantize(floats, usual.get(t, t))
            lost = np.square(made.dequantize().astype(np.float64) - floats).sum()
            row.append((made.nbytes, lost / np.square(floats, dtype=np.float64).sum() * floats.size))
        table.append(row)
    quantized = sum(TENSORS[name].shape[-1] * int(np.prod(TENSORS[name].shape[:-1])) for name in names)
    infos = open_gguf(model).infos
    kept = sum(infos[name].nbytes for name in KEPT)
    limit = 9 * sum(i.size for i in infos.values()) / 8 - kept
    best = min(
        sum(error for _, error in choice)
        for choice in itertools.product(*table)
        if sum(nbytes for nbytes, _ in choice) <= limit
    )
    assert document["gap"] == 0
    assert document["error"] == pytest.approx(best / quantized, rel=1e-6)
    uniform = {line["type"]: line for line in document["uniform"]}
    assert list(uniform) == TYPES.split(",")
    for number, line in enumerate(uniform.values()):
        assert line["bytes"] == kept + sum(row[number][0] for row in table)
        assert line["error"] == pytest.approx(sum(row[number][1] for row in table) / quantized, rel=1e-6)
        assert line["fits"] is (line["bytes"] <= limit + kept)


def test_an_error_bound(model: Path) -> None:
    document = told(model, "--max-error", 0.01, "--types", TYPES)
    assert document["error"] <= 0.01
    assert document["seconds"] == pytest.approx(sum(t["seconds"] for t in document["tensors"]))
    assert all(t["seconds"] > 0 for t in document["tensors"])  # the embeddings are the output too
    both = told(model, "--max-error", 0.02, "--budget", "9bpw", "--types", TYPES)
    assert both["error"] <= 0.02
    assert both["bpw"] <= 9


def test_without_error_all_stays(model: Path, tmp_path: Path) -> None:
    document = told(model, "--max-error", 0, "--out", tmp_path / "recipe", "--rows", 1)
    stored = {name: info.type_name for name, info in open_gguf(model).infos.items()}
    assert {t["name"]: t["type"] for t in document["tensors"]} == {n: t for n, t in stored.items() if n not in KEPT}
    assert document["bytes"] == sum(i.nbytes for i in open_gguf(model).infos.values())
    text = run(model, "--recipe", tmp_path / "recipe", "--dry-run", command="quantize")
    assert f"{document['bpw']:.4g} bits per weight" in text


def test_what_is_out_of_reach(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "recipe"
    text = run(model, "--budget", "10KiB", "--types", TYPES, "--out", out, status=1)
    found = re.search(r"Error: .* the smallest size is (\d+) bytes", text)
    assert found is not None
    run(model, "--budget", f"{found[1]}B", "--types", TYPES)
    run(model, "--budget", f"{int(found[1]) - 1}B", "--types", TYPES, status=1)
    text = run(model, "--budget", "2bpw", "--types", TYPES, status=1)
    found = re.search(r"the smallest size is (\S+) bits per weight", text)
    assert found is not None
    run(model, "--budget", f"{found[1]}bpw", "--types", TYPES)
    text = run(model, "--max-error", 1e-9, "--types", TYPES, status=1)
    found = re.search(r"the smallest error is (\S+)", text)
    assert found is not None
    run(model, "--max-error", found[1], "--types", TYPES)
    text = run(model, "--max-error", 0.001, "--budget", "8bpw", "--types", TYPES, status=1)
    assert re.search(
        r"smallest size with an error of 0\.001 is \S+ bits .*, the smallest error at this size is 0\.0", text
    )
    assert not out.exists()


def test_errors_are_weighted_by_importance(model: Path, tmp_path: Path) -> None:
    importance = np.zeros((1, 512), np.float32)
    importance[:, :256] = 1
    name = "blk.0.attn_q.weight"
    save_gguf(
        tmp_path / "i.gguf",
        {f"{name}.in_sum2": importance, f"{name}.counts": np.ones((1, 1), np.float32)},
    )
    arguments = (model, "--budget", "20bpw", "--types", "IQ2_KS", "--rows", 100)
    errors = {t["name"]: t["error"] for t in told(*arguments, "--imatrix", tmp_path / "i.gguf")["tensors"]}
    floats = TENSORS[name].astype(np.float64)
    made = iqkcpu.quantize(TENSORS[name], "IQ2_KS", importance[0]).dequantize()
    expected = np.square(made - floats)[:, :256].sum() / np.square(floats)[:, :256].sum()
    assert errors[name] == pytest.approx(expected)
    assert "no importance matrix for 5 tensors of 6" in run(*arguments, "--imatrix", tmp_path / "i.gguf")


def test_types_that_are_poor_without_importance(model: Path) -> None:
    warning = r"no importance matrix for 5 tensors \([^)]*\): IQ2_KS gives poor weights without"
    assert re.search(warning, run(model, "--budget", "20bpw", "--types", "IQ2_KS"))
    assert "Warning" not in run(model, "--budget", "20bpw", "--types", "Q8_0")


def test_the_table_and_the_plot(model: Path, tmp_path: Path) -> None:
    plot = tmp_path / "front.png"
    text = run(model, "--budget", "9bpw", "--types", TYPES, "--plot", plot)
    for line in (
        r"tensors +count +type +bpw +size +error +ms$",
        r"blk\.\*\.attn_q\.weight +\d +\S+ ",
        r"everywhere +bpw +size +error +ms +fits$",
        r"IQ2_KS .* yes$",
        r"Q8_0 .*[0-9]$",
        r"recommended .* yes$",
        r"recommended: \d+ bytes of tensors .*: no choice is better$",
        r"wrote .*front\.png$",
    ):
        assert re.search(rf"^{line}", text, re.MULTILINE), line
    data = plot.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 20_000
    run(model, "--max-error", 0, "--plot", tmp_path / "front.svg")
    assert b"<svg" in (tmp_path / "front.svg").read_bytes()


def test_safetensors(tmp_path: Path) -> None:
    path, recipe, out = tmp_path / "m.safetensors", tmp_path / "recipe", tmp_path / "out.gguf"
    w = normal(32, 256)
    head = json.dumps({"model.w.weight": {"dtype": "F32", "shape": [32, 256], "data_offsets": [0, w.nbytes]}}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + w.tobytes())
    document = told(path, "--budget", "5KiB", "--types", TYPES, "--out", recipe)
    assert [t["type"] for t in document["tensors"]] == ["Q4_K"]
    run(path, out, "--recipe", recipe, "--quiet", command="quantize")
    assert open_gguf(out).infos["model.w.weight"].nbytes == document["bytes"]
    assert out.stat().st_size <= 5 << 10


def test_refusals(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there.png"
    there.write_text("precious")
    link = tmp_path / "link.png"
    link.symlink_to(there)
    ask = (model, "--budget", "9bpw")
    for arguments, message in (
        ((model,), "ask for a --budget or a --max-error"),
        ((model, "--budget", "12G"), "no size such as"),
        ((model, "--max-error", -1), "no number of at least 0"),
        ((model, "--max-error", "nan"), "no number of at least 0"),
        ((*ask, "--types", "Q4K"), "near matches"),
        ((*ask, "--types", "I2_S"), "no quantizer for I2_S"),
        ((*ask, "--plot", tmp_path / "front.jpeg"), "must end with .png, .svg, .pdf"),
        ((*ask, "--plot", there), "ask for --force"),
        ((*ask, "--out", there), "ask for --force"),
        ((*ask, "--out", model, "--force"), "is IN"),
        ((*ask, "--imatrix", there, "--out", there, "--force"), "is read too"),
        ((*ask, "--imatrix", there, "--plot", link, "--force"), "is read too"),
        ((*ask, "--out", tmp_path / "no" / "r"), "there is no directory"),
        ((*ask, "--out", tmp_path / "a.png", "--plot", tmp_path / "a.png"), "name the same file"),
        ((*ask, "--out", there, "--plot", link, "--force"), "name the same file"),
        ((tmp_path / "modle.gguf", "--budget", "9bpw"), "near matches: model.gguf"),
    ):
        assert message in run(*arguments, status=2), arguments
    save_gguf(tmp_path / "vectors.gguf", {"bias": normal(256)})
    assert "no tensor that could be quantized" in run(tmp_path / "vectors.gguf", "--budget", "9bpw", status=1)
    assert there.read_text() == "precious"
    find = importlib.util.find_spec
    for missing, arguments, extra in (("scipy", ask, "recommend"), ("matplotlib", (*ask, "--plot", "a.png"), "plot")):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, no=missing: None if name == no else find(name))
        assert f"needs {missing}: pip install 'iqkcpu[{extra}]'" in run(*arguments, status=2)


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    bad = normal(4, 256)
    bad[2, 3] = np.nan
    save_gguf(tmp_path / "bad.gguf", {"bad": bad})
    text = run(tmp_path / "bad.gguf", "--budget", "9bpw", "--out", tmp_path / "recipe", status=1)
    assert "Error: bad: [2, 3] is nan" in text
    assert [p.name for p in tmp_path.iterdir()] == ["bad.gguf"]


def test_an_interrupt_leaves_no_file(tmp_path: Path) -> None:
    save_gguf(tmp_path / "model.gguf", {f"blk.{i}": normal(256, 1024) for i in range(64)})
    code = (
        "import iqkcpu.recommend.measure as m, iqkcpu.cli as c; old = m.sample_rows;"
        "m.sample_rows = lambda *a: (print('sampled', flush=True), old(*a))[1]; c.main()"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "recommend",
        "model.gguf",
        "--budget",
        "4bpw",
        "--out",
        "r",
        "--plot",
        "r.png",
    ]
    with subprocess.Popen(
        [*command, "-t", "1", "--rows", "256"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    ) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        assert p.stdout.readline() == "sampled\n"
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == 130
        assert p.stderr.read() == "interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


def test_a_terminal_gets_a_bar_and_a_pipe_none(model: Path) -> None:
    command = [sys.executable, "-m", "iqkcpu", "recommend", str(model), "--budget", "9bpw", "--types", TYPES]
    shown = shown_on_terminal(command, 150)
    assert b"\x1b[" in shown
    assert re.search(rb"\d+/\d+", shown)
    assert b"no choice is better" in shown
    done = subprocess.run([*command, "--json"], capture_output=True, check=True)
    assert done.stderr == b""
    assert json.loads(done.stdout)["gap"] == 0

"""Does `iqkcpu quantize` give each tensor the type that recipe and shape ask for, and the bytes of `quantize`?"""

import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iqkcpu
from iqkcpu import open_gguf, save_gguf
from iqkcpu.imatrix import for_tensor, read_imatrix
from iqkcpu.provenance import KEYS
from iqkcpu.recipes import first_match, parse_rules, read_recipe
from quantize_command import normal, run
from terminal import shown_on_terminal

RANDOM = np.random.default_rng(7)

TENSORS: dict[str, Any] = {
    "token_embd.weight": normal(16, 256),
    "blk.0.attn_q.weight": normal(16, 256).astype(np.float16),
    "blk.1.attn_q.weight": iqkcpu.quantize(normal(16, 256), "BF16"),
    "blk.0.ffn_up_exps.weight": iqkcpu.quantize(normal(2, 8, 256), "Q8_0"),
    "blk.0.narrow.weight": normal(7, 96),
    "blk.0.odd.weight": normal(4, 30),
    "blk.0.ffn_gate_inp.weight": normal(2, 256),
    "blk.0.attn_q_norm.weight": normal(4, 256),
    "blk.0.bias": normal(256),
    "ids": np.arange(4, dtype=np.int32),
}
KEPT = {"blk.0.odd.weight", "blk.0.ffn_gate_inp.weight", "blk.0.attn_q_norm.weight", "blk.0.bias", "ids"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    save_gguf(path, TENSORS, {"general.architecture": "llama", "general.file_type": 1})
    return path


def floats(tensor: Any) -> Any:
    return tensor.dequantize() if isinstance(tensor, iqkcpu.QuantTensor) else tensor


def check(path: Path, expected: dict[str, str], imatrix: dict[str, Any] | None = None) -> None:
    made = open_gguf(path)
    assert list(made) == list(TENSORS)
    for name, tensor in TENSORS.items():
        if name in KEPT:
            assert np.array_equal(made[name], tensor)  # type: ignore[arg-type]
            continue
        assert made[name] == iqkcpu.quantize(floats(tensor), expected[name], (imatrix or {}).get(name)), name
        assert made.infos[name].shape == tensor.shape


ALL_Q4_K = dict.fromkeys(TENSORS, "Q4_K") | {"blk.0.narrow.weight": "IQ4_NL"}


def test_one_type(model: Path, tmp_path: Path) -> None:
    before, out = model.read_bytes(), tmp_path / "out.gguf"
    text = run(model, out, "--type", "q4_k", "-t", 1)
    check(out, ALL_Q4_K)
    assert model.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.gguf", "out.gguf"]
    metadata = open_gguf(out).metadata.without(*KEYS)
    assert dict(metadata) == {"general.architecture": "llama", "general.quantization_version": 2}
    for line in (
        r"F32 +IQ4_NL +1 .*fallback: rows of 96 are not a multiple of the 256 in a block of Q4_K",
        r"F32 +stays +1 .*no block divides rows of 30",
        r"F32 +stays +1 .*a norm",
        r"F32 +stays +1 .*a router",
        r"F32 +stays +1 .*a vector",
        r"I32 +stays +1 .*no weights",
        r"Q8_0 +Q4_K +1 ",
        r"in all: \S+ KiB become \S+ KiB, \S+ bits per weight",
        r"\[2/10\] blk\.0\.attn_q\.weight: F16 to Q4_K",
        r"wrote .*out\.gguf: 10 tensors, ",
    ):
        assert re.search(rf"^{line}", text, re.MULTILINE), line


def test_rules(model: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe", tmp_path / "out.gguf"
    recipe.write_text("# attention\nattn_q=Q6_K  # more bits\n\n^nothing=Q4_0\nattn_q\\.weight$=Q8_0\n")
    text = run(
        model, out, "--type", "IQ4_XS", "--custom-q", r"^blk\.1{1,2}\.attn=Q5_K,exps=Q4_K_R4", "--recipe", recipe
    )
    expected = dict.fromkeys(TENSORS, "IQ4_XS") | {
        "blk.0.attn_q.weight": "Q6_K",
        "blk.1.attn_q.weight": "Q5_K",
        "blk.0.ffn_up_exps.weight": "Q4_K_R4",
        "blk.0.narrow.weight": "IQ4_NL",
    }
    check(out, expected)
    assert "rule ^nothing=Q4_0 never fired" in text
    assert r"rule attn_q\.weight$=Q8_0 never fired" in text
    assert text.count("never fired") == 2
    assert re.search(r"^met by no rule: 6 tensors \(token_embd\.weight, blk\.0\.narrow\.weight, ", text, re.MULTILINE)


def test_without_a_type_the_rest_stays(model: Path, tmp_path: Path) -> None:
    run(model, tmp_path / "out.gguf", "--custom-q", "ffn_gate_inp=Q8_0", "--quiet")
    made = open_gguf(tmp_path / "out.gguf")
    changed = [name for name, info in open_gguf(model).infos.items() if info.type_id != made.infos[name].type_id]
    assert changed == ["blk.0.ffn_gate_inp.weight"]


def test_interleaved_types(model: Path, tmp_path: Path) -> None:
    run(model, tmp_path / "out.gguf", "--type", "Q4_0_R8")
    types = {name: info.type_name for name, info in open_gguf(tmp_path / "out.gguf").infos.items()}
    assert types["blk.0.attn_q.weight"] == "Q4_0_R8"
    assert types["token_embd.weight"] == types["blk.0.narrow.weight"] == "Q4_0"


def test_rules_as_text(tmp_path: Path) -> None:
    rules = parse_rules(r"blk\.\d{1,2}\.ffn=q4_k,a=b=Q8_0")
    assert [str(rule) for rule in rules] == [r"blk\.\d{1,2}\.ffn=Q4_K", "a=b=Q8_0"]
    assert first_match(rules, "blk.12.ffn") is rules[0]
    assert first_match(rules, "blk.123.ffn") is None
    for text in ("nothing", "=Q4_K", "a=Q4_K,,", "a=Q4K", "(=Q4_K", "a=I2_S"):
        with pytest.raises(ValueError, match=r"no rule of the form|unknown type|no regular expression|no quantizer"):
            parse_rules(text)
    (tmp_path / "r").write_text("# x\n\na=Q4_K\nb\n")
    with pytest.raises(ValueError, match="line 4: 'b' is no rule"):
        read_recipe(tmp_path / "r")


def test_a_dry_run_tells_the_size(model: Path, tmp_path: Path) -> None:
    text = run(model, "--type", "Q4_K", "--dry-run")
    assert [p.name for p in tmp_path.iterdir()] == ["model.gguf"]
    assert re.search(r"^blk\.0\.attn_q\.weight +F16 +Q4_K +4\.5 +2\.25 KiB$", text, re.MULTILINE)
    run(model, tmp_path / "out.gguf", "--type", "Q4_K")
    infos = open_gguf(tmp_path / "out.gguf").infos.values()
    bpw = 8 * sum(i.nbytes for i in infos) / sum(i.size for i in infos)
    assert f"{bpw:.4g} bits per weight" in text


def test_refusals(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    out.write_text("precious")
    recipe = tmp_path / "recipe"
    recipe.write_text("attn=Q4_K")
    for arguments, message in (
        ([model, out, "--type", "Q4_K"], "ask for --force"),
        ([model, model, "--type", "Q4_K", "--force"], "is IN"),
        ([model, recipe, "--recipe", recipe, "--force"], "is read too"),
        ([model, out, "--type", "Q4_K", "--imatrix", out, "--force"], "is read too"),
        ([model, "--type", "Q4_K"], "name an OUT"),
        ([model, tmp_path / "new"], "ask for a --type"),
        ([model, tmp_path / "new", "--type", "Q4K"], "near matches"),
        ([model, tmp_path / "new", "--type", "I2_S"], "no quantizer for I2_S"),
        ([model, tmp_path / "new", "--recipe", tmp_path / "none"], "No such file"),
        ([model, tmp_path / "no" / "new", "--type", "Q4_K"], "there is no directory"),
        ([tmp_path / "modle.gguf", tmp_path / "new", "--type", "Q4_K"], "near matches: model.gguf"),
    ):
        assert message in run(*arguments, status=2)
    assert (out.read_text(), recipe.read_text()) == ("precious", "attn=Q4_K")
    run(model, out, "--type", "Q4_K", "--force", "--quiet")
    check(out, ALL_Q4_K)


def test_nan_is_refused_and_nothing_written(tmp_path: Path) -> None:
    bad = normal(4, 256)
    bad[2, 3] = np.nan
    save_gguf(tmp_path / "bad.gguf", {"good": normal(4, 256), "bad": bad})
    text = run(tmp_path / "bad.gguf", tmp_path / "out.gguf", "--type", "Q4_K", status=1)
    assert "Error: bad: a[2, 3] is nan" in text
    assert [p.name for p in tmp_path.iterdir()] == ["bad.gguf"]


def test_interrupt_leaves_no_half_file(tmp_path: Path) -> None:
    save_gguf(tmp_path / "model.gguf", {f"blk.{i}": normal(2048, 1024) for i in range(8)})
    command = [sys.executable, "-m", "iqkcpu", "quantize", "model.gguf", "out.gguf", "--type", "IQ3_S", "-t", "1"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        while "[1/8]" not in p.stdout.readline():
            pass
        time.sleep(0.1)
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == 130
        assert p.stderr.read() == "interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


def test_a_terminal_gets_a_bar(model: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "iqkcpu", "quantize", model, tmp_path / "out", "--type", "Q4_K"]
    shown = shown_on_terminal(command, 150)
    assert b"\x1b[" in shown
    assert b"100%" in shown
    assert b"[1/10]" not in shown
    check(tmp_path / "out", ALL_Q4_K)


# ---- importance matrices ---------------------------------------------------------------------------------------------

IMPORTANCE = RANDOM.random(256).astype(np.float32) + 0.1
EXPERTS = RANDOM.random((2, 256)).astype(np.float32) + 0.1
MATRICES = {"blk.0.attn_q.weight": IMPORTANCE, "blk.0.ffn_up_exps.weight": EXPERTS}


def write_gguf_imatrix(path: Path) -> None:
    counts = np.array([[4], [8]], np.float32)
    save_gguf(
        path,
        {
            "blk.0.attn_q.weight.in_sum2": IMPORTANCE[None] * 2,
            "blk.0.attn_q.weight.counts": np.full((1, 1), 2, np.float32),
            "blk.0.ffn_up_exps.weight.in_sum2": EXPERTS * counts,
            "blk.0.ffn_up_exps.weight.counts": counts,
        },
    )


def write_dat_imatrix(path: Path) -> None:
    data = struct.pack("<i", len(MATRICES))
    for name, values in MATRICES.items():
        data += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 4, values.size)
        data += (values * 4).tobytes()
    path.write_bytes(data + struct.pack("<i4s", 4, b"text"))


@pytest.mark.parametrize("write", [write_gguf_imatrix, write_dat_imatrix])
def test_imatrix(model: Path, tmp_path: Path, write: Any) -> None:
    write(tmp_path / "imatrix")
    text = run(model, tmp_path / "out.gguf", "--type", "IQ2_K", "--imatrix", tmp_path / "imatrix")
    check(tmp_path / "out.gguf", dict.fromkeys(TENSORS, "IQ2_K") | {"blk.0.narrow.weight": "IQ4_NL"}, MATRICES)
    assert "Warning: no importance matrix for 2 tensors (token_embd.weight, blk.1.attn_q.weight): IQ2_K" in text


def test_imatrix_of_an_expert_that_was_never_chosen(tmp_path: Path) -> None:
    sums = np.stack([np.zeros(4), np.ones(4) * 6]).astype(np.float32)
    save_gguf(tmp_path / "i", {"w.in_sum2": sums, "w.counts": np.array([[0], [3]], np.float32)})
    values = for_tensor(read_imatrix(tmp_path / "i")["w"], (2, 8, 4))
    assert values.tolist() == [[1] * 4, [2] * 4]


def test_damaged_imatrix(model: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "imatrix", tmp_path / "out.gguf"
    write_dat_imatrix(path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 8, 97):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="damaged"):
            read_imatrix(path)
    path.write_bytes(struct.pack("<ii1siif", 1, 1, b"w", 1, 1, float("nan")))
    assert "not finite" in run(model, out, "--type", "Q4_K", "--imatrix", path, status=1)
    save_gguf(path, {"blk.0.attn_q.weight.in_sum2": np.ones(8, np.float32), "blk.0.attn_q.weight.counts": np.ones(1)})
    assert "8 values" in run(model, out, "--type", "Q4_K", "--imatrix", path, status=1)
    assert not out.exists()

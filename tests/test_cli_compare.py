"""Does `iqkcpu compare` say how far two files are from each other?"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import iqkcpu
from iqkcpu import quantize, save_gguf
from iqkcpu.cli import app

A = np.random.default_rng(0).standard_normal((48, 256), np.float32)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    experts = A.reshape(3, 16, 256)
    save_gguf(first, {"fine": A, "coarse": A, "same": A[0], "experts": experts, "gone": A, "shape": A}, {})
    save_gguf(
        second,
        {
            "fine": quantize(A, "Q8_0"),
            "coarse": quantize(A, "Q2_K"),
            "same": A[0],
            "experts": quantize(experts, "Q4_K_R4"),
            "new": A,
            "shape": A[:2],
        },
        {},
    )
    return first, second


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "500"}).invoke(app, ["compare", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_the_worst_come_first(files: tuple[Path, Path]) -> None:
    told: dict[str, Any] = json.loads(run(*files, "--json"))
    assert [line["tensor"] for line in told["tensors"]] == ["coarse", "experts", "fine", "same", "shape"]
    assert (told["only in A"], told["only in B"]) == (["gone"], ["new"])
    errors = {line["tensor"]: line["error"] for line in told["tensors"]}
    for name, t in (("coarse", "Q2_K"), ("fine", "Q8_0"), ("experts", "Q4_K")):
        decoded = quantize(A, t).dequantize().astype(np.float64)
        assert errors[name] == pytest.approx(np.square(decoded - A).sum() / np.square(A, dtype=np.float64).sum())
    assert errors["same"] == 0
    assert errors["shape"] is None


def test_the_table(files: tuple[Path, Path]) -> None:
    lines = run(*files).splitlines()
    assert lines[0].split() == ["tensor", "A", "B", "error", "largest", "difference"]
    assert lines[1].split()[:3] == ["coarse", "F32", "Q2_K"]
    assert lines[-2:] == ["only in A: gone", "only in B: new"]


def test_large_tensors_are_compared_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["iqkcpu.cli.compare"], "_SLICE", 16 * 256)
    a, b = tmp_path / "a.gguf", tmp_path / "b.gguf"
    save_gguf(a, {"w": A}, {})
    save_gguf(b, {"w": iqkcpu.repack(quantize(A, "Q4_0"))}, {})
    told = json.loads(run(a, b, "--json"))
    decoded = quantize(A, "Q4_0").dequantize().astype(np.float64)
    expected = np.square(decoded - A).sum() / np.square(A, dtype=np.float64).sum()
    assert told["tensors"][0]["error"] == pytest.approx(expected)


def test_a_missing_file_is_wrong_usage(files: tuple[Path, Path]) -> None:
    assert "near matches: a.gguf" in run(files[0], files[1].with_name("aa.gguf"), status=2)

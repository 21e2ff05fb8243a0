"""Do --rank, --cliffs, --sweep and --plot of `iqkcpu bench` answer what they are asked?"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import iqkcpu
from iqkcpu.cli import app
from iqkcpu.cli.bench import cliffs, rank
from iqkcpu.cli.bench.cliffs import Cliff, find_cliffs
from iqkcpu.cli.bench.timing import Result

SMALL = ("--rows", "64", "--cols", "512", "--seconds", "0")
SIGNATURES = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["bench", *SMALL, *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def result(name: str, gflops: float) -> Result:
    return Result(name, iqkcpu.Type(name).bpw, 1, 64, 512, "gemv", 1.0, gflops, 1.0)


def test_ranking_is_by_speed_and_marks_what_nothing_beats() -> None:
    results = [result("Q4_0", 20), result("Q8_0", 10), result("IQ4_K", 15), result("Q2_K", 40), result("Q8_K_R8", 50)]
    errors = {"Q4_0": 0.09, "Q8_0": 0.005, "IQ4_K": 0.1, "Q2_K": 0.3, "Q8_K_R8": None}
    ranked = rank.ranking(results, errors)
    assert [(r.place, r.type) for r in ranked] == list(enumerate(["Q8_K_R8", "Q2_K", "Q4_0", "IQ4_K", "Q8_0"], 1))
    # IQ4_K is slower than Q4_0 and less exact; the error of Q8_K_R8 is not known.
    assert {r.type for r in ranked if r.best} == {"Q2_K", "Q4_0", "Q8_0"}
    assert ranked[0].gweights == 25


def test_relative_error_is_that_of_the_decoded_weights() -> None:
    a = np.random.default_rng(0).standard_normal((4, 512), np.float32)
    error = rank.relative_error(iqkcpu.Type("Q4_0"), a)
    decoded = iqkcpu.quantize(a, "Q4_0").dequantize()
    assert error == pytest.approx(np.linalg.norm(decoded - a) / np.linalg.norm(a))
    assert rank.relative_error(iqkcpu.Type("F32"), a) == 0
    assert rank.relative_error(iqkcpu.Type("Q8_K_R8"), a) is None


def test_rank_answers_for_decode_and_for_prompts() -> None:
    names = ("Q8_0", "Q4_0", "Q8_K_R8")
    lines = json.loads(run("--rank", *names, "--json"))["results"]
    for batch in (1, 512):
        ranked = [line for line in lines if line["batch"] == batch]
        assert [line["place"] for line in ranked] == [1, 2, 3]
        assert {line["type"] for line in ranked} == set(names)
        assert ranked == sorted(ranked, key=lambda line: -line["gweights"])
    text = run("--rank", *names)
    assert text.index("Decode, one column") < text.index("Prompts, 512 columns")
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_cliffs_are_batches_slower_than_larger_ones() -> None:
    smooth = {b: 1.0 + b for b in range(1, 601)}
    assert find_cliffs(smooth) == []
    assert find_cliffs(smooth | {100: 101.9 * 1.05}) == []  # within 5 %
    assert find_cliffs(smooth | {100: 204.0}) == [Cliff(100, 101, 2.0)]
    # Slow steps down are a cliff as well, though no neighbours differ by 5 %.
    steps = {b: 1.03 ** (10 - b) for b in range(1, 11)}
    assert [(c.batch, c.larger) for c in find_cliffs(steps)] == [(b, 10) for b in range(1, 9)]


def test_a_cliff_counts_when_it_is_seen_again() -> None:
    cliff = Cliff(4, 6, 1.5)
    seen = {4: 1.5, 5: 1.3, 6: 1.0}
    assert cliffs._confirmed(cliff, seen, {4: 1.2, 5: 1.19, 6: 1.0}.__getitem__) == Cliff(4, 6, 1.2)
    assert cliffs._confirmed(cliff, seen, {4: 1.2, 5: 1.0, 6: 1.2}.__getitem__) == Cliff(4, 5, 1.2)
    assert cliffs._confirmed(cliff, seen, {4: 1.0, 5: 1.0, 6: 1.0}.__getitem__) is None


def test_a_busy_machine_is_not_taken_for_cliffs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cliffs, "_MOST_CHECKED", 2)
    times = iter([9.0, 8.0, 7.0, 6.0, 5.0, 1.0] * cliffs._LEAST_PASSES)
    monkeypatch.setattr(cliffs, "seconds_of", lambda call: next(times, 1.0))
    curve = json.loads(run("--cliffs", "Q8_0", "--batch", "1,2,3,4,5,6", "--json"))["results"][0]
    assert curve["cliffs"] == []  # not seen again
    assert curve["unchecked"] == 3


def test_cliffs_covers_the_batches_that_are_asked_for() -> None:
    document = json.loads(run("--cliffs", "Q8_0", "F32", "--batch", "1,2,9", "--json"))
    assert [curve["type"] for curve in document["results"]] == ["Q8_0", "F32"]
    for curve in document["results"]:
        assert list(curve["seconds"]) == ["1", "2", "9"]
        assert all(c["ratio"] > document["limit"] for c in curve["cliffs"])
    vector = iqkcpu.isa() != "scalar"
    assert document["results"][0]["threshold"] == (
        iqkcpu.plan(iqkcpu.quantize(np.ones((1, 32)), "Q8_0"), 1).threshold if vector else None
    )
    assert cliffs.USUAL_BATCHES.split(",")[-1] == "600"


def test_sweep_measures_many_batches() -> None:
    batches = [line["batch"] for line in json.loads(run("--sweep", "Q8_0", "--json"))["results"]]
    assert batches == sorted(batches)
    assert {1, 512} < set(batches)
    assert len(batches) > 12


@pytest.mark.parametrize(
    ("question", "suffix"),
    [((), ".pdf"), ((), ".svg"), *((q, ".png") for q in [(), ("--sweep",), ("--rank",), ("--cliffs",), ("--peers",)])],
    ids=str,
)
def test_plot_writes_a_figure(question: tuple[str, ...], suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / f"speed{suffix}"
    batches = () if "--rank" in question else ("--batch", "1,2")
    text = run("Q8_0", "Q4_0", *question, *batches, "--plot", target)
    assert target.read_bytes().startswith(SIGNATURES[suffix])
    assert text.endswith(f"wrote {target}\n")
    assert list(tmp_path.iterdir()) == [target]


def test_plot_and_json_do_not_mix_their_output(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    json.loads(run("Q8_0", "--batch", "1", "--json", "--plot", tmp_path / "a.png"))


def test_plot_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    assert "pip install matplotlib" in " ".join(run("--plot", tmp_path / "a.png", status=2).split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rank", "--peers"), "exclude each other"),
        (("--peers", "IQ4_K"), "there are peers of F32"),
        (("--rank", "--batch", "1"), "leave out --batch"),
        (("--plot", "a.gif"), "--plot writes .pdf, .png, .svg"),
        (("--plot", "nowhere/a.png"), "no directory nowhere"),
        (("--cliffs", "--batch", "0"), "--batch"),
    ],
)
def test_wrong_usage_comes_before_measuring(arguments: tuple[str, ...], message: str) -> None:
    assert message in run(*arguments, status=2)


def test_interrupted_figures_are_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(cliffs, "_measured", interrupt)
    assert "interrupted" in run("--cliffs", "Q8_0", "--plot", tmp_path / "a.png", status=130)
    assert not list(tmp_path.iterdir())

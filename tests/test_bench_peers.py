"""Do the peers of `iqkcpu bench --peers` do the work that is timed, and are missing ones only reported?"""

import builtins
import importlib.util
import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from iqkcpu.cli import app
from iqkcpu.cli.bench.duels import _take_turns
from iqkcpu.cli.bench.peers import ALL, Peer, Problem, UnavailableError, ggml

SHAPE = ("--rows", "64", "--cols", "512", "--seconds", "0")
PACKAGES = ("gguf", "llama_cpp", "onnx", "onnxruntime", "threadpoolctl")


def run(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["bench", "--peers", *SHAPE, *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    load, find = builtins.__import__, importlib.util.find_spec

    def importing(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in PACKAGES:
            raise ImportError(name, name=name)
        return load(name, *rest)

    ggml._library.cache_clear()
    monkeypatch.setattr(builtins, "__import__", importing)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in PACKAGES else find(name))


@pytest.mark.parametrize("peer", ALL, ids=lambda peer: f"{peer.name} {peer.type}")
def test_a_peer_computes_the_product(peer: Peer) -> None:
    problem = Problem(rows=64, cols=512, batch=0 if peer.decodes else 3, copies=2, threads=1)
    try:
        work = peer.prepare(problem)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    work.run()
    exact = work.weights().astype(np.float64)
    if not peer.decodes:
        exact = problem.x() @ exact.T
    assert work.result().shape == exact.shape
    # Peers round the activations to 8 bits, with a scale per 256 at worst.
    assert np.linalg.norm(work.result() - exact) < 0.02 * np.linalg.norm(exact)


def test_every_peer_has_a_line_per_batch() -> None:
    document = json.loads(run("--batch", "1,3", "Q8_0", "Q4_0", "--json"))
    listed = {(o["peer"], o["type"], o["batch"]) for o in document["results"]}
    there = {peer for peer, _, _ in listed}
    for peer in ALL:
        if peer.type in ("Q8_0", "Q4_0") and peer.name in there:
            expected = {0} if peer.decodes else {1, 3}
            assert {b for name, t, b in listed if (name, t) == (peer.name, peer.type)} == expected
    for o in document["results"]:
        assert o["ratio"] == pytest.approx(o["peer_seconds"] / o["seconds"])
        assert o["rate"] == pytest.approx(1e-9 * 512 * o["rows"] * (2 * o["batch"] or 1) / o["seconds"])
        assert o["threads"] == (document["threads"] if o["batch"] else 1)


@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_package_is_one_line_that_says_what_to_install() -> None:
    text = run("--batch", "1,3")
    for package in ("gguf", "llama-cpp-python", "onnx onnxruntime", "threadpoolctl"):
        assert text.count(f"pip install {package}\n") == 1, text
    document = json.loads(run("--batch", "1", "--json"))
    assert document["results"] == []
    assert len(document["missing"]) == 4


def test_peers_fit_a_narrow_terminal() -> None:
    assert max(map(len, run("--batch", "1", "Q2_K").splitlines()[1:])) <= 80


def test_both_sides_take_turns() -> None:
    order: list[str] = []
    _take_turns(lambda: order.append("a"), lambda: order.append("b"), 0)
    turns = [side for i, side in enumerate(order) if i == 0 or order[i - 1] != side]
    assert turns == ["a", "b", "a", "b"]

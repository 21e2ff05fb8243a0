"""Does the command line do what it says, on terminals, in pipes and when interrupted?"""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iqkcpu
from iqkcpu.cli._weights import random_weights
from terminal import shown_on_terminal

SMALL = ("--rows", "64", "--cols", "512", "--seconds", "0")
COMMAND = (sys.executable, "-m", "iqkcpu")


def run(*arguments: str, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("IQKCPU_")} | environment
    done = subprocess.run([*COMMAND, *arguments], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_version_and_help() -> None:
    assert run("--version").stdout == f"iqkcpu {iqkcpu.__version__}\n"
    text = run("--help").stdout
    assert all(command in text for command in ("info", "types", "bench"))
    run(status=2)
    run("nonsense", status=2)


def test_the_installed_command() -> None:
    done = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "iqkcpu", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"iqkcpu {iqkcpu.__version__}\n"


def test_info() -> None:
    text = run("info", "--threads", "1").stdout
    for word in ("CPU", "ISAs", "threads", "int8 peak", "float peak", "memory", "clock", "numpy"):
        assert re.search(rf"^{word}|{word} ", text, re.MULTILINE), word


def test_info_json() -> None:
    best = iqkcpu.isas()[-1]
    info = json.loads(run("info", "--json", "--isa", best, "--threads", "1").stdout)
    assert info["isa"] == best
    assert info["threads"] == 1
    assert info["isas"] == list(iqkcpu.isas())
    assert info["versions"]["iqkcpu"] == iqkcpu.__version__
    rates = ("read_gbs", "write_gbs", "copy_gbs", "ghz", *(() if best == "scalar" else ("int8_gops", "float_gflops")))
    assert all(info["peaks"][rate] > 0 for rate in rates)


def test_info_on_the_scalar_tier() -> None:
    assert re.search("^int8 peak +none", run("info", "--isa", "scalar", "--threads", "1").stdout, re.MULTILINE)


def test_types_lists_all() -> None:
    lines = run("types").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(iqkcpu.types)


def test_types_json() -> None:
    listed = {line["name"]: line for line in json.loads(run("types", "--json").stdout)["types"]}
    assert list(listed) == list(iqkcpu.types)
    assert listed["Q8_0"]["tier"] == "Q8_0_R8"
    first = listed["Q8_0"]["threshold"]
    if iqkcpu.isas() == ("scalar",):
        assert first is None
    else:
        w = iqkcpu.quantize(np.ones((32, 32), np.float32), "Q8_0")
        assert [iqkcpu.plan(w, batch).kernel == "panel" for batch in (first - 1, first)] == [False, True]
    assert listed["Q8_0"]["multiply"]
    assert listed["Q8_0"]["quantize"]
    assert not listed["Q8_K_R8"]["quantize"]


def test_types_markdown() -> None:
    lines = run("types", "--markdown").stdout.splitlines()
    assert len(lines) == 2 + len(iqkcpu.types)
    assert len({line.count("|") for line in lines}) == 1


def test_types_in_a_narrow_pipe_are_not_cut() -> None:
    assert "IQ2_XXS_R4" in run("types", COLUMNS="20").stdout


def results(*arguments: str) -> list[dict[str, Any]]:
    document = json.loads(run("bench", *SMALL, "--json", *arguments).stdout)
    assert document["interrupted"] is False
    return list(document["results"])


def test_bench_measures_every_case() -> None:
    cases = results("Q8_0", "F32", "--batch", "1,8")
    assert [(c["type"], c["batch"]) for c in cases] == [("Q8_0", 1), ("Q8_0", 8), ("F32", 1), ("F32", 8)]
    for case in cases:
        assert case["seconds"] > 0
        assert case["gflops"] == pytest.approx(2e-9 * case["rows"] * 512 * case["batch"] / case["seconds"])
        assert case["gbs"] == pytest.approx(case["gflops"] * case["bpw"] / 16 / case["batch"], rel=0.05)
        assert iqkcpu.isa() == "scalar" or case["of_peak"] > 0
        assert case["of_read"] > 0


@pytest.mark.parametrize("name", iqkcpu.types)
def test_bench_has_finite_weights_of_every_type(name: str) -> None:
    t = iqkcpu.Type(name)
    if name == "I2_S":
        return  # cannot be measured, as test_wrong_usage says
    w = random_weights(t, 3 * t.interleave, 1024, np.random.default_rng(1))
    decoded = w.dequantize()
    assert np.isfinite(decoded).all()
    assert len(np.unique(decoded[0])) > 2


def test_bench_prints_a_line_for_each_case() -> None:
    lines = run("bench", *SMALL, "Q8_0", "--threads", "1", "--isa", "scalar").stdout.splitlines()
    assert "scalar, 1 thread, weights 64 x 512" in lines[0]
    assert lines[-1].startswith("peaks: int8")
    assert [line.split()[:3] for line in lines[2:-1]] == [["Q8_0", "8.5", b] for b in ("1", "8", "64", "512")]
    quiet = run("bench", *SMALL, "Q8_0", "--quiet", "--batch", "1").stdout.splitlines()
    assert len(quiet) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Q4K"], "near matches:.*Q4_K"),
        (["I2_S"], "I2_S cannot be measured"),
        (["Q8_0", "--cols", "100"], "K = 100"),
        (["--rows", "0"], "rows"),
        (["--batch", "1,0"], "--batch"),
        (["--batch", "many"], "--batch"),
        (["--isa", "sse2"], "sse2"),
        (["--threads", "0"], "threads must be at least 1"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    done = run("bench", *arguments, status=2)
    assert re.search(message, done.stderr)
    assert not done.stdout


def test_wrong_environment_is_wrong_usage() -> None:
    for command in ("info", "types", "bench"):
        assert "IQKCPU_ISA" in run(command, status=2, IQKCPU_ISA="sse2").stderr
        assert "IQKCPU_NUM_THREADS" in run(command, status=2, IQKCPU_NUM_THREADS="0").stderr


def test_a_reader_that_leaves_early() -> None:
    for arguments in (["types"], ["bench", "Q8_0", *SMALL]):
        with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
            assert p.stdout is not None
            assert p.stderr is not None
            p.stdout.close()
            assert "Traceback" not in p.stderr.read()


def test_interrupt_keeps_what_was_measured() -> None:
    command = [*COMMAND, "bench", "Q8_0", "F32", "--rows", "64", "--cols", "512", "--seconds", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        lines = [p.stdout.readline() for _ in range(3)]
        p.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert p.wait(10) == 130
        assert time.monotonic() - begin < 2
        assert lines[2].startswith("Q8_0")
        assert p.stderr.read() == "interrupted\n"


def test_interrupted_json_is_still_json() -> None:
    command = [*COMMAND, "bench", "Q8_0", *SMALL[:-1], "2", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        time.sleep(4)
        p.send_signal(signal.SIGINT)
        document, _ = p.communicate(timeout=10)
        assert p.returncode == 130
    assert json.loads(document)["interrupted"] is True


def test_a_progress_bar_on_a_terminal_only() -> None:
    shown = shown_on_terminal([*COMMAND, "bench", "Q8_0", *SMALL], 100)
    assert b"4/4" in shown or b"0/4" in shown
    assert b"\x1b[" in shown
    assert len(re.findall(rb"Q8_0 +8\.5", shown)) == 4
    assert "\x1b" not in run("bench", "Q8_0", *SMALL).stdout

"""Does benchmarks/predict_neon.py say what it needs, and find the loop that counts?"""

import importlib.util
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "predict_neon.py"


def test_a_missing_tool_is_one_line() -> None:
    done = subprocess.run([sys.executable, SCRIPT], env={"PATH": "/nonexistent"}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "predict_neon.py: needs cmake\n")


def test_the_hot_loop_is_the_innermost_one_with_products() -> None:
    spec = importlib.util.spec_from_file_location("predict_neon", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    code = [
        (0x00, "mov\tx0, x1"),
        (0x04, "ldr\tq0, [x0]"),  # an outer loop begins
        (0x08, "sdot\tv1.4s, v0.16b, v2.16b"),  # the inner one, with two ends
        (0x0C, "cbz\tx3, 8 <f+0x8>"),
        (0x10, "sdot\tv1.4s, v0.16b, v3.16b"),
        (0x14, "add\tx5, x5, #0x1"),  # a loop without products
        (0x18, "b.ne\t14 <f+0x14>"),
        (0x1C, "b.gt\t8 <f+0x8>"),
        (0x20, "sdot\tv1.4s, v0.16b, v3.16b"),
        (0x24, "b\t4 <f+0x4>"),
        (0x28, "ret"),
    ]
    assert module.hot_loop(code, ("sdot",)) == (2, [text for address, text in code if 0x08 <= address <= 0x1C])
    assert module.hot_loop(code, ("fmla",)) == (0, [])

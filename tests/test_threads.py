"""Do products have the same bits whatever the number of threads, and does the pool survive a fork?"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import iqkcpu
from iqkcpu import QuantTensor

GOLDEN = Path(__file__).parent / "golden"
TYPES = [name for name in iqkcpu.types if name != "I2_S"][::3]  # whose bytes are no rows


@pytest.mark.parametrize("batch", [1, 4, 43])
@pytest.mark.parametrize("name", TYPES)
def test_same_bits(name: str, batch: int) -> None:
    raw = np.load(GOLDEN / f"{name}.npz")["raw"].ravel()
    copies = -(-(8 << 18) // (16 * 1024 * batch))  # enough work for seven threads
    w = QuantTensor(np.tile(raw, copies), name, (16 * copies, 1024))
    x = np.random.default_rng(1).standard_normal((batch, 1024), np.float32)
    before = iqkcpu.get_num_threads()
    for isa in iqkcpu.isas():
        with iqkcpu.use_isa(isa):
            one = iqkcpu.mul_mat(w, x, threads=1)
            for threads in (2, 3, 7):
                try:
                    iqkcpu.set_num_threads(threads)
                    assert iqkcpu.plan(w, batch).threads == threads
                finally:
                    iqkcpu.set_num_threads(before)
                more = iqkcpu.mul_mat(w, x, threads=threads)
                np.testing.assert_array_equal(more.view(np.uint32), one.view(np.uint32))


def test_a_forked_process_multiplies() -> None:
    code = """
import os, warnings
import numpy as np, iqkcpu
warnings.simplefilter("ignore")
w = iqkcpu.quantize(np.ones((512, 1024), np.float32), "Q8_0")
x = np.ones((16, 1024), np.float32)
first = iqkcpu.mul_mat(w, x, threads=4)
child = os.fork()
same = np.array_equal(iqkcpu.mul_mat(w, x, threads=4), first)
if child == 0:
    os._exit(0 if same else 1)
print(same, os.waitpid(child, 0)[1])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "True 0\n"

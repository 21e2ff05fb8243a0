"""Are the instruction sets those of this machine, and is the one that was asked for the one that runs?"""

import platform
from pathlib import Path

import numpy as np
import pytest

import iqkcpu
from iqkcpu import QuantTensor, _core

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("scalar", "avx2", "avxvnni", "avx512vnni", "avx512vbmi", "avx512amx", "neon")


@pytest.mark.parametrize("isa", NAMES)
def test_a_forced_isa_runs(isa: str) -> None:
    if isa not in iqkcpu.isas():
        pytest.skip(f"this machine lacks {isa}")
    different = 0
    for name in ("Q4_0", "IQ4_K", "IQ2_XXS", "Q8_K_R8"):
        data = np.load(GOLDEN / f"{name}.npz")
        w = QuantTensor(data["raw"], name, data["decoded"].shape)
        x = np.random.default_rng(1).standard_normal((40, 1024), np.float32)
        with iqkcpu.use_isa("scalar"):
            plain = iqkcpu.mul_mat(w, x)
        with iqkcpu.use_isa(isa):
            assert iqkcpu.isa() == isa
            for batch in (0, 1, 5, 40):
                assert iqkcpu.plan(w, batch).isa == isa
            different += np.count_nonzero(iqkcpu.mul_mat(w, x) != plain)
    # Sums in another order round differently: a trace of what really ran.
    assert (different == 0) == (isa == "scalar")


def test_second_opinion_of_cpufeature() -> None:
    features = pytest.importorskip("cpufeature").CPUFeature
    known = {
        "avx2": features["AVX2"] and features["OS_AVX"],
        "fma": features["FMA3"] and features["OS_AVX"],
        "avx512f": features["AVX512f"] and features["OS_AVX512"],
        "avx512bw": features["AVX512bw"] and features["OS_AVX512"],
        "avx512dq": features["AVX512dq"] and features["OS_AVX512"],
        "avx512vl": features["AVX512vl"] and features["OS_AVX512"],
        "avx512vbmi": features["AVX512vbmi"] and features["OS_AVX512"],
    }
    ours = set(_core.cpu_features())
    assert ours & known.keys() == {name for name, found in known.items() if found}


def test_second_opinion_of_the_kernel() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("no /proc/cpuinfo")
    field = "Features" if platform.machine() == "aarch64" else "flags"
    lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith(field)]
    if not lines:
        pytest.skip("/proc/cpuinfo names no features")
    names = set(lines[0].split(":")[1].split())
    arm = {"asimd", "asimddp", "i8mm"}
    x86 = {"avx2", "fma", "f16c", "avx_vnni"} | {f"avx512{part}" for part in ("f", "bw", "dq", "vl", "_vnni", "vbmi")}
    known = arm if platform.machine() == "aarch64" else x86
    assert known & set(_core.cpu_features()) == known & names

"""Do the choices of instruction set and threads hold, from the environment and from code?"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import iqkcpu

NAMES = ("scalar", "avx2", "avxvnni", "avx512vnni", "avx512vbmi", "avx512amx", "neon")
W = iqkcpu.quantize(np.random.default_rng(1).standard_normal((32, 256), np.float32), "Q8_0")
X = np.random.default_rng(2).standard_normal((40, 256), np.float32)


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    isa, threads = iqkcpu.isa(), iqkcpu.get_num_threads()
    yield
    iqkcpu.use_isa(isa)
    iqkcpu.set_num_threads(threads)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("IQKCPU_")}
    command = [sys.executable, "-c", f"import iqkcpu; {code}"]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)


def test_isas_are_known_and_the_best_is_last() -> None:
    isas = iqkcpu.isas()
    assert isas[0] == "scalar"
    assert set(isas) <= set(NAMES)
    assert list(isas) == sorted(isas, key=NAMES.index)
    assert run("print(iqkcpu.isa())").stdout.strip() == isas[-1]


def test_use_isa_as_a_function() -> None:
    for name in iqkcpu.isas():
        iqkcpu.use_isa(name)
        assert iqkcpu.isa() == name
        assert iqkcpu.plan(W, 1).isa == name


def test_use_isa_as_a_context_manager() -> None:
    before = iqkcpu.isa()
    with iqkcpu.use_isa("scalar") as name:
        assert name == iqkcpu.isa() == "scalar"
        with iqkcpu.use_isa(iqkcpu.isas()[-1]):
            assert iqkcpu.isa() == iqkcpu.isas()[-1]
        assert iqkcpu.isa() == "scalar"
    assert iqkcpu.isa() == before
    with pytest.raises(ZeroDivisionError), iqkcpu.use_isa("scalar"):
        _ = 1 / 0
    assert iqkcpu.isa() == before


@pytest.mark.parametrize("name", ["", "AVX2", "sse2", "avx2 ", *(set(NAMES) - set(iqkcpu.isas()))])
def test_unknown_or_unavailable_isas_are_refused(name: str) -> None:
    before = iqkcpu.isa()
    with pytest.raises(ValueError, match=f"'{name}'"):
        iqkcpu.use_isa(name)
    assert iqkcpu.isa() == before


def test_isa_of_the_environment() -> None:
    for name in iqkcpu.isas():
        assert run("print(iqkcpu.isa())", IQKCPU_ISA=name).stdout.strip() == name


def test_wrong_isa_of_the_environment_is_refused_at_first_use() -> None:
    for code in (
        "iqkcpu.isa()",
        "import numpy as n; iqkcpu.mul_mat(iqkcpu.QuantTensor(n.ones((1, 4), 'f4'), 'F32', (1, 4)), n.ones(4, 'f4'))",
    ):
        failed = run(code, IQKCPU_ISA="sse2")
        assert failed.returncode == 1
        assert failed.stderr.splitlines()[-1].startswith("ValueError: ")
        assert "IQKCPU_ISA" in failed.stderr
        assert "sse2" in failed.stderr
    assert run("iqkcpu.use_isa('scalar'); print(iqkcpu.isa())", IQKCPU_ISA="sse2").stdout == "scalar\n"


def test_threads() -> None:
    for n in (1, 2, 7, np.int64(3)):
        iqkcpu.set_num_threads(n)
        assert iqkcpu.get_num_threads() == n
        assert iqkcpu.plan(W, 1).threads <= n


def test_threads_by_default() -> None:
    n = int(run("print(iqkcpu.get_num_threads())").stdout)
    assert 1 <= n <= len(os.sched_getaffinity(0))


def test_threads_follow_the_affinity_mask() -> None:
    one = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(iqkcpu.get_num_threads())"
    assert run(one).stdout == "1\n"


def test_threads_of_the_environment() -> None:
    assert run("print(iqkcpu.get_num_threads())", IQKCPU_NUM_THREADS="5").stdout == "5\n"
    assert run("iqkcpu.set_num_threads(3); print(iqkcpu.get_num_threads())", IQKCPU_NUM_THREADS="5").stdout == "3\n"
    assert run("print(iqkcpu.get_num_threads())", IQKCPU_NUM_THREADS="").returncode == 0


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "1e3"])
def test_wrong_threads_of_the_environment_are_refused(text: str) -> None:
    failed = run("iqkcpu.get_num_threads()", IQKCPU_NUM_THREADS=text)
    message = f"ValueError: IQKCPU_NUM_THREADS must be an integer of at least 1, not '{text}'"
    assert failed.stderr.splitlines()[-1] == message


def test_calls_from_several_threads_at_once() -> None:
    expected = iqkcpu.mul_mat(W, X)
    wrong: list[bool] = []

    def work(seed: int) -> None:
        products = (iqkcpu.mul_mat(W, X, threads=1 + seed % 3) for _ in range(50))
        wrong.extend(not np.array_equal(product, expected) for product in products)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not any(wrong)


def test_products_release_the_gil() -> None:
    rng = np.random.default_rng(3)
    w = iqkcpu.quantize(rng.standard_normal((1024, 2048), np.float32), "F32")
    x = rng.standard_normal((256, 2048), np.float32)
    with iqkcpu.use_isa("scalar"):  # the slowest
        worker = threading.Thread(target=iqkcpu.mul_mat, args=(w, x))
        interval = sys.getswitchinterval()
        ticks = 0
        worker.start()
        while worker.is_alive():
            worker.join(0.001)
            ticks += 1
    assert interval < 0.1
    assert ticks > 5

"""Does the gate of benchmarks/gate tell a loss from noise?"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import iqkcpu
from cases import Case
from turns import Worker, round_of_ratios
from verdicts import LEAST_ROUNDS, Verdict, estimate, verdict
from worker import work_of

GATE = Path(__file__).parents[1] / "benchmarks" / "gate"
LIMIT = 1.05


def ratios(change: float, noise: float, rounds: int, seed: int) -> list[float]:
    """Ratios of a change, with noise of a heavy tail, as neighbours on a machine make it."""
    rng = np.random.default_rng(seed)
    return list(change * np.exp(noise * rng.standard_t(3, rounds)))


def ended(change: float, noise: float, wanted: Verdict) -> float:
    """How often the gate ends with a verdict: it goes on with unclear cases for up to three times its 9 rounds."""
    count, tries = 0, 400
    for seed in range(tries):
        series = ratios(change, noise, 27, seed)
        verdicts = (verdict(estimate(series[:rounds]), LIMIT) for rounds in range(9, 28))
        count += next((v for v in verdicts if v is not Verdict.UNCLEAR), Verdict.UNCLEAR) is wanted
    return count / tries


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.03])
def test_a_planted_loss_of_ten_percent_is_caught(noise: float) -> None:
    assert ended(1.10, noise, Verdict.SLOWER) > 0.97


def test_a_gain_of_ten_percent_is_seen() -> None:
    assert ended(1 / 1.10, 0.01, Verdict.FASTER) > 0.97


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.03])
def test_identical_builds_are_no_difference(noise: float) -> None:
    assert ended(1.0, noise, Verdict.NO_DIFFERENCE) > 0.97


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.03, 0.1, 0.3])
def test_noise_alone_is_no_loss(noise: float) -> None:
    assert ended(1.0, noise, Verdict.SLOWER) < 0.01


def test_much_noise_is_unclear() -> None:
    assert ended(1.0, 0.3, Verdict.UNCLEAR) > 0.9


def test_a_loss_at_the_limit_does_not_fail() -> None:
    assert ended(1.05, 0.01, Verdict.SLOWER) < 0.1
    assert verdict(estimate([1.05] * LEAST_ROUNDS), LIMIT) is Verdict.NO_DIFFERENCE


@pytest.mark.parametrize(("rounds", "k"), [(7, 0), (9, 0), (10, 0), (11, 1), (14, 2), (17, 3), (20, 4), (27, 7)])
def test_the_interval_is_that_of_the_order_statistics(rounds: int, k: int) -> None:
    e = estimate([float(i) for i in range(1, rounds + 1)])
    assert (e.low, e.ratio, e.high) == (k + 1, (rounds + 1) / 2, rounds - k)  # as tables of the sign test have it


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_covers_the_truth_as_often_as_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    intervals = [estimate(list(np.exp(0.05 * rng.standard_t(3, 9)))) for _ in range(2000)]
    assert np.mean([e.low <= 1 <= e.high for e in intervals]) > 0.98


def test_the_order_of_rounds_does_not_matter() -> None:
    shuffled = ratios(1.1, 0.05, 9, 0)
    assert estimate(shuffled) == estimate(sorted(shuffled))


def test_noise_is_half_the_interval() -> None:
    assert estimate([0.9, 1, 1, 1, 1, 1, 1.1]).noise == pytest.approx(0.1)


@pytest.mark.parametrize(
    "wrong", [[1.0] * 6, [1.0] * 6 + [0.0], [1.0] * 6 + [float("nan")], [1.0] * 6 + [float("inf")]]
)
def test_too_few_rounds_and_numbers_that_are_no_ratios_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match=r"rounds|positive"):
        estimate(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["HEAD"], "HEAD"),
        (["HEAD", "HEAD", "--rounds", "6"], "7 or more"),
        (["HEAD", "HEAD", "--limit", "0"], "--limit"),
        (["no such revision", "HEAD"], "no revision 'no such revision'"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    done = subprocess.run([sys.executable, GATE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def test_two_workers_take_turns() -> None:
    """On the package of this environment, twice: both answer, and a type that is not there is left out."""
    package = Path(iqkcpu.__file__).parents[1]
    chosen = [Case("Q8_0", 8, 64, 256), Case("Q8_0", 0, 64, 256), Case("NO_TYPE", 1, 64, 256)]
    ratios = round_of_ratios(lambda side: Worker(package, None, 0.0), chosen, first=0)
    assert set(ratios) == set(chosen[:2])
    assert all(ratio > 0 for ratio in ratios.values())


@pytest.mark.parametrize("first", [0, 1])
def test_turns_alternate_and_the_best_counts(first: int) -> None:
    order: list[int] = []
    times = {0: iter([4.0, 2.0, 8.0]), 1: iter([5.0, 9.0, 3.0])}

    class Fake(Worker):
        def __init__(self, side: int) -> None:
            self.side = side

        def __exit__(self, *_: object) -> None:
            pass

        def seconds(self, case: Case) -> float:
            order.append(self.side)
            return next(times[self.side])

    case = Case("Q8_0", 1, 64, 64)
    assert round_of_ratios(Fake, [case], first) == {case: 1.5}
    assert order == [first, 1 - first] * 3


@pytest.mark.parametrize(("batch", "name"), [(8, "mul_mat"), (0, "dequantize")])
def test_planted_work_is_a_share_of_the_rows_once_more(batch: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    owner = iqkcpu if name == "mul_mat" else iqkcpu.QuantTensor
    monkeypatch.setattr(owner, name, lambda w, *_, **__: rows.append(w.shape[0]))
    work_of("Q8_0", batch, 640, 256, planted=0.1)()
    assert rows == [640, 64]
    rows.clear()
    work_of("Q8_0", batch, 640, 256, planted=0)()
    assert rows == [640]

"""Does the solver find the best of all choices, and tell when there is none?"""

import ctypes
import itertools
import math
import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from iqkcpu.recommend.solver import QUANTITIES, Choice, InfeasibleError, Limits, Quantity, solve, total_of

Items = list[list[Choice]]
ALIKE: Items = [[Choice(3, 0.0, 0.0), Choice(1, 1.0, 0.0)]] * 5

# Few different numbers, so that sums are often equal, and numbers as measurements have them.
PARTS = st.one_of(st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.0]), st.floats(1e-9, 1.0))
CHOICES = st.builds(Choice, st.one_of(st.integers(0, 4), st.integers(0, 10**10)), PARTS, PARTS)
KINDS = st.lists(st.lists(CHOICES, min_size=1, max_size=4), min_size=1, max_size=3)


@st.composite
def instances(draw: st.DrawFn) -> tuple[Items, Limits]:
    """Up to five items, some of them alike, with limits at sums that some choice has, or elsewhere."""
    kinds = draw(KINDS)
    items = [list(draw(st.permutations(draw(st.sampled_from(kinds))))) for _ in range(draw(st.integers(1, 5)))]
    values = {}
    for quantity in draw(st.sets(st.sampled_from(QUANTITIES))):
        reached = getattr(total_of(items, [draw(st.integers(0, len(c) - 1)) for c in items]), quantity)
        values[quantity] = draw(st.sampled_from([reached, reached / 2, reached * 2])) if quantity != "size" else reached
    return items, Limits(**values)


def within(total: Choice, limits: Limits) -> bool:
    return all(getattr(limits, q) is None or getattr(total, q) <= getattr(limits, q) for q in QUANTITIES)


def all_totals(items: Items) -> list[Choice]:
    return [total_of(items, chosen) for chosen in itertools.product(*(range(len(c)) for c in items))]


def best(totals: Sequence[Choice], objectives: Sequence[Quantity]) -> tuple[float, ...]:
    return min(tuple(getattr(total, q) for q in objectives) for total in totals)


@settings(max_examples=300, deadline=None)
@given(instances(), st.permutations(QUANTITIES), st.integers(1, 3))
def test_brute_force_finds_nothing_better(
    instance: tuple[Items, Limits], order: list[Quantity], objectives_count: int
) -> None:
    items, limits = instance
    objectives = order[:objectives_count]
    totals = all_totals(items)
    allowed = [total for total in totals if within(total, limits)]
    if not allowed:
        with pytest.raises(InfeasibleError) as caught:
            solve(items, limits, objectives)
        for quantity in QUANTITIES:
            told = getattr(caught.value.reachable, quantity)
            others = Limits(**{q: getattr(limits, q) for q in QUANTITIES if q != quantity})
            reachable = [getattr(total, quantity) for total in totals if within(total, others)]
            if getattr(limits, quantity) is None or not reachable:
                assert told is None
            else:
                assert told == pytest.approx(min(reachable), rel=1e-7, abs=1e-11)
        return
    found = solve(items, limits, objectives)
    assert found.gap == 0
    assert found.total == total_of(items, found.chosen)
    assert within(found.total, limits)  # exactly
    first = objectives[0]
    assert getattr(found.total, first) == pytest.approx(best(allowed, [first])[0], rel=1e-7, abs=1e-11)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.builds(Choice, st.integers(0, 3), *(st.integers(0, 3).map(float),) * 2), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
    ),
    st.permutations(QUANTITIES),
    st.integers(0, 10),
)
def test_of_equal_choices_the_next_objective_decides(items: Items, objectives: list[Quantity], limit: int) -> None:
    allowed = [total for total in all_totals(items) if total.size <= limit]
    if allowed:
        found = solve(items, Limits(size=limit), objectives)
        assert tuple(getattr(found.total, q) for q in objectives) == best(allowed, objectives)


def test_a_limit_is_kept_exactly() -> None:
    # Ten bytes in ten gigabytes too many: less than the tolerance of the integer program.
    items = [[Choice(10**10 + 10, 0.0, 0.0), Choice(10**10, 1.0, 0.0), Choice(0, 2.0, 0.0)]]
    assert solve(items, Limits(size=10**10), ["error"]).chosen == (1,)
    assert solve(items, Limits(size=10**10 + 10), ["error"]).chosen == (0,)
    parts = [[Choice(1, 0.1, 0.0), Choice(0, 0.1 + 1e-12, 0.0)]] * 3
    assert solve(parts, Limits(error=math.fsum([0.1] * 3)), ["size"]).total.size == 3


def test_items_that_are_alike_are_counted() -> None:
    alike = [[Choice(2, 1.0, 0.0), Choice(4, 0.0, 0.0)]] * 1000
    found = solve(alike, Limits(size=2001 + 2 * 333), ["error"])
    assert (found.total, found.gap) == (Choice(2666, 667.0, 0.0), 0)


def test_without_time_the_gap_is_told_or_nothing_found() -> None:
    items = [[Choice(i + k * k, (7 * i + k) % 13 / 13, 0.0) for k in range(8)] for i in range(60)]
    with pytest.raises(TimeoutError):
        solve(items, Limits(size=2500), ["error"], seconds=0.0)
    rough = solve(items, Limits(size=2500), ["error"], gap=0.5)
    exact = solve(items, Limits(size=2500), ["error"])
    assert exact.gap == 0
    assert exact.total.error <= rough.total.error
    assert rough.total.error * (1 - rough.gap) <= exact.total.error * (1 + 1e-9)


def test_nothing_to_choose() -> None:
    assert solve([], Limits(size=0), ["error"]).total == Choice(0, 0.0, 0.0)
    with pytest.raises(InfeasibleError):
        solve([], Limits(size=-1), ["error"])


def test_the_solver_prints_nothing(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = scipy.optimize.milp

    def noisy(**program: Any) -> Any:
        ctypes.CDLL(None).puts(b"noise of the C library")
        return real(**program)

    monkeypatch.setattr(scipy.optimize, "milp", noisy)
    assert solve(ALIKE, Limits(size=9), ["error"]).total.size == 9
    print("ours")
    assert capfd.readouterr() == ("ours\n", "")


def test_an_interrupt_does_not_wait_for_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = threading.Event()

    def endless(**program: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        interrupted.wait()

    monkeypatch.setattr(scipy.optimize, "milp", endless)
    with pytest.raises(KeyboardInterrupt):
        solve(ALIKE, Limits(size=9), ["error"])
    interrupted.set()


def test_a_failure_of_the_solver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(**program: Any) -> None:
        raise MemoryError("too large")

    monkeypatch.setattr(scipy.optimize, "milp", failing)
    with pytest.raises(MemoryError, match="too large"):
        solve(ALIKE, Limits(size=9), ["error"])

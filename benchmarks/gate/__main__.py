"""Is one revision slower than another? Builds both, runs them in turn, and fails on a loss.

    python benchmarks/gate BASE HEAD

Exit status: 0 no case is slower by more than the limit, 1 some case is, 2 wrong usage or a revision that does not
build, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from builds import ROOT, BuildError, built, commit_of
from cases import BATCHES, TYPES, Case, cases
from turns import Worker, round_of_ratios
from verdicts import CONFIDENCE, LEAST_ROUNDS, Verdict, estimate, verdict

_MOST_ROUNDS_TIMES = 3  # unclear cases go on for so many times the rounds


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parsed(arguments)
    limit = 1 + options.limit / 100
    try:
        commits = [commit_of(revision) for revision in (options.base, options.head)]
        builds = []
        for name, commit in zip(("base", "head"), commits, strict=True):
            print(f"{name} {commit[:12]}: building, or built already", flush=True)
            builds.append(built(commit, options.builds, options.isas))
        chosen = cases(options.types, options.batches)
        ratios = measured(builds, chosen, options.rounds, limit, options.isa, options.plant / 100)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return report(ratios, chosen, limit)


def measured(
    builds: Sequence[Path], chosen: Sequence[Case], rounds: int, limit: float, isa: str | None, planted: float
) -> dict[Case, list[float]]:
    """Return the ratios of all rounds; cases that stay unclear have more rounds."""

    def start(side: int) -> Worker:
        return Worker(builds[side], isa, planted if side == 1 else 0)

    ratios: dict[Case, list[float]] = {}
    left = list(chosen)
    for done in range(1, _MOST_ROUNDS_TIMES * rounds + 1):
        for case, ratio in round_of_ratios(start, left, first=done % 2).items():
            ratios.setdefault(case, []).append(ratio)
        print(f"round {done}: {len(left)} cases", file=sys.stderr, flush=True)
        if done >= rounds:
            left = [c for c, r in ratios.items() if verdict(estimate(r), limit) is Verdict.UNCLEAR]
            if not left:
                break
    return ratios


def report(ratios: dict[Case, list[float]], chosen: Sequence[Case], limit: float) -> int:
    """Print a line per case and the verdicts, and return the exit status."""
    print(f"{'case':<32}{'rounds':>7}{'ratio':>8}{'noise':>8}  verdict")
    count = dict.fromkeys(Verdict, 0)
    for case in chosen:
        if case not in ratios:
            print(f"{case.describe():<32}{'':>23}  not in both revisions")
            continue
        e = estimate(ratios[case])
        v = verdict(e, limit)
        count[v] += 1
        print(f"{case.describe():<32}{len(ratios[case]):>7}{e.ratio:>8.3f}{e.noise:>8.1%}  {v.value}")
    print("; ".join(f"{v.value}: {n}" for v, n in count.items()))
    print(f"ratio: time of head by time of base; noise: half the {CONFIDENCE:.0%} interval")
    if count[Verdict.SLOWER]:
        print(f"FAILED: {count[Verdict.SLOWER]} cases are slower by more than {limit - 1:.0%}")
        return 1
    print(f"passed: no case is surely slower by more than {limit - 1:.0%}")
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gate", description="Is HEAD slower than BASE?")
    parser.add_argument("base", metavar="BASE", help="a revision, such as main")
    parser.add_argument("head", metavar="HEAD", help="a revision, such as HEAD")
    parser.add_argument("--rounds", type=int, default=9, help=f"at least {LEAST_ROUNDS}; by default 9")
    parser.add_argument("--limit", type=float, default=5, metavar="PERCENT", help="losses beyond fail; by default 5")
    parser.add_argument("--types", type=lambda text: text.split(","), default=TYPES, metavar="TYPE,...")
    parser.add_argument("--batches", type=_numbers, default=BATCHES, metavar="N,...")
    parser.add_argument("--isa", help="instruction set to run on; by default the best")
    parser.add_argument("--isas", metavar="ISA;...", help="instruction sets to build; by default all")
    parser.add_argument("--builds", type=Path, default=ROOT / "build" / "gate", help="where builds are kept")
    parser.add_argument(
        "--plant", type=float, default=0, metavar="PERCENT", help="HEAD does so much of its work twice: tries the gate"
    )
    options = parser.parse_args(arguments)
    if options.rounds < LEAST_ROUNDS:
        parser.error(f"--rounds: {LEAST_ROUNDS} or more tell noise from change")
    if not 0 < options.limit < 100 or not 0 <= options.plant <= 100:
        parser.error("--limit is above 0, --plant at least 0, and both at most 100 percent")
    return options


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())

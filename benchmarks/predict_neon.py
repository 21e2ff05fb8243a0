"""Writes docs/neon.md: what llvm-mca predicts for the hot loops of the NEON kernels, where no Arm CPU is at hand.

    python benchmarks/predict_neon.py [--isa neon] > docs/neon.md

Takes two minutes. Needs CMake, Ninja, aarch64-linux-gnu-g++ and llvm-mca 17 or later, which Debian has as
g++-aarch64-linux-gnu and llvm-19.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, NoReturn

REPOSITORY = Path(__file__).resolve().parents[1]
CPUS = ("neoverse-n1", "neoverse-v1", "apple-m1")
COMPILER, OBJDUMP = "aarch64-linux-gnu-g++", "aarch64-linux-gnu-objdump"
# By instruction set: the products of bytes, how many make 16, and what a peak is measured with.
INT8 = {
    "neon_dotprod": (("sdot",), 1, "sdot v{}.4s, v30.16b, v31.16b"),
    "neon": (("smull", "smull2", "smlal", "smlal2"), 2, "smlal v{}.8h, v30.8b, v31.8b"),
}
FLOAT = (("fmla",), 1, "fmla v{}.4s, v30.4s, v31.s[0]")
CHAINS = 24  # enough to hide the latency of products


class Kernel(NamedTuple):
    title: str
    family: str
    function: str  # a regular expression; its group is the number of columns
    products: int  # of 16 bytes or 4 floats, per column and round of the loop: a scale group, or 256 weights


Code = list[tuple[int, str]]  # addresses and instructions
FORMATS = "legacy Q4_0,legacy Q8_0,kquants Q4_K,kquants Q6_K,iquants IQ2_XXS,iquants IQ3_S,iqk IQ4_K,trellis IQ4_KT"
KERNELS = [
    *(
        Kernel(f"panel, a scale per {256 // s}{note}", "common", rf"::panel_kernel<0, {s}, {terms}, (\d)>", 256 // s)
        for s in (8, 16)
        for terms, note in (("false", ""), ("true", ", minima"))
    ),
    *(Kernel(f"row products, scaled {n} x in 256", "common", rf"::add_rows<0, {n}, (4)>", 16) for n in (1, 2, 4)),
    *(
        Kernel(f"gemv of {name}", family, rf"::gemv<\S*::{name}, ({columns})>", 16)
        for family, name in map(str.split, FORMATS.split(","))
        for columns in (1, 4)
    ),
    Kernel("float tile", "float", r"::float_tile<(\d)>", 4),
]


def fail(message: str) -> NoReturn:
    sys.exit(f"predict_neon.py: {message}")


def output(*command: str | Path, text: str | None = None) -> str:
    done = subprocess.run([str(c) for c in command], input=text, capture_output=True, text=True)
    if done.returncode:
        fail(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def version(tool: str) -> str:
    return str(re.findall(r"\d+\.\d+\.\d+", output(tool, "--version"))[-1])


def analyser() -> str:
    """The newest llvm-mca."""
    names = ["llvm-mca", *(f"llvm-mca-{number}" for number in range(17, 40))]
    found = max(((int(version(name).split(".")[0]), name) for name in names if shutil.which(name)), default=(0, ""))
    if found[0] < 17:
        fail("needs llvm-mca 17 or later (Debian: llvm-19)")
    return found[1]


def functions(path: Path) -> Iterator[tuple[str, Code]]:
    text = output(OBJDUMP, "-dC", "--no-show-raw-insn", path)
    for name, body in re.findall(r"^[0-9a-f]+ <(.*)>:\n((?:.+\n)*)", text, re.MULTILINE):
        lines = re.findall(r"^ *([0-9a-f]+):\t(.*?) *(?://.*)?$", body, re.MULTILINE)
        yield name, [(int(address, 16), line) for address, line in lines]


def hot_loop(code: Code, names: tuple[str, ...]) -> tuple[int, list[str]]:
    """The innermost loop with the most products: how many it has, and its instructions as one straight line.

    What the loop skips in most rounds counts as if it ran in each. That is right for the first pass of a gemv over a
    row's indices: every 16 units it runs 16 times.
    """
    loops: dict[int, int] = {}  # first and last address
    for address, text in code:
        jump = re.match(r"(?:b|b\.\w+|cbn?z|tbn?z)\t(?:.*, )?([0-9a-f]+) <", text)
        if jump and int(jump[1], 16) <= address:
            loops[int(jump[1], 16)] = address
    bodies = {loop: [text for address, text in code if loop[0] <= address <= loop[1]] for loop in loops.items()}
    products = {loop: sum(text.split("\t")[0] in names for text in body) for loop, body in bodies.items()}
    hot = [(a, b) for a, b in bodies if products[a, b]]
    innermost = [(a, b) for a, b in hot if not any((c, d) != (a, b) and a <= c and d <= b for c, d in hot)]
    return max(((products[loop], bodies[loop]) for loop in innermost), default=(0, []))


@cache
def cycles(mca: str, cpu: str, body: str) -> float:
    """Of one round among many."""
    command = (mca, "--mtriple=aarch64", f"-mcpu={cpu}")

    def total(rounds: int) -> int:
        return int(re.findall(r"Total Cycles: +(\d+)", output(*command, f"-iterations={rounds}", text=body))[0])

    return (total(200) - total(100)) / 100


def peak(mca: str, cpu: str, sample: str) -> float:
    """Products per cycle, of independent ones."""
    return CHAINS / cycles(mca, cpu, "\n".join(sample.format(i) for i in range(CHAINS)))


def row(kernel: Kernel, isa: str, mca: str, objects: Path) -> str:
    names, per_product, sample = FLOAT if kernel.family == "float" else INT8[isa]
    found = []
    for name, code in functions(objects / f"{isa}_{kernel.family}.cpp.o"):
        if match := re.search(kernel.function, name):
            found.append((int(match[1]), *hot_loop(code, names)))
    columns, products, body = max(found, default=(0, 0, []))
    if not products or products % (kernel.products * columns * per_product):
        fail(f"no loop of {kernel.title} with a whole number of units; has the compiler not unrolled it?")
    text = re.sub(r"\b[0-9a-f]+ <.*>", "target", "\n".join(body))  # of branches and constants
    cells = []
    for cpu in CPUS:
        took = cycles(mca, cpu, text)
        cells += [f"{took:.1f}", f"{products / took / peak(mca, cpu, sample):.0%}"]
    return f"| {' | '.join([kernel.title, str(columns), str(products), *cells])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict the speed of the NEON kernels' loops with llvm-mca.")
    parser.add_argument("--isa", choices=INT8, default="neon_dotprod", help="default: neon_dotprod")
    isa = parser.parse_args().isa
    for tool in ("cmake", "ninja", COMPILER, OBJDUMP):
        if shutil.which(tool) is None:
            fail(f"needs {tool}")
    mca = analyser()
    with tempfile.TemporaryDirectory() as build:
        settings = ("CMAKE_BUILD_TYPE=Release", "SKBUILD_PROJECT_VERSION=0", "IQK_PYTHON=OFF", f"IQK_ISAS={isa}")
        toolchain = REPOSITORY / "cmake" / "aarch64-linux-gnu.cmake"
        defines = [f"-D{setting}" for setting in settings]
        output("cmake", "-S", REPOSITORY, "-B", build, "-G", "Ninja", "--toolchain", toolchain, *defines)
        objects = f"CMakeFiles/iqk_{isa}.dir/kernels"
        files = {f"{objects}/{isa}_{kernel.family}.cpp.o" for kernel in KERNELS}
        output("cmake", "--build", build, "--target", *files)
        rows = [row(kernel, isa, mca, Path(build, objects)) for kernel in KERNELS]
    fields = {
        "product": INT8[isa][0][0],
        "peaks": ", ".join(f"{cpu} {peak(mca, cpu, INT8[isa][2]):.0f}" for cpu in CPUS),
        "heads": " | ".join(f"{cpu}: cycles | share" for cpu in CPUS),
        "rules": " | ".join(["---:"] * (2 + 2 * len(CPUS))),
    }
    made = {"isa": isa, "date": datetime.date.today(), "gcc": version(COMPILER), "mca": version(mca)}
    print(PAGE.format(rows="\n".join(rows), **fields, **made), end="")


PAGE = """# NEON, predicted

Written by `benchmarks/predict_neon.py` on {date}. No Arm machine has measured these kernels yet: this is what
llvm-mca {mca} predicts for the hot loops of `{isa}` as g++ {gcc} made them.
Peak, {product} per cycle: {peaks}.

*products*: {product} instructions (float tile: fmla) in one round of the loop: a scale group of a panel of 16 rows, 256
weights of a row (of two rows, where there are twice as many), a column of weights of a float tile. *cycles*: of one
round among many. *share*: products per cycle, by what independent ones reach in the same model.

| kernel | columns | products | {heads} |
| --- | {rules} |
{rows}

## What this means, and what not

* It is a prediction of the core alone, with all data in the first-level cache. A gemv of one column reads each weight
  once, so memory often limits it before the core does; its share of the peak says what decoding costs.
* llvm-mca knows the pipes, the latencies and the dependencies that LLVM's authors wrote down. It knows nothing of
  caches, prefetching, mispredicted branches, decoding (its neoverse-n1 and neoverse-v1 dispatch 8 and 15
  micro-operations per cycle, more than those cores), spilled values' way through memory, clocks. Expect less, not more.
* Its apple-m1 is the table of a much older core of Apple's, with three vector pipes for four: a rough hint.
* Loops count as one straight line; what surrounds them, at each unit of a panel or each row of a gemv, does not count.
* A panel scales each sum by the scales of weights and activations: on Neoverse three vector operations, one more with
  minima. Beside them stand eight sdot where a scale is for 32 weights, but four where it is for 16. As the kernels are
  written, no more than 73 % and 57 % (with minima 67 % and 50 %) can be reached.
* Row products and gemv fill the vector pipes with decoding, conversion to float and scales per dword. Loads limit gemv
  of IQ3_S and, on neoverse-v1, row products that are scaled once.
"""

if __name__ == "__main__":
    main()

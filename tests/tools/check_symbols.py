#!/usr/bin/env python3
"""Check that objects of different instruction sets share no weak symbol.

check_symbols.py [BUILD_DIRECTORY]

Of two weak definitions of one symbol the linker keeps any, perhaps the one whose instructions the CPU lacks. The
objects of an instruction set lie in CMakeFiles/iqk_<name>.dir of the build directory: by default the last one that pip
left in build/.
"""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path


def weak_symbols(objects: list[Path]) -> set[str]:
    """Return the weak symbols that object files define, as nm prints them."""
    command = ["nm", "-C", "--defined-only", *map(str, objects)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    fields = (line.split(maxsplit=2) for line in lines)
    return {f[2] for f in fields if len(f) == 3 and f[1] in "WVuwv"}


def main(build: Path) -> int:
    """Print what is shared, and the closing line."""
    owners: dict[str, list[str]] = defaultdict(list)
    folders = sorted(build.glob("CMakeFiles/iqk_*.dir"))
    for folder in folders:
        objects = sorted(folder.rglob("*.o"))
        if objects:
            for symbol in weak_symbols(objects):
                owners[symbol].append(folder.stem.removeprefix("iqk_"))
    # What is compiled once must not take a kernel's copy of something either.
    common = sorted((build / "CMakeFiles" / "iqk.dir").rglob("*.o"))
    for symbol in weak_symbols(common) if common else ():
        if symbol in owners:
            owners[symbol].append("the core")
    shared = {symbol: places for symbol, places in owners.items() if len(places) > 1}
    for symbol, places in sorted(shared.items()):
        print(f"FAILED {symbol}: weak in {', '.join(places)}")
    if len(folders) < 2:
        print(f"FAILED: {build} has no objects of two instruction sets")
    failed = len(shared) + (len(folders) < 2)
    print(f"{len(owners) - len(shared)} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    if len(sys.argv) == 2:
        sys.exit(main(Path(sys.argv[1])))
    builds = sorted(Path(__file__).parents[2].glob("build/cp*-linux*"), key=lambda path: path.stat().st_mtime)
    sys.exit(main(builds[-1]) if builds else "FAILED: there is no build/cp*-linux*: run `pip wheel .` first")

"""Put the table of `iqkcpu types --markdown` between the markers of README.md.

    python tests/tools/readme_table.py            # rewrites the table
    python tests/tools/readme_table.py --check    # exit status 1 when it is stale

The column that depends on the machine, the first batch of the panel, is left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- types: begin -->\n", "<!-- types: end -->\n"
MACHINE_COLUMN = "panel from batch"


def table() -> str:
    """Return the table as README.md has it."""
    command = (sys.executable, "-m", "iqkcpu", "types", "--markdown")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    kept = [i for i, name in enumerate(rows[0]) if name != MACHINE_COLUMN]
    return "".join(f"| {' | '.join(row[i] for i in kept)} |\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    text = README.read_text()
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    new = table()
    if not check:
        README.write_text(before + BEGIN + new + END + after)
    elif old != new:
        raise SystemExit("the table of README.md is stale: run python tests/tools/readme_table.py")


if __name__ == "__main__":
    main()

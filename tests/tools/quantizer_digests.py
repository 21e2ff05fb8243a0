"""Write the digests of what each quantizer makes of `inputs.npz` to tests/golden/quantizers.csv.

    python tests/tools/quantizer_digests.py            # rewrites the file
    python tests/tools/quantizer_digests.py --check    # exit status 1 when it is stale

Files record the version of the quantizers, so that tensors made by others are not reused. Where the digests of a type
change, QUANTIZER_VERSION in src/iqkcpu/_quantize.py has to be raised first.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

import iqkcpu
from iqkcpu._quantize import QUANTIZER_VERSION
from iqkcpu._types import can_quantize
from iqkcpu.provenance import digest_of

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FILE = GOLDEN / "quantizers.csv"
COLUMNS = ("type", "version", "plain", "weighted")


def lines() -> list[dict[str, str]]:
    """Return a line per type: the version, and digests of its bytes without and with importances."""
    inputs = np.load(GOLDEN / "inputs.npz")
    return [
        {
            "type": name,
            "version": str(QUANTIZER_VERSION),
            "plain": digest_of(iqkcpu.quantize(inputs["weights"], name).raw.reshape(-1).data),
            "weighted": digest_of(iqkcpu.quantize(inputs["weights"], name, inputs["imatrix"]).raw.reshape(-1).data),
        }
        for name, t in iqkcpu.types.items()
        if can_quantize(t)
    ]


def recorded() -> list[dict[str, str]]:
    """Return the lines of the file."""
    return list(csv.DictReader(FILE.read_text().splitlines()))


def main() -> None:
    """Write the file, unless bytes changed and the version did not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    old, new = recorded(), lines()
    now = {line["type"]: line for line in new}
    changed = [line["type"] for line in old if now.get(line["type"], line) != line]
    if any(line["version"] == str(QUANTIZER_VERSION) for line in old if line["type"] in changed):
        raise SystemExit(f"bytes of {', '.join(changed)} changed: raise QUANTIZER_VERSION, then run this again")
    if check:
        if old != new:
            raise SystemExit(f"{FILE.name} is stale: run python tests/tools/quantizer_digests.py")
        return
    with FILE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(new)


if __name__ == "__main__":
    main()

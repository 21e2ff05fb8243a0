#!/usr/bin/env python3
"""Write the goldens as files that kernels_test reads: NAME.raw, NAME.f32 and a list, "NAME ROWS K" per line.

flatten_goldens.py OUTPUT [NAME ...]
"""

import argparse
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"


def main() -> None:
    """Flatten all goldens, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("names", nargs="*", help="types (all)")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    lines = []
    for file in sorted(GOLDEN.glob("*.npz")):
        name = file.stem
        if name == "inputs" or (args.names and name not in args.names):
            continue
        with np.load(file) as golden:
            raw, decoded = golden["raw"], golden["decoded"].astype("<f4")
        (args.output / f"{name}.raw").write_bytes(raw.tobytes())
        (args.output / f"{name}.f32").write_bytes(decoded.tobytes())
        rows, k = decoded.shape
        lines.append(f"{name} {rows} {k}\n")
    (args.output / "goldens.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()

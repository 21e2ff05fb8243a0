"""Write the golden files of the types that the reference set lacks, built here in NumPy from their layouts.

    python tests/tools/make_goldens.py            # writes tests/golden/<NAME>.npz
    python tests/tools/make_goldens.py --check    # exit status 1 when a file differs from what would be written

Each file has `raw`, the bytes of a matrix of 16 x 1024 weights, and `decoded`, their exact values in float32. The
weights are those of tests/golden/inputs.npz and tests/golden/Q4_0.npz.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def f32(weights: Floats) -> tuple[Bytes, Floats]:
    """Plain little-endian numbers."""
    return weights.astype("<f4").view(np.uint8), weights


def i2_s(ternary: Floats) -> tuple[Bytes, Floats]:
    """Codes 0, 1, 2 for -c, 0, c; of 128 weights byte j has j, j + 32, j + 64, j + 96 from its highest bits down.

    The float32 c and 28 zero bytes follow the codes of the whole matrix.
    """
    scale = np.float32(np.abs(ternary).max())
    codes = (np.sign(ternary) + 1).astype(np.uint8)
    planes = codes.reshape(-1, 4, 32)
    packed = planes[:, 0] << 6 | planes[:, 1] << 4 | planes[:, 2] << 2 | planes[:, 3]
    tail = np.zeros(32, np.uint8)
    tail[:4] = np.frombuffer(scale.astype("<f4").tobytes(), np.uint8)
    return np.concatenate([packed.reshape(-1), tail]), scale * (codes.astype(np.float32) - 1)


def q4_0_runs(q4_0: Bytes, rows: int, run: int) -> tuple[Bytes, Floats]:
    """Q4_0 with `rows` rows together: their scales, then runs of `run` code bytes of each row in turn.

    A nibble is the code minus 8 in two's complement.
    """
    blocks = q4_0.reshape(len(q4_0) // rows, rows, -1, 18)  # group, row, block, byte
    scales = blocks[..., :2].swapaxes(1, 2)  # group, block, row, byte
    runs = (blocks[..., 2:] ^ 0x88).reshape(*blocks.shape[:3], 16 // run, run)
    codes = runs.transpose(0, 2, 3, 1, 4)  # group, block, run, row, byte
    shape = (*scales.shape[:2], -1)
    raw = np.concatenate([scales.reshape(shape), codes.reshape(shape)], axis=-1).reshape(len(q4_0), -1)

    low, high = (runs << 4).view(np.int8) >> 4, runs.view(np.int8) >> 4
    values = np.concatenate([low.reshape(*blocks.shape[:3], 16), high.reshape(*blocks.shape[:3], 16)], axis=-1)
    factors = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
    return raw, (factors * values.astype(np.float32)).reshape(len(q4_0), -1)


def goldens() -> dict[str, tuple[Bytes, Floats]]:
    """Return what the files hold, by type name."""
    inputs = np.load(GOLDEN / "inputs.npz")
    q4_0 = np.load(GOLDEN / "Q4_0.npz")["raw"]
    return {
        "F32": f32(inputs["weights"]),
        "I2_S": i2_s(inputs["ternary"]),
        "Q4_0_4_4": q4_0_runs(q4_0, 4, 4),
        "Q4_0_4_8": q4_0_runs(q4_0, 4, 8),
        "Q4_0_8_8": q4_0_runs(q4_0, 8, 8),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    stale = []
    for name, (raw, decoded) in goldens().items():
        path = GOLDEN / f"{name}.npz"
        if not check:
            np.savez_compressed(path, raw=raw, decoded=decoded)
        elif not path.is_file():
            stale.append(name)
        else:
            with np.load(path) as file:
                if not (np.array_equal(file["raw"], raw) and np.array_equal(file["decoded"], decoded)):
                    stale.append(name)
    if stale:
        raise SystemExit(f"stale or missing: {', '.join(stale)}")


if __name__ == "__main__":
    main()

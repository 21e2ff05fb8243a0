"""Do the bytes of every type decode to the weights that the goldens say, on every instruction set?"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import iqkcpu
from iqkcpu import QuantTensor

GOLDEN = Path(__file__).parent / "golden"


def ordered(x: NDArray[np.float32]) -> NDArray[np.int64]:
    """Floats as integers: neighbours differ by one, and -0 is 0."""
    bits = x.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


@pytest.mark.parametrize("name", iqkcpu.types)
def test_golden(name: str) -> None:
    data = np.load(GOLDEN / f"{name}.npz")
    raw, decoded = data["raw"].ravel(), data["decoded"]
    odd = np.empty(raw.size + 1, np.uint8)[1:]
    odd[:] = raw
    for isa in iqkcpu.isas():
        with iqkcpu.use_isa(isa):
            for buffer in (raw, odd):
                w = QuantTensor(buffer, name, decoded.shape).dequantize(threads=2)
                assert np.isfinite(w).all()
                apart = np.abs(ordered(w) - ordered(decoded))
                assert apart.max() <= 1, f"{isa}: {np.count_nonzero(apart > 1)} weights are wrong"


def test_every_golden_has_a_type() -> None:
    assert {file.stem for file in GOLDEN.glob("*.npz")} - {"inputs"} == set(iqkcpu.types)

"""Does every content of the right number of bytes decode and multiply, on every instruction set?"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import iqkcpu
from iqkcpu import QuantTensor

POISON = np.uint32(0x7FC5A5A5)  # a NaN that no arithmetic makes


@pytest.mark.parametrize("name", iqkcpu.types)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pattern=st.binary(min_size=1, max_size=200),
    noise=st.none() | st.integers(0, 2**32 - 1),
    groups=st.integers(1, 3),
    blocks=st.integers(1, 9),
    batch=st.integers(0, 9) | st.just(33),
    offset=st.integers(0, 3),
)
def test_any_bytes(
    name: str, pattern: bytes, noise: int | None, groups: int, blocks: int, batch: int, offset: int
) -> None:
    t = iqkcpu.Type(name)
    rows = groups * t.interleave
    k = blocks * max(2, t.block_size)
    size = rows * t.row_bytes(k) + (32 if name == "I2_S" else 0)
    memory = np.resize(np.frombuffer(pattern, np.uint8), size + offset)
    if noise is not None:
        memory ^= np.random.default_rng(noise).integers(0, 256, memory.size, np.uint8)
    w = QuantTensor(memory[offset:], t, (rows, k))
    x = np.random.default_rng(len(pattern)).uniform(-1, 1, (batch, k)).astype(np.float32)

    for isa in iqkcpu.isas():
        with iqkcpu.use_isa(isa):
            decoded = np.full((rows, k), POISON).view(np.float32)
            w.dequantize(out=decoded)
            assert not np.any(decoded.view(np.uint32) == POISON)
            y = np.full((batch, rows), POISON).view(np.float32)
            iqkcpu.mul_mat(w, x, out=y)
            assert not np.any(y.view(np.uint32) == POISON)
        if np.abs(decoded).max() < 1e30:  # false for NaN
            assert np.isfinite(y).all()

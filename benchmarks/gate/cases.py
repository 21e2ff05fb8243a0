"""The cases of the gate: what both revisions do in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

TYPES = ("F16", "Q8_0", "Q4_0", "Q4_K", "IQ4_K", "IQ3_S", "IQ2_XXS", "IQ2_KT", "IQ4_K_R4")
BATCHES = (1, 8, 64)
ROWS, K = 1024, 4096


@dataclass(frozen=True)
class Case:
    """A product with weights of `rows` x `cols`, in one thread; batch 0: decoding them."""

    type: str
    batch: int
    rows: int
    cols: int

    def describe(self) -> str:
        """Return a line for the report."""
        work = f"batch {self.batch}" if self.batch else "decoding"
        return f"{self.type:<10} {work:<9} {self.rows} x {self.cols}"

    def message(self) -> dict[str, str | int]:
        """Return what the worker is told."""
        return asdict(self)


def cases(types: Sequence[str] = TYPES, batches: Sequence[int] = BATCHES) -> list[Case]:
    """Return products of all types and batches, decoding, and the cost of a call where there is hardly any work."""
    products = [Case(t, batch, ROWS, K) for t in types for batch in batches]
    decoding = [Case(t, 0, ROWS, K) for t in types]
    return [*products, *decoding, Case("Q8_0", 1, 64, 64)]

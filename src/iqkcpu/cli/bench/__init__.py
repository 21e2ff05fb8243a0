"""`iqkcpu bench`: how fast products are on this machine, one module per question.

`command` reads the options. `products` measures types and batches, `rank` orders types, `cliffs` looks for batches that
take longer than larger ones, `duels` sets this library beside its `peers`. All of them draw with `plots`.
"""

from .command import bench

__all__ = ["bench"]

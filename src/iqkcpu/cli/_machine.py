"""What the commands say about the machine, and how they choose where to run."""

from __future__ import annotations

import re
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import typer

import iqkcpu
from iqkcpu import _core


@dataclass(frozen=True)
class Peaks:
    """The limits of the machine, measured in this run."""

    int8_gops: float
    """One thread, 2 operations per multiply-add; 0 on the scalar tier, as float_gflops."""
    int8_instruction: str
    float_gflops: float
    tile_gflops: float
    """Of tiles of bfloat16; 0 where there are none."""
    tile_instruction: str
    read_gbs: float
    """Memory read with the threads of the run; so are the next two."""
    write_gbs: float
    copy_gbs: float
    ghz: float

    @staticmethod
    def none() -> Peaks:
        """Return limits that every measurement exceeds."""
        return Peaks(0, "", 0, 0, "", 0, 0, 0, 0)

    @staticmethod
    def measure(threads: int) -> Peaks:
        """Measure now; takes about a second."""
        p = _core.measure_peaks(threads)
        operations = (p.int8_gops, p.int8_instruction, p.float_gflops, p.tile_gflops, p.tile_instruction)
        return Peaks(*operations, p.read_gbs, p.write_gbs, p.copy_gbs, p.ghz)

    def best(self, other: Peaks) -> Peaks:
        """Return the better of each limit: other work on the machine only ever lowers one."""
        return Peaks(*map(max, astuple(self), astuple(other)))


@dataclass(frozen=True)
class Setting:
    """Where a command runs."""

    cpu: str
    isa: str
    threads: int

    def describe(self) -> str:
        """Return it as one line."""
        return f"iqkcpu {iqkcpu.__version__}, {self.cpu}, {self.isa}, {count(self.threads, 'thread')}"


def choose(isa: str | None = None, threads: int | None = None) -> Setting:
    """Set the instruction set and the threads that the options or the environment ask for.

    Raises:
        typer.BadParameter: they are wrong: exit status 2.
    """
    try:
        if isa is not None:
            iqkcpu.use_isa(isa)
        if threads is not None:
            iqkcpu.set_num_threads(threads)
        return Setting(_core.cpu_name(), iqkcpu.isa(), iqkcpu.get_num_threads())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def as_json(setting: Setting) -> dict[str, object]:
    """Return the setting and the version for a JSON document."""
    return {"version": iqkcpu.__version__, **asdict(setting)}


def last_level_cache() -> int:
    """Bytes of the largest cache of CPU 0, 32 MiB where the system does not tell."""
    sizes = []
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        found = re.fullmatch(r"(\d+)([KM]?)", file.read_text().strip())
        if found:
            sizes.append(int(found[1]) << {"": 0, "K": 10, "M": 20}[found[2]])
    return max(sizes, default=32 << 20)


def count(n: int, what: str) -> str:
    """Return "1 thread", "2 threads"."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"

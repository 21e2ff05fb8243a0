"""`iqkcpu info`: the machine as the library sees it."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Annotated

import numpy as np
import typer

import iqkcpu
from iqkcpu import _core

from ._machine import Peaks, as_json, choose, count, last_level_cache
from ._output import print_json


def info(
    threads: Annotated[int | None, typer.Option(help="Threads; by default the physical cores allowed.")] = None,
    isa: Annotated[str | None, typer.Option(help="Instruction set; by default the best.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell the CPU, its instruction sets, the threads, the machine's peaks (measured now) and the versions."""
    setting = choose(isa, threads)
    peaks = Peaks.measure(setting.threads)
    features = _core.cpu_features()
    versions = {
        "iqkcpu": iqkcpu.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": _core.compiler,
    }
    if json:
        print_json(
            {
                **as_json(setting),
                "isas": iqkcpu.isas(),
                "features": features,
                "last_level_cache": last_level_cache(),
                "peaks": asdict(peaks),
                "versions": versions,
            }
        )
        return
    in_all = count(setting.threads, "thread")
    lines = {
        "CPU": setting.cpu,
        "features": " ".join(features),
        "ISAs": ", ".join(f"{name} (in use)" if name == setting.isa else name for name in iqkcpu.isas()),
        "threads": str(setting.threads),
        "last-level cache": f"{last_level_cache() / 2**20:.4g} MiB",
        "int8 peak": f"{_gflops(peaks.int8_gops)} ({peaks.int8_instruction})",
        "float peak": _gflops(peaks.float_gflops),
        **({"tile peak": f"{_gflops(peaks.tile_gflops)} ({peaks.tile_instruction})"} if peaks.tile_gflops else {}),
        "memory": f"read {peaks.read_gbs:.1f} GB/s, write {peaks.write_gbs:.1f} GB/s, copy {peaks.copy_gbs:.1f} GB/s"
        f" with {in_all}",
        "clock": f"{peaks.ghz:.2f} GHz",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    for name, text in lines.items():
        typer.echo(f"{name:<18}{text}")


def _gflops(peak: float) -> str:
    return f"{peak:.0f} GFLOP/s in one thread" if peak else "none"

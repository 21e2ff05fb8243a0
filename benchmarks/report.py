"""Writes docs/benchmarks.md: what `iqkcpu bench` measures on this machine.

    python benchmarks/report.py [--out FILE] [OPTIONS AND TYPES OF iqkcpu bench]

Takes about ten minutes. Options such as --threads 1 go to every command that is run.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from iqkcpu.gguf._atomic import atomic_file

TARGET = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def measured(command: str, *options: str) -> Any:
    """What a command of iqkcpu prints as JSON."""
    print(f"iqkcpu {' '.join((command, *options))}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "iqkcpu", command, *options, "--json"], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; columns whose names begin with a space are set to the right."""
    rules = ["---:" if column.startswith(" ") else "---" for column in columns]
    lines = [[c.strip() for c in columns], rules, *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def products(document: Any) -> str:
    """Types by batch: GFLOP/s, with the share of what limits it behind."""
    batches = sorted({r["batch"] for r in document["results"]})
    by_type: dict[str, dict[int, Any]] = {}
    for r in document["results"]:
        by_type.setdefault(r["type"], {})[r["batch"]] = r

    def cell(r: Any) -> str:
        limit = share(r["of_read"]) if r["batch"] == 1 else share(r["of_peak"])
        return f"{r['gflops']:.0f} ({limit})" if limit else f"{r['gflops']:.0f}"

    columns = ["type", " bpw", *(f" batch {b}" for b in batches)]
    return table(
        columns,
        [[name, f"{rs[batches[0]]['bpw']:.4g}", *(cell(rs[b]) for b in batches)] for name, rs in by_type.items()],
    )


def peers(document: Any) -> str:
    columns = ["peer", " bpw", "iqkcpu", " bpw", " batch", " peer", " iqkcpu", " ratio"]
    rows = []
    for o in document["results"]:
        rates = (f"{o[key]:.3g}" for key in ("peer_rate", "rate"))
        sides = (o["peer"], f"{o['peer_bpw']:.4g}", o["type"], f"{o['bpw']:.4g}")
        rows.append([*sides, o["batch"] or "decoding", *rates, f"{o['ratio']:.2f}"])
    missing = "".join(f"\n\nNot measured: {reason}." for reason in document["missing"])
    return table(columns, rows) + missing


def ranking(document: Any, batch: int) -> str:
    columns = [" place", "type", " bpw", " 10^9 weights/s", " GB/s", " error", "best"]
    rows = []
    for r in document["results"]:
        if r["batch"] == batch:
            error = "" if r["error"] is None else f"{r['error']:.2%}"
            speed = (f"{r['gweights']:.1f}", f"{r['gbs']:.2f}")
            rows.append([r["place"], r["type"], f"{r['bpw']:.4g}", *speed, error, "best" if r["best"] else ""])
    return table(columns, rows)


def cliffs(document: Any) -> str:
    rows = []
    for curve in document["results"]:
        worst = max(curve["cliffs"], key=lambda c: c["ratio"], default=None)
        text = "" if worst is None else f"batch {worst['batch']}: {worst['ratio']:.2f} x the time of {worst['larger']}"
        rows.append([curve["type"], curve["threshold"] or "", len(curve["cliffs"]), curve["unchecked"], text])
    return table(["type", " panel from", " cliffs", " not looked at again", "worst"], rows)


def page(documents: dict[str, Any], info: Any, command: str, date: str) -> str:
    """The whole page."""
    bench = documents["products"]
    peaks, threads = bench["peaks"], bench["threads"]
    tiles = f"| tile peak | {peaks['tile_gflops'] * threads:.0f} GFLOP/s ({peaks['tile_instruction']}) |\n"
    call = documents["call"]["results"][0]["seconds"] * 1e6
    return f"""# Benchmarks

Written by `benchmarks/report.py`; run it again for another machine. Figures of different machines, and of one machine
at different hours, are not comparable; what stands in one table was measured in one run. How: the best of several runs,
at batch 1 over copies of the weights that exceed the last-level cache where 512 MiB of copies can.

| | |
| --- | --- |
| machine | {info["cpu"]}, {platform.system()} {platform.machine()} |
| date | {date} |
| command | `{command}` |
| instruction set | {bench["isa"]} |
| threads | {threads} |
| last-level cache | {info["last_level_cache"] / 2**20:.4g} MiB |
| int8 peak | {peaks["int8_gops"] * threads:.0f} GFLOP/s ({peaks["int8_instruction"]}), {threads} threads |
{tiles if peaks["tile_gflops"] else ""}| float peak | {peaks["float_gflops"] * threads:.0f} GFLOP/s |
| memory read | {peaks["read_gbs"]:.1f} GB/s |
| versions | {", ".join(f"{name} {version}" for name, version in info["versions"].items())} |
| a call | {call:.1f} microseconds for 64 x 64 weights of Q8_0, batch 1, one thread |

## Products

GFLOP/s. In brackets: at batch 1 the share of the memory's read rate, else of the int8 peak (float types: of the float
peak).

{products(bench)}

## Other libraries

GFLOP/s, of decoding (in one thread) 10^9 weights/s. A ratio above 1 says how many times as fast iqkcpu is. *int8 x*
rounds the activations to 8 bits, as iqkcpu does; *float x* keeps them.

{peers(documents["peers"])}

## Which type is fastest here?

At which error: root mean square by that of the weights, normal weights, no importance matrix. *best*: no type is as
fast and more exact.

Decode, one column:

{ranking(documents["rank"], 1)}

Prompts, 512 columns:

{ranking(documents["rank"], 512)}

## Cliffs

Batches from 1 to 600 that take more than {documents["cliffs"]["limit"]:.2f} times as long as a larger one,
{documents["cliffs"]["rows"]} x {documents["cliffs"]["cols"]} weights. `iqkcpu bench --cliffs` lists them.

{cliffs(documents["cliffs"])}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/benchmarks.md.")
    parser.add_argument("--out", type=Path, default=TARGET)
    options, passed = parser.parse_known_args()
    info = measured("info")
    documents = {
        "products": measured("bench", *passed),
        "peers": measured("bench", "--peers", *passed),
        "rank": measured("bench", "--rank", *passed),
        "cliffs": measured("bench", "--cliffs", *passed),
        "call": measured("bench", "Q8_0", "--rows", "64", "--cols", "64", "--batch", "1", "--threads", "1"),
    }
    if any(document["interrupted"] for document in documents.values()):
        sys.exit("interrupted")
    command = " ".join(["python benchmarks/report.py", *passed])
    text = page(documents, info, command, datetime.date.today().isoformat())
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(options.out) as file:
        file.write(text.encode())
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()

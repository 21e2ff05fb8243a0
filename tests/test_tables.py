"""Do the tables agree: formats.inc, the headers, the goldens, the README, and the list of types that files use?"""

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import iqkcpu
from iqkcpu._types import tensor_bytes

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"
FORMATS = TESTS.parent / "cpp" / "iqk" / "formats"
TABLE = (TESTS.parent / "cpp" / "iqk" / "formats.inc").read_text()
LINES = re.findall(r"^IQK_FORMAT\((\w+), *(\d+), *(\w+),", TABLE, re.MULTILINE)
REFERENCE = list(csv.DictReader((GOLDEN / "types.csv").read_text().splitlines()))


def run_tool(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(TESTS / "tools" / name), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_installed_table_is_that_of_the_sources() -> None:
    assert [(t.name, str(t.id), t.family) for t in iqkcpu.types.values()] == LINES


def test_no_type_is_missing_and_none_is_more() -> None:
    assert sorted(iqkcpu.types) == sorted(line["name"] for line in REFERENCE)


@pytest.mark.parametrize("line", REFERENCE, ids=lambda line: str(line["name"]))
def test_facts_are_those_of_files(line: dict[str, str]) -> None:
    t = iqkcpu.Type(line["name"])
    assert t.id == int(line["id"])
    assert t.block_size == int(line["weights_per_block"])
    assert t.block_bytes == int(line["bytes_per_block"])
    assert t.row_meta_bytes == int(line["row_meta_bytes"])
    assert t.bpw == float(line["bpw"])
    assert t.interleave == int(line["interleaved_rows"])
    assert t.family == line["family"]
    # Q8_K, a format of activations, is the source of two types and no type of weights itself.
    assert (t.base.name if t.base else "") == ("" if line["source_type"] == "Q8_K" else line["source_type"])
    assert (t.repacked.name if t.repacked else "") == line["repacks_to"]


def test_every_type_has_a_golden_and_every_golden_a_type() -> None:
    assert sorted(file.stem for file in GOLDEN.glob("*.npz")) == sorted([*iqkcpu.types, "inputs"])


@pytest.mark.parametrize("name", iqkcpu.types)
def test_goldens_have_the_size_of_their_type(name: str) -> None:
    with np.load(GOLDEN / f"{name}.npz") as golden:
        assert golden["decoded"].dtype == np.float32
        assert golden["decoded"].shape == (16, 1024)
        assert golden["raw"].dtype == np.uint8
        assert golden["raw"].size == tensor_bytes(iqkcpu.Type(name), (16, 1024))


def test_goldens_made_here_are_what_their_script_makes() -> None:
    run_tool("make_goldens.py")


def test_every_header_of_a_format_is_in_the_table() -> None:
    defined = {}
    shared = set()
    for header in FORMATS.glob("*.h"):
        names = re.findall(r"^struct (\w+) : [^{]*\b\1_facts\b", header.read_text(), re.MULTILINE)
        for name in names:
            defined[name] = header.stem
        if not names:
            shared.add(header.name)
    expected = {name: "floats" if family == "float" else name.lower() for name, _, family in LINES}
    assert defined == expected
    text = "".join(header.read_text() for header in FORMATS.parent.rglob("*.h"))
    assert [name for name in shared if f'#include "iqk/formats/{name}"' not in text] == []


def test_the_table_of_the_readme() -> None:
    run_tool("readme_table.py")


def test_the_version_of_the_quantizers_is_raised_with_their_bytes() -> None:
    run_tool("quantizer_digests.py")

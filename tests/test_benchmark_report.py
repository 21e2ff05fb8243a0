"""Does benchmarks/report.py write the whole page?"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPORT = Path(__file__).parents[1] / "benchmarks" / "report.py"


@pytest.mark.slow
def test_the_page_has_every_table(tmp_path: Path) -> None:
    target = tmp_path / "new" / "page.md"
    small = ("Q8_0", "Q4_0", "--rows", "64", "--cols", "512", "--seconds", "0")
    subprocess.run([sys.executable, REPORT, "--out", target, *small], check=True, capture_output=True)
    text = target.read_text()
    sections = dict(re.findall(r"^## (.+?)\n(.+?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == ["Products", "Other libraries", "Which type is fastest here?", "Cliffs"]
    assert "python benchmarks/report.py Q8_0 Q4_0 --rows 64" in text
    assert re.search(r"^\| date \| \d{4}-\d\d-\d\d \|$", text, re.MULTILINE)
    for name, section in sections.items():
        tables = re.findall(r"^(?:\|.+\|\n)+", section, re.MULTILINE)
        assert len(tables) == (2 if name.startswith("Which") else 1), name
        for lines in (t.splitlines() for t in tables):
            assert len({line.count("|") for line in lines}) == 1
            assert any("Q8_0" in line for line in lines[2:])

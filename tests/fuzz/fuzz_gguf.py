"""A fuzz target for the GGUF reader, for atheris (pip install atheris):

    python tests/fuzz/fuzz_gguf.py CORPUS_DIRECTORY [-max_total_time=600] [other options of libFuzzer]

Every input must open, or be refused with a GGUFError; the tensors of what opens must decode. Any small GGUF files make
a good corpus; an empty directory gets a first one.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris
import numpy as np

with atheris.instrument_imports(include=["iqkcpu.gguf"]):
    from iqkcpu import GGUFError, QuantTensor, open_gguf, save_gguf

_MOST_DECODED = 1 << 22  # weights: zeros decode to much more than they take
_FILE = Path(tempfile.mkdtemp()) / "input.gguf"


def one_input(data: bytes) -> None:
    _FILE.unlink(missing_ok=True)
    _FILE.write_bytes(data)
    try:
        model = open_gguf(_FILE)
    except GGUFError:
        return
    assert sum(info.nbytes for info in model.infos.values()) <= len(data)
    for name, info in model.infos.items():
        tensor = model[name]
        if isinstance(tensor, QuantTensor) and info.size <= _MOST_DECODED:
            tensor.dequantize(threads=1)


def main() -> None:
    corpus = Path(sys.argv[1]) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None
    if corpus is not None and corpus.is_dir() and not any(corpus.iterdir()):
        first: dict[str, Any] = {"w": QuantTensor(bytes(2 * 34), "Q8_0", (2, 32)), "norm": np.ones(3, np.float32)}
        save_gguf(corpus / "first.gguf", first, {"a": 1, "b": ["x", "y"], "c": [[1], [2]], "general.alignment": 32})
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

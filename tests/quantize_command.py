"""Running `iqkcpu quantize` in the process of the tests, and weights for it."""

from typing import Any

import numpy as np
from typer.testing import CliRunner

from iqkcpu.cli import app

_RANDOM = np.random.default_rng(7)


def normal(*shape: int) -> Any:
    return _RANDOM.standard_normal(shape).astype(np.float32)


def run(*arguments: object, status: int = 0) -> str:
    """Output and errors of the command."""
    # Wide, so that messages are not broken into lines.
    result = CliRunner(env={"COLUMNS": "500", "TERMINAL_WIDTH": "500"}).invoke(
        app, ["quantize", *(str(a) for a in arguments)]
    )
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output

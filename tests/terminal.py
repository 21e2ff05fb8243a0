"""Running a command on a terminal of the tests' own."""

import contextlib
import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path


def shown_on_terminal(command: Sequence[str | Path], columns: int) -> bytes:
    """What a command writes, which must succeed, when both of its outputs are a terminal of so many columns."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as p:
        os.close(theirs)
        shown = b""
        # The end is an error: the other side is closed.
        with os.fdopen(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
            while piece := terminal.read(4096):
                shown += piece
        assert p.wait() == 0
    return shown

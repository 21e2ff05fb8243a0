"""Revisions of the repository, built and installed each into a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class BuildError(Exception):
    """A revision that does not exist, or does not build."""


def commit_of(revision: str) -> str:
    """Return the full hash of a revision.

    Raises:
        BuildError: there is no such revision.
    """
    done = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if done.returncode:
        raise BuildError(f"there is no revision {revision!r}")
    return done.stdout.strip()


def built(commit: str, folder: Path, isas: str | None) -> Path:
    """Return the folder to put on the path for a commit; it is built unless it is there from an earlier run.

    Args:
        commit: the full hash.
        folder: where builds are kept.
        isas: instruction sets to build, separated by semicolons; None: all.

    Raises:
        BuildError: the commit does not build; the message ends with what the compiler said.
    """
    name = commit[:12] if isas is None else f"{commit[:12]}-{isas.replace(';', '-')}"
    target, done = folder / name, folder / f"{name}.done"
    if done.exists():
        return target
    tree = folder / f"{name}.source"
    _git("worktree", "remove", "--force", str(tree))  # what an interrupted run has left
    added = _git("worktree", "add", "--detach", "--force", str(tree), commit)
    if added.returncode:
        raise BuildError(added.stderr.strip())
    try:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(target)]
        if isas is not None:
            command.append(f"--config-settings=cmake.define.IQK_ISAS={isas}")
        install = subprocess.run([*command, str(tree)], capture_output=True, text=True, check=False)
        if install.returncode:
            raise BuildError(f"{commit[:12]} does not build:\n{install.stderr.strip()[-2000:]}")
    finally:
        _git("worktree", "remove", "--force", str(tree))
    done.touch()
    return target


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)

"""The command line as another user: what it needs is imported as root, then the process becomes that user for good.

A test's Python may lie where only root can read; what is loaded already needs no reading.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[1]
_LOADED = ("edge_agent.store.rotation", "edge_agent.store.export", "edge_agent.tools.output_walk", "edge_agent.logs")
"""What the commands of these tests import on their way."""
SERVICE = 977
"""A user id of the kind that services get; it need not have a name."""


def edge_agent_as(uid: int, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of that number, of the group of the same number and of no other."""
    return subprocess.run(
        [sys.executable, "-m", "tests.other_user", str(uid), *args],
        cwd=REPOSITORY if cwd is None else cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that every user can reach: pytest's own are for one."""
    folder = Path(tempfile.mkdtemp(prefix="edge-agent-test-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def give(folder: Path, uid: int) -> None:
    """Everything in a folder, and the folder, to that user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid)


def owners(folder: Path) -> set[int]:
    """Whose the folder is, and what lies in it."""
    return {path.stat().st_uid for path in (folder, *folder.rglob("*"))}


def _main() -> None:
    from edge_agent.commands.main import main

    for module in _LOADED:
        importlib.import_module(module)
    uid = int(sys.argv[1])
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    sys.argv = ["edge-agent", *sys.argv[2:]]
    main()


if __name__ == "__main__":
    _main()

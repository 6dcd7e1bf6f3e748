"""An export that is killed at any step of the disk: SIGKILL, and the next export brings each row once."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge_agent.warehouse.exporting import Line, export
from edge_agent.warehouse.targets import target_of
from tests.unit.test_warehouse_export import grown, noted, seqs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

_CHILD = """
import os, signal, sys
from pathlib import Path
from edge_agent.store.fs import FileSystem
from edge_agent.warehouse import exporting
from edge_agent.warehouse.targets import target_of

journal, store, at, how = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
exporting._MOST_ROWS = 4
left = [at]

def killed(name):
    method = getattr(FileSystem, name)
    def step(self, *args):
        left[0] -= 1
        if left[0]:
            return method(self, *args)
        if how == "half" and name == "write":
            args[0].write_bytes(args[1][: len(args[1]) // 2])
        if how == "after":
            method(self, *args)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(FileSystem, name, step)

for name in ("make_folder", "write", "replace"):
    killed(name)
exporting.export(exporting.Line("L", journal), target_of(store), begin=True)
"""


@pytest.mark.parametrize("how", ["before", "half", "after"])
def test_an_export_killed_at_any_step_loses_and_doubles_nothing(tmp_path: Path, how: str) -> None:
    store, journal = tmp_path / "store", tmp_path / "journal.db"
    store.mkdir()
    grown(journal, range(1, 7))
    noted(journal, "START", "the agent is up")
    grown(journal, range(7, 10), day=24)
    step, kills, last = 1, 0, 9
    while True:
        command = [sys.executable, "-c", _CHILD, str(journal), str(store), str(step), how]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        found = seqs(store)
        # What is there is the begin of the journal, without a gap.
        assert found == list(range(1, len(found) + 1)), ran.stderr
        if ran.returncode == 0:
            break
        assert ran.returncode == -signal.SIGKILL, ran.stderr
        kills += 1
        # Some steps further each time: what went through is not done again.
        step = 1 + (step + 1) % 7
        if kills % 4 == 0:
            grown(journal, range(last + 1, last + 3), day=24)
            last += 2
        assert kills < 90, "it never comes to its end"

    export(Line("L", journal), target_of(str(store)))
    assert kills >= 6
    assert seqs(store) == seqs(store, "cameras") == list(range(1, last + 1))
    assert len(list(store.glob("**/.*.part"))) == 0

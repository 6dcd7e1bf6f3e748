"""A small line with settings, a registry of bundles and a journal, for the tests of backup and restore."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s
from edge_agent.domain import Published, Reason, Verdict
from edge_agent.settings import load_settings
from edge_agent.store.journal import Journal, PartRow
from edge_agent.tools.backup.making import make_backup

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.tools.backup.making import Made

__all__ = ["a_line", "backed_up", "part", "tree", "write_parts"]

_TOML = """\
schema_version = 1
[line]
name = "zipper 4"
deadline_ms = 1500
min_part_spacing_ms = 2000
[images]
spool = "state/spool"
[images.ftp]
password_file = "ftp.password"
[output]
host = "127.0.0.1"
watchdog_tested = 2026-11-29
watchdog_tested_by = "a test"
[[bundle]]
program = 1
path = "state/bundles/cursor"
[store]
journal = "state/journal.sqlite3"
archive = "state/archive"
"""


def part(number: int) -> PartRow:
    """A part without an image."""
    now = monotonic_s()
    return PartRow(
        part_seq=number,
        count=number,
        session="a",
        program=1,
        verdict=Verdict.REJECT,
        reason=Reason.NO_IMAGE,
        detail="",
        score=None,
        limit=None,
        bundle_id=None,
        cameras=(),
        controller_judgement=None,
        simulated=True,
        first_sign_mono_s=now,
        decided_mono_s=now,
        deadline_mono_s=now + 1,
        boot_id="boot",
        decided_utc="2026-11-30T09:00:00.000+00:00",
    )


def write_parts(journal: Path, first: int, last: int) -> None:
    """Rows of parts by the agent's own journal, opened and closed again."""

    async def write() -> None:
        written = Journal.open(journal)
        for number in range(first, last + 1):
            await written.append(part(number))
            await written.publication(number, Published.WITHHELD, monotonic_s())
        written.close()

    asyncio.run(write())


def a_line(folder: Path, bundle: Path, *, parts: int = 3) -> Path:
    """A line in ``folder``; its line.toml."""
    state = folder / "state"
    shutil.copytree(bundle, state / "bundles/cursor")
    (state / "archive").mkdir()
    (state / "archive/an-image.bmp").write_bytes(b"not in a backup")
    (folder / "ftp.password").write_text("the-secret-word\n")
    (state / "journal.sqlite3.webhook.position").write_text("{}")
    (folder / "line.toml").write_text(_TOML)
    write_parts(state / "journal.sqlite3", 1, parts)
    return folder / "line.toml"


def backed_up(config: Path, file: Path) -> Made:
    """A backup of that line."""
    return make_backup(load_settings(config), config, file, lambda _stage, _done, _total: None)


def tree(folder: Path) -> dict[str, str]:
    """Every file and folder below, with the hash of its bytes; locks that an agent makes by itself left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith((".lock", ".reserve")):
            continue
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = content
    return found

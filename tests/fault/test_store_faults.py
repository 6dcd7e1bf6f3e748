"""The store under power cuts, full disks and failing file operations. Real processes, real limits."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge_agent.domain import Verdict
from edge_agent.errors import DataError, EdgeAgentError
from edge_agent.store.archive import Archive
from edge_agent.store.fs import FileSystem
from edge_agent.store.journal import Journal, JournalError, JournalReader

_ROOT = Path(__file__).parents[2]

_ROWS = """
import asyncio, json, os, signal, sys
from pathlib import Path
from edge_agent.domain import Published, Reason, Verdict
from edge_agent.store.journal import Journal, JournalError, PartRow

def row(seq, detail=""):
    return PartRow(
        part_seq=seq, count=seq, session="", program=0, verdict=Verdict.PASS, reason=Reason.OK, detail=detail,
        score=0.5, limit=1.0, bundle_id="b", cameras=(), controller_judgement=None, simulated=True,
        first_sign_mono_s=1.0, decided_mono_s=2.0, deadline_mono_s=3.0, boot_id="", decided_utc="",
    )
"""

_WRITE_FOR_EVER = (
    _ROWS
    + """
async def main():
    journal = Journal.open(Path(sys.argv[1]))
    while True:
        seq = journal.next_part_seq
        await journal.append(row(seq))
        os.write(1, b"%d\\n" % seq)
        await journal.publication(seq, Published.PUBLISHED, 2.0)

asyncio.run(main())
"""
)

_A_WRITER_PER_LINE = _WRITE_FOR_EVER.replace(
    "asyncio.run(main())",
    """
for _ in sys.stdin:
    child = os.fork()
    if not child:
        os.write(1, b"%d\\n" % os.getpid())
        asyncio.run(main())
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
""",
)
"""Imports once: a kill then costs a fork, not the start of an interpreter."""

_FILL_THE_DISK = (
    _ROWS
    + """
import resource

async def main():
    journal = Journal.open(Path(sys.argv[1]))
    said = {"durable": [], "refused": []}
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    seq = journal.next_part_seq
    while len(said["refused"]) < 3:
        try:
            await journal.append(row(seq, "x" * 1500))
            said["durable"].append(seq)
        except JournalError as err:
            said["refused"].append(seq)
            said["hint"], said["exit_code"] = err.hint, err.exit_code
        seq += 1
    try:
        await journal.prove_writable()
        said["proven"] = True
    except JournalError:
        said["proven"] = False
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await journal.prove_writable()
    await journal.append(row(seq))
    said["durable"].append(seq)
    journal.close()
    os.write(2, json.dumps(said).encode())

asyncio.run(main())
"""
)


def _child(code: str, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )


def _read_rows(path: Path) -> dict[int, Verdict]:
    with JournalReader.open(path) as reader:
        return {row.part_seq: row.verdict for row in reader.rows()}


def test_killed_while_committing_loses_no_acknowledged_row(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    acknowledged = 0
    writers = _child(_A_WRITER_PER_LINE, path)
    assert writers.stdin is not None
    assert writers.stdout is not None
    for kill in range(20):
        writers.stdin.write(b"one more\n")
        writers.stdin.flush()
        writer_pid = int(writers.stdout.readline())
        for _ in range(1 + 5 * kill):
            acknowledged = int(writers.stdout.readline())
        os.kill(writer_pid, signal.SIGKILL)
        while (line := writers.stdout.readline()) != b"dead\n":
            acknowledged = int(line)
        numbers = sorted(_read_rows(path))

        assert numbers == list(range(1, numbers[-1] + 1)), "a gap"
        assert acknowledged <= numbers[-1] <= acknowledged + 1
    writers.communicate(timeout=10)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_full_disk_is_an_error_and_every_part_is_there_once_space_returns(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    child = _child(_FILL_THE_DISK, path)
    _, said_or_trace = child.communicate(timeout=60)
    assert child.returncode == 0, said_or_trace.decode()
    said: dict[str, Any] = json.loads(said_or_trace)
    rows = _read_rows(path)

    assert said["exit_code"] == 74
    assert "space" in said["hint"]
    assert said["proven"] is False
    assert len(said["durable"]) > 5
    assert all(rows[seq] is Verdict.PASS for seq in said["durable"])
    assert all(rows[seq] is Verdict.FAULT for seq in said["refused"]), "owed parts are written as FAULT"
    assert sorted(rows) == list(range(1, max(rows) + 1))


def test_a_disk_without_room_for_a_journal_refuses_to_start(tmp_path: Path) -> None:
    code = _ROWS + (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try:\n"
        "    Journal.open(Path(sys.argv[1]))\n"
        "except JournalError as err:\n"
        "    print(err.exit_code)\n"
    )
    child = _child(code, tmp_path / "journal.db")
    output, errors = child.communicate(timeout=60)

    assert output.strip() == b"74", errors.decode()


def test_a_second_process_is_refused_and_a_killed_one_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = _child(_WRITE_FOR_EVER, path)
    assert first.stdout is not None
    first.stdout.readline()
    second = _child(_WRITE_FOR_EVER, path)
    _, errors = second.communicate(timeout=60)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    Journal.open(path).close()

    assert b"AlreadyRunning" in errors


def test_damage_anywhere_is_refused_or_read_never_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    namespace: dict[str, Any] = {}
    exec(_ROWS, namespace)  # noqa: S102 - the same rows as the child processes write

    async def fill() -> None:
        journal = Journal.open(path)
        for seq in range(1, 120):
            await journal.append(namespace["row"](seq, "x" * 300))
        journal.close()

    asyncio.run(fill())
    good = path.read_bytes()
    refused: list[EdgeAgentError] = []
    for offset in range(0, len(good), max(1, len(good) // 60)):
        data = bytearray(good)
        data[offset : offset + 24] = b"\xa5" * 24
        path.write_bytes(data)
        try:
            Journal.open(path).close()
            _read_rows(path)
        except (DataError, JournalError) as err:
            refused.append(err)

    assert refused
    assert all(err.hint and err.exit_code in {65, 74} for err in refused)


class _FailingDisk(FileSystem):
    """Fails the n-th operation, once or from then on. What it fails happens half or not at all."""

    def __init__(self, fail_at: int, *, always: bool) -> None:
        self.fail_at = fail_at
        self.always = always
        self.operations = 0
        self.has_failed = False

    def _maybe_fail(self) -> None:
        self.operations += 1
        if self.operations == self.fail_at or (self.always and self.operations > self.fail_at):
            self.has_failed = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def make_folder(self, folder: Path) -> None:
        self._maybe_fail()
        super().make_folder(folder)

    def size_bytes(self, path: Path) -> int:
        self._maybe_fail()
        return super().size_bytes(path)

    def copy(self, source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:10])
        self._maybe_fail()
        target.write_bytes(source.read_bytes())

    def fsync(self, path: Path) -> None:
        self._maybe_fail()  # and nothing else: this disk is never cut off, a sync would only cost time

    def replace(self, source: Path, target: Path) -> None:
        self._maybe_fail()
        if source.parent.name == "spool":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().replace(source, target)

    def unlink(self, path: Path) -> None:
        self._maybe_fail()
        super().unlink(path)

    def remove_folder(self, folder: Path) -> None:
        self._maybe_fail()
        super().remove_folder(folder)

    def disk_bytes(self, folder: Path) -> tuple[int, int]:
        self._maybe_fail()
        return super().disk_bytes(folder)


def _file_parts(archive: Archive, spool: Path) -> dict[Path, str]:
    """File eight images; what the archive says that it kept, by hash."""
    spool.mkdir(exist_ok=True)
    said = {}
    for seq in range(1, 9):
        data = seq.to_bytes(2, "big") * 50
        sha256 = hashlib.sha256(data).hexdigest()
        path = spool / f"{seq}.bmp"
        path.write_bytes(data)
        kept = archive.file(seq, 1, Verdict.REJECT if seq % 3 == 0 else Verdict.PASS, path, sha256)
        if kept is not None:
            said[kept] = sha256
    return said


@pytest.mark.parametrize("always", [False, True])
def test_whichever_operation_fails_the_archive_lies_about_no_image(tmp_path: Path, *, always: bool) -> None:
    fail_at = 0
    while True:
        fail_at += 1
        root, spool = tmp_path / f"{always}-{fail_at}", tmp_path / "spool"
        disk = _FailingDisk(fail_at, always=always)
        archive = Archive(root, max_bytes=450, min_free_bytes=0, fs=disk)
        said = _file_parts(archive, spool)
        for path, sha256 in said.items():
            if path.exists():  # pruned since, otherwise
                assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        after = Archive(root, max_bytes=450, min_free_bytes=0)
        after.sweep()

        assert not list(root.rglob("*.part")), f"a stump was left by operation {fail_at}"
        assert sum(path.stat().st_size for path in root.rglob("part_*")) <= 450 + 100
        if not disk.has_failed:
            assert fail_at > 40
            return
        if not always:
            assert archive.lost <= 1
        for path in spool.iterdir():
            path.unlink()

"""Every command of docs/everyday-questions.md on a journal of a million parts: the seconds that a person waits.

    python -m tests.benchmark.everyday [--parts 1000000] [--runs 3] [--keep FOLDER]

A month of a line with a part every 2.6 seconds, ending now. Each command is a process of its own, as a person types it:
medians of the seconds that passed and of the processor's, with the start of Python. ``--keep`` uses a journal again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drivers.base import Published
from edge_agent.domain import Reason
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.store.writer import JournalWriter
from tests.everyday import answering, questions, with_line
from tests.security.web_site import part_row, reject_row, web_settings

_EVERY = timedelta(seconds=2.6)
_AT_ONCE = 2000


def write_journal(path: Path, parts: int) -> None:
    """As an agent writes them, but not synced one by one."""
    writer = JournalWriter(path)
    connection, begin = writer._connection, datetime.now(UTC) - parts * _EVERY
    try:
        connection.execute("PRAGMA synchronous = OFF")
        for first in range(1, parts + 1, _AT_ONCE):
            connection.execute("BEGIN")
            for seq in range(first, min(first + _AT_ONCE, parts + 1)):
                facts: dict[str, Any] = {
                    "count": seq % 10_000,
                    "decided_utc": (begin + seq * _EVERY).isoformat(timespec="milliseconds"),
                }
                if seq % 997 == 0:
                    facts |= {"reason": Reason.BYPASS, "detail": "BYPASS by A. Rossi"}
                row = reject_row(seq, **facts) if seq % 50 == 0 else part_row(seq, **facts)
                writer._insert_part(row)
                writer._insert_publication(seq, Published.PUBLISHED, row.decided_mono_s + 0.01, "")
            connection.execute("COMMIT")
            writer._since_checkpoint = 200
            writer.tidy(is_calm=True)
    finally:
        writer.close()


async def _note(path: Path) -> None:
    """A year of a line that is worked with: some thousand events."""
    journal = Journal.open(path)
    review = {"says": "CONFIRMED", "by": "Lin", "note": "a scratch"}
    try:
        for number in range(1, 1001):
            await journal.event("REVIEW", json.dumps({"part_seq": 50 * number, **review}))
            await journal.event("STRAY_IMAGE", f"count {number}, 'CAM1_{number}.bmp'")
        for number in range(100):
            await journal.event("BYPASS", f"begins, by A. Rossi, for 900 s: lamp {number}")
            await journal.event("BYPASS", "ends: its time is over; it was begun by A. Rossi")
            await journal.event("START", "the agent is up")
    finally:
        journal.close()


def _seconds(command: list[str], folder: Path, runs: int) -> tuple[float, float, int]:
    """Median of the time that passes and of the processor's, and the exit code."""
    took_s, used_s = [], []
    for _ in range(runs):
        for made in (*folder.glob("*.xlsx"), *folder.glob("*.html"), *folder.glob("*.csv")):
            made.unlink()
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run(
            [sys.executable, "-m", "edge_agent", *command], cwd=folder, capture_output=True, check=False
        )
        took_s.append(time.perf_counter() - begin)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return round(statistics.median(took_s), 2), round(statistics.median(used_s), 2), ran.returncode


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="Commands with these words alone.")
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(exist_ok=True)
        settings = web_settings(folder)
        if not settings.store.journal.exists():
            write_journal(settings.store.journal, asked.parts)
        with JournalReader.open(settings.store.journal) as journal:
            is_noted = bool(journal.newest_events("REVIEW", 1))
        if not is_noted:
            asyncio.run(_note(settings.store.journal))
        found = []
        with answering(settings.store.journal):
            for question in questions():
                if asked.only in question.command:
                    took_s, used_s, code = _seconds(with_line(question, part=asked.parts // 2), folder, asked.runs)
                    facts = {"command": question.command, "median_s": took_s, "processor_s": used_s, "exit_code": code}
                    found.append(facts)
                    sys.stderr.write(f"{took_s:>8} s {used_s:>8} s  {code}  {question.command}\n")
        size_mb = round(settings.store.journal.stat().st_size / 1e6)
    said = {"schema_version": 1, "parts": asked.parts, "journal_mb": size_mb, "load_after": os.getloadavg()}
    sys.stdout.write(json.dumps({**said, "commands": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""A small disk gets short under the real agent: the archive gives way, then FAULT says why, then it goes on."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Reason, Verdict
from edge_agent.store.journal import JournalReader
from edge_agent.wiring.free_ports import free_port
from tests.simulated.line import PASS, READY, good_image, line
from tests.small_disk import small_disk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.line import Line

DISK_MIB, NEEDED_MIB, INBOX_MIB = 64, 16, 2
"""Of that disk: FAULT below 16 MiB (the journal), the archive gives way below 32; the inbox refuses below 2."""
BEFORE = 12


def leave_free(disk: Path, free_bytes: int) -> None:
    """Make the filler so large, or so small, that this is free."""
    filler = disk / "filler"
    taken = filler.stat().st_size if filler.exists() else 0
    size = max(0, taken + shutil.disk_usage(disk).free - free_bytes)
    with filler.open("ab") as file:
        file.truncate(min(size, taken))
        while size > taken:
            taken += file.write(bytes(min(65536, size - taken)))


def archived(at: Line) -> list[Path]:
    return list((at.folder / "archive").rglob("part_*"))


async def asked(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of an answer of the page."""

    def ask() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as err:
            return err.code, err.read()

    return await asyncio.to_thread(ask)


async def until_says(port: int, status: int) -> bytes:
    """What /readyz says once it has that status: the page runs at idle priority, and makes way for everything."""
    async with asyncio.timeout(200):
        while True:
            try:
                found, body = await asked(port, "/readyz")
            except OSError:  # it is not up yet
                found, body = 0, b""
            if found == status:
                return body
            await asyncio.sleep(0.1)


async def part(at: Line, number: int) -> None:
    await at.controller.wire_trigger(good_image(number % 4 + 1))
    await at.until_rows(number)


@pytest.mark.timeout(600)
async def test_a_disk_that_gets_short_costs_the_archive_first_then_ready_and_never_a_pass(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    port = free_port()
    with small_disk(tmp_path / "disk", mib=DISK_MIB) as disk:
        async with line(disk, thumbnail_bundle, start=False) as at:
            text = at.config.read_text().replace('spool = "spool"', 'spool = "spool"\nmax_mib = 1')
            at.config.write_text(f"{text}[web]\nport = {port}\n")
            await at.start_agent()
            await at.until("READY", lambda: at.remote_io.coils[READY], within_s=120)
            await until_says(port, 200)
            for number in range(1, BEFORE + 1):
                await part(at, number)
            await at.until("the archive", lambda: len(archived(at)) == BEFORE)
            image_bytes = archived(at)[0].stat().st_size

            # The archive gives way, and that is enough: READY all the time.
            leave_free(disk, NEEDED_MIB * 2**20 - (BEFORE - 2) * image_bytes)
            await at.until("room", lambda: not archived(at))
            await part(at, BEFORE + 1)
            gave_way = at.rows()

            # Nothing is left to give: FAULT, in words, everywhere.
            leave_free(disk, (NEEDED_MIB - 4) * 2**20)
            await at.until("FAULT", lambda: not at.remote_io.coils[READY])
            why = await until_says(port, 503)
            _, metrics = await asked(port, "/metrics")
            await part(at, BEFORE + 2)

            # Below what the inbox takes: the image is not even stored.
            leave_free(disk, INBOX_MIB * 2**20 // 2)
            await part(at, BEFORE + 3)
            written_before = len(at.remote_io.history)

            (disk / "filler").unlink()
            await at.until_ready()
            await until_says(port, 200)
            await part(at, BEFORE + 4)
            rows = at.rows()
            passes = [
                change for change in at.remote_io.history[:written_before] if change.coil == PASS and change.value
            ]
            assert await at.stop_agent() == 0
        with JournalReader.open(disk / "journal.sqlite3") as journal:
            events = [event.detail for event in journal.events() if event.kind == "DISK"]
            problems = [*journal.problems(), *journal.audit().problems]

    assert [row.verdict for row in gave_way] == [Verdict.PASS] * (BEFORE + 1), "READY while the archive gives way"
    assert "are needed" in json.loads(why)["reasons"]["disk"]
    assert b'edge_agent_condition_ok{condition="disk"} 0.0' in metrics
    fault, refused, good = rows[BEFORE + 1 :]
    assert (fault.verdict, fault.reason) == (Verdict.FAULT, Reason.NOT_READY)
    assert fault.detail.startswith("disk: ")
    assert (refused.verdict, refused.reason) == (Verdict.FAULT, Reason.DISK)
    assert "Disk full" in refused.detail
    assert len(passes) == BEFORE + 1, "none while the disk is short"
    assert good.verdict is Verdict.PASS
    assert [detail.split(":")[0] for detail in events] == ["begins", "ends"]
    assert "are needed" in events[0]
    assert problems == []

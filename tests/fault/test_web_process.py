"""The page's process beside an agent: whatever becomes of it, the agent goes on; what it is asked for is written."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from drivers.timing import monotonic_s
from edge_agent.feed.telling import UNREAD_MAX_BYTES, Looked, say
from edge_agent.reviews.drawing import POINTS_IN_ALL
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.web.feed import Answer
from edge_agent.web.keeper import keep_page
from edge_agent.wiring.free_ports import free_port
from tests.security.web_site import Reply, Served, part_row, reject_row, web_settings, written
from tests.unit.test_drawing import outline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from edge_agent.reviews.review import Review


_WITHIN_S = 60.0


def looked() -> Looked:
    return Looked("READY", {"controller": "", "journal": ""}, is_simulated=True, archive_lost=0, archive_pruned=0)


class Agent:
    """Journal and page as the agent has them."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.settings = web_settings(folder, port=self.port)
        self.journal = Journal.open(self.settings.store.journal)
        self.ask = Served.ask.__get__(self)
        self.review = Served.review.__get__(self)
        self.reviews: list[Review] = []  # of a site in this process; here the page has a process of its own

    @asynccontextmanager
    async def page(self) -> AsyncIterator[None]:
        try:
            async with keep_page(self.settings, looked, self.journal.event):
                await self.until(self.is_ready)
                yield
        finally:
            self.journal.close()

    async def is_ready(self) -> bool:
        try:
            return bool((await self.ask("/readyz")).status == 200)
        except OSError:
            return False

    async def newest(self) -> int:
        reply: Reply = await self.ask("/api/parts?most=1")
        return int(reply.json["parts"][0]["part_seq"])

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        begin = monotonic_s()
        while not await condition():
            assert monotonic_s() - begin < _WITHIN_S
            await asyncio.sleep(0.02)


def page_processes() -> set[int]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"edge_agent.web" in (process / "cmdline").read_bytes():
                found.add(int(process.name))
    return found


async def test_a_hundred_viewers_that_never_read_hold_up_neither_the_journal_nor_the_next_viewer(
    tmp_path: Path,
) -> None:
    await written(web_settings(tmp_path).store.journal, [part_row(n) for n in range(1, 41)])
    agent = Agent(tmp_path)
    async with agent.page():
        viewers = []
        try:
            for _ in range(100):
                viewer = socket.create_connection(("127.0.0.1", agent.port), timeout=10)
                viewers.append(viewer)
                viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                viewer.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for number in range(41, 61):
                await agent.journal.append(part_row(number))
            assert await agent.newest() == 60
            reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
            writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(_WITHIN_S):
                while b'"part_seq": 60,' not in await reader.readline():
                    pass
            writer.close()
            async with asyncio.timeout(_WITHIN_S):
                while b"edge_agent_page_viewers 100.0" not in (await agent.ask("/metrics")).body:
                    await asyncio.sleep(0.05)
        finally:
            for viewer in viewers:
                viewer.close()


async def test_a_page_that_is_killed_comes_again_and_the_agent_never_notices(tmp_path: Path) -> None:
    await written(web_settings(tmp_path).store.journal, [part_row(1)])
    agent = Agent(tmp_path)
    with capture_logs() as logs:
        async with agent.page():
            (first,) = page_processes()
            os.kill(first, signal.SIGKILL)
            await agent.journal.append(part_row(2))

            async def is_another() -> bool:
                return bool(page_processes() - {first}) and await agent.is_ready()

            await agent.until(is_another)
            assert await agent.newest() == 2

    assert [entry["event"] for entry in logs] == ["page_ended"]
    assert page_processes() == set()


async def test_a_port_that_is_taken_costs_the_page_and_nothing_else(tmp_path: Path) -> None:
    await written(web_settings(tmp_path).store.journal, [part_row(1)])
    with socket.create_server(("127.0.0.1", 0)) as other, capture_logs() as logs:
        settings = web_settings(tmp_path, port=other.getsockname()[1])
        journal = Journal.open(settings.store.journal)
        async with keep_page(settings, looked, journal.event):
            async with asyncio.timeout(_WITHIN_S):
                while not logs:
                    await asyncio.sleep(0.02)
            await journal.append(part_row(2))
        journal.close()

    assert logs[0]["event"] == "page_ended"
    assert "69" in logs[0]["why"]


async def test_without_a_page_in_line_toml_no_process_is_started(tmp_path: Path) -> None:
    settings = web_settings(tmp_path).model_copy(update={"web": None})

    async def never(kind: str, detail: str) -> None:
        raise AssertionError(kind, detail)

    async with keep_page(settings, looked, never):
        assert page_processes() == set()


async def test_a_page_that_does_not_read_is_not_told_more_than_its_pipe_holds() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import signal; signal.pause()", stdin=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdin is not None
        line = Answer(answer=1, error="x" * 500)
        for _ in range(5000):
            say(process.stdin, line)
        held = process.stdin.transport.get_write_buffer_size()
        assert held < UNREAD_MAX_BYTES + 1000
    finally:
        process.kill()
        process.stdin.close()
        await process.wait()


async def test_a_review_is_durable_in_the_journal_changes_no_row_and_is_shown(tmp_path: Path) -> None:
    await written(web_settings(tmp_path).store.journal, [part_row(1), reject_row(2)])
    agent = Agent(tmp_path)
    with JournalReader.open(agent.settings.store.journal) as journal:
        before = list(journal.rows())
    async with agent.page():
        assert (await agent.review(by="Ada <b>", says="OVERTURNED")).status == 200
        assert (await agent.review(by="Bob", says="CONFIRMED", note="scratch", seen=1)).status == 200
        with JournalReader.open(agent.settings.store.journal) as journal:
            assert [e.kind for e in journal.events()] == ["REVIEW", "REVIEW"]
            assert list(journal.rows()) == before
        part = (await agent.ask("/api/parts/2")).json
        listed = (await agent.ask("/api/parts?verdict=REJECT")).json["parts"]
        asked = "bundle=bundle&limit=2.5&since=2026-01-01T00:00:00Z"
        disputed = (await agent.ask(f"/api/reviewed?{asked}")).json
        assert (await agent.review(by="ada <B>", says="CONFIRMED", seen=2)).status == 200
        moved = (await agent.ask(f"/api/reviewed?{asked}")).json

    assert [(r["by"], r["says"], r["note"]) for r in part["reviews"]] == [
        ("Ada <b>", "OVERTURNED", ""),
        ("Bob", "CONFIRMED", "scratch"),
    ]
    assert part["verdict"] == "REJECT"
    assert listed[0]["review"]["by"] == "Bob"
    counted = ("rejects_to_pass", "of_them_confirmed", "false_rejects")
    assert [disputed[name] for name in counted] == [1, 0, 0], "while people differ it is neither"
    assert [moved[name] for name in counted] == [1, 1, 0], "one of them changed her mind"


async def test_the_largest_drawing_goes_from_the_page_over_the_pipe_into_the_journal(tmp_path: Path) -> None:
    await written(web_settings(tmp_path).store.journal, [reject_row(1), reject_row(2)])
    agent = Agent(tmp_path)
    shape = outline(*([10_000 + x, 20_000 + x * x] for x in range(60)))
    shapes = [shape] * (POINTS_IN_ALL // 60)
    largest = {"camera": 1, "width": 32_768, "height": 32_768, "shapes": shapes}
    async with agent.page():
        reply = await agent.review(says="CONFIRMED", note="\u7f3a" * 500, defect="\u7f3a" * 60, drawings=[largest])
        assert reply.status == 200, reply.body
        with JournalReader.open(agent.settings.store.journal) as journal:
            (event,) = journal.events()
        told = (await agent.ask("/api/parts/2")).json["reviews"]
    assert json.loads(event.detail)["drawings"] == [largest]
    assert told[0]["drawings"] == [largest]


async def _page_process(settings_line: bytes) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_agent.web", stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdin is not None
    process.stdin.write(settings_line + b"\n")
    return process


async def test_a_page_whose_agent_is_gone_ends(tmp_path: Path) -> None:
    await written(web_settings(tmp_path).store.journal, [part_row(1)])
    process = await _page_process(web_settings(tmp_path, port=free_port()).model_dump_json().encode())
    assert process.stdin is not None
    process.stdin.close()
    _, stderr = await asyncio.wait_for(process.communicate(), _WITHIN_S)

    assert (process.returncode, stderr) == (0, b"")


async def test_a_page_says_in_words_what_a_person_has_to_mend(tmp_path: Path) -> None:
    settings = web_settings(tmp_path, port=free_port())
    process = await _page_process(settings.model_dump_json().encode())
    assert await asyncio.wait_for(process.wait(), _WITHIN_S) == 65
    _, no_journal = await process.communicate()
    await written(settings.store.journal, [part_row(1)])
    (tmp_path / "web_token").chmod(0o644)
    process = await _page_process(settings.model_dump_json().encode())
    assert await asyncio.wait_for(process.wait(), _WITHIN_S) == 78
    _, token = await process.communicate()

    assert b"there is no journal" in no_journal
    assert b"others on this PC may read the token" in token
    assert b"Traceback" not in no_journal + token


@pytest.mark.parametrize(
    "said", [b"hello\n", b"{}\n", b'{"ask":1,"review":{"part_seq":0,"says":"CONFIRMED","by":"x"}}\n']
)
async def test_a_page_that_says_what_it_must_not_is_ended(tmp_path: Path, said: bytes) -> None:
    from edge_agent.web.keeper import _Keeper

    noted: list[str] = []

    async def note(kind: str, detail: str) -> None:
        noted.append(kind + detail)

    reader = asyncio.StreamReader()
    reader.feed_data(said)
    reader.feed_eof()
    keeper = _Keeper(web_settings(tmp_path), looked, note)
    with pytest.raises(ValueError, match="validation error"):
        await keeper._hear(reader, None)  # type: ignore[arg-type]  # it has nothing to answer

    assert noted == []

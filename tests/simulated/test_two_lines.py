"""Two lines on one PC that got the same port or folder: the second is refused in words, and the first never notices."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.wiring.free_ports import free_port
from tests.simulated.line import READY, edge_agent, line

if TYPE_CHECKING:
    from tests.simulated.line import Line

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace and /proc"),
]


_READY_WITHIN_S = 120.0
"""Two agents and their pages on a machine with other guests."""


def add(at: Line, text: str) -> None:
    at.config.write_text(at.config.read_text() + text)


def place(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


async def run_to_its_end(at: Line) -> tuple[int, str]:
    """The exit code of an agent that is refused, and what it said."""
    ran = await asyncio.to_thread(edge_agent, "run", "--config", str(at.config), within_s=60)
    return ran.returncode, ran.stderr


async def examined(config: Path, *ids: str) -> dict[str, dict[str, Any]]:
    ran = await asyncio.to_thread(edge_agent, "doctor", "--config", str(config), "--json", within_s=200)
    return {check["id"]: check for check in json.loads(ran.stdout)["checks"] if check["id"] in ids}


def words_of(at: Line) -> str:
    assert at.agent is not None
    return f"process {at.agent.pid} (edge-agent run --config {at.config})"


def command_of(pid: int) -> bytes:
    """What a process was started as; empty once it has ended, whether or not somebody has asked how."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def pages_of(agent: int) -> list[int]:
    """The page's process of an agent."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == agent and b"edge_agent.web" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


async def until_answers(port: int) -> None:
    """Wait until a page of an agent that is heard answers."""
    async with asyncio.timeout(120):
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
                if b" 200 OK" in answer:
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("table", ["web", "metrics"])
async def test_a_second_line_at_the_same_page_port_is_refused_and_told_by_whom(
    tmp_path: Path, thumbnail_bundle: Path, table: str
) -> None:
    port = free_port()
    async with (
        line(place(tmp_path, "one"), thumbnail_bundle, start=False) as one,
        line(place(tmp_path, "two"), thumbnail_bundle, start=False) as two,
    ):
        for at in (one, two):
            add(at, f"[{table}]\nport = {port}\n")
        await one.start_agent()
        await one.until_ready(_READY_WITHIN_S)

        code, said = await run_to_its_end(two)
        assert not any(two.remote_io.coils)  # the doctor then drives REJECT
        found = (await examined(two.config, "page_ports"))["page_ports"]

        assert code == 75, said
        assert f"error: {table}.port: another edge-agent has port {port} of 127.0.0.1: {words_of(one)}\n" in said
        assert f"hint: give each line of this PC ports of its own: another {table}.port" in said
        assert not (two.folder / "journal.sqlite3").exists()
        assert found["result"] == "fail"
        assert found["evidence"].endswith(words_of(one))
        assert f"another {table}.port" in found["fix"]
        assert one.remote_io.coils[READY]

        two.config.write_text(two.config.read_text().replace(f"port = {port}\n", f"port = {free_port()}\n"))
        await two.start_agent()
        await two.until_ready(_READY_WITHIN_S)
        assert await one.stop_agent() == 0
        assert await two.stop_agent() == 0


async def test_a_second_line_with_the_same_journal_or_ftp_port_is_refused_and_told_by_whom(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with (
        line(place(tmp_path, "one"), thumbnail_bundle) as one,
        line(place(tmp_path, "two"), thumbnail_bundle, start=False) as two,
    ):
        right = two.config.read_text()
        two.config.write_text(right.replace(f"port = {two.ftp_port}\n", f"port = {one.ftp_port}\n"))
        ftp = await run_to_its_end(two)
        ftp_found = (await examined(two.config, "ftp_port"))["ftp_port"]
        two.config.write_text(right.replace('"journal.sqlite3"', f'"{one.folder}/journal.sqlite3"'))
        journal = await run_to_its_end(two)
        journal_found = (await examined(two.config, "agent"))["agent"]
        own_found = await examined(one.config, "agent", "ftp_port")

        assert one.remote_io.coils[READY]
        who = words_of(one)

    assert (ftp[0], journal[0]) == (75, 75), (ftp, journal)
    assert f"images.ftp.port: another edge-agent has port {one.ftp_port} of 127.0.0.1: {who}" in ftp[1]
    assert f"another edge-agent holds the journal {one.folder}/journal.sqlite3: {who}" in journal[1]
    assert (ftp_found["result"], journal_found["result"]) == ("fail", "fail")
    assert ftp_found["evidence"].endswith(f"is in use by {who}")
    assert f"is that of another line: {who}" in journal_found["evidence"]
    assert [found["result"] for found in own_found.values()] == ["ok", "ok"]


async def test_an_agent_that_was_killed_comes_back_at_its_port_at_once(tmp_path: Path, thumbnail_bundle: Path) -> None:
    port = free_port()
    async with line(place(tmp_path, "one"), thumbnail_bundle, start=False) as at:
        add(at, f"[web]\nport = {port}\n")
        await at.start_agent()
        await at.until_ready(_READY_WITHIN_S)
        await until_answers(port)
        assert at.agent is not None
        # Somebody looks: the old page's connection lingers on after it, as a browser's does.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"event: state"), 60)

        (page,) = pages_of(at.agent.pid)
        at.agent.send_signal(signal.SIGKILL)
        await at.agent.wait()
        await at.start_agent()
        await at.until("READY again", lambda: at.log_text().count('"state": "READY"') == 2, _READY_WITHIN_S)
        await at.until("the end of the old page", lambda: command_of(page) == b"", within_s=60)
        writer.close()
        await until_answers(port)
        found = (await examined(at.config, "page_ports"))["page_ports"]

        assert at.agent.returncode is None
        assert (found["result"], found["evidence"]) == ("ok", f"127.0.0.1:{port} is the running agent's")


async def test_another_program_at_the_page_port_costs_the_page_alone_and_is_named(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with line(place(tmp_path, "one"), thumbnail_bundle, start=False) as at:
            add(at, f"[web]\nport = {port}\n")
            await at.start_agent()
            await at.until_ready(_READY_WITHIN_S)
            await at.until("a word on the port", lambda: "page_ended" in at.log_text(), within_s=120)
            found = (await examined(at.config, "page_ports"))["page_ports"]

            assert at.remote_io.coils[READY]
            assert f"operator page: 127.0.0.1:{port} cannot be listened on" in at.log_text()
            assert "in use, by process" in at.log_text()
            assert found["result"] == "fail"
            assert f"127.0.0.1:{port} is in use by process" in found["evidence"]

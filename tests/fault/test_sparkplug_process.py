"""The publishing process as an edge node: killed, started again, beside an agent that tells how it stands and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from drivers.base import Published
from edge_agent.feed.telling import Looked
from edge_agent.publishing.keeper import keep_publishing
from edge_agent.publishing.outbox import Outbox
from edge_agent.settings import SparkplugSettings
from edge_agent.store.journal import Journal
from edge_agent.wiring.free_ports import free_port
from tests.publishing import Written, until
from tests.security.web_site import part_row, web_settings
from tests.sparkplug_site import GROUP, Host, Mosquitto, agent_state, begun, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_agent.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    at = Mosquitto(free_port(), tmp_path)
    at.start()
    yield at
    at.stop()


def with_sparkplug(folder: Path, broker: Mosquitto) -> Settings:
    sparkplug = SparkplugSettings(host="127.0.0.1", port=broker.port, group=GROUP)
    return web_settings(folder).model_copy(update={"sparkplug": sparkplug, "web": None})


@contextmanager
def publisher(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_agent.publishing"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(settings.model_dump_json().encode() + b"\n")
    process.stdin.write(agent_state(program=3).model_dump_json().encode() + b"\n")
    process.stdin.flush()
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdin.close()


def test_kill_9_is_a_death_by_the_will_and_nothing_is_lost(tmp_path: Path, broker: Mosquitto) -> None:
    settings = with_sparkplug(tmp_path, broker)
    written = Written(settings.store.journal)
    begun(settings.store.journal)
    host = Host(broker.port)
    with host.listening():
        for life in range(3):
            with publisher(settings) as process:
                first = 100 * life + 1
                until(lambda life=life: len(host.of("DBIRTH")) == life + 1)
                written.parts(first, first + 59)
                until(lambda seen=first + 20: seen in host.parts)
                os.kill(process.pid, signal.SIGKILL)  # in the middle of what is sent
                written.parts(first + 60, first + 99)
                until(lambda life=life: len(host.of("NDEATH")) == life + 1)
        with publisher(settings):
            until(lambda: 300 in host.parts)
    written.close()

    assert [birth.value("bdSeq") for birth in host.of("NBIRTH")] == [0, 1, 2, 3]
    assert [death.value("bdSeq") for death in host.of("NDEATH")[:3]] == [0, 1, 2]
    assert set(host.parts) == set(range(1, 301))
    births = [at for at, message in enumerate(host.messages) if message.kind == "NBIRTH"]
    for begin, end in zip(births, [*births[1:], len(host.messages)], strict=True):
        life = host.messages[begin:end]
        in_order(life)
        seqs = [message.value("Part/Seq") for message in life if message.kind == "DDATA"]
        assert seqs == sorted(seqs)
        flags = [message.is_historical for message in life if message.kind == "DDATA"]
        assert flags == sorted(flags, reverse=True)  # history, then what happens


async def test_the_process_tells_how_the_agent_stands_and_dies_with_it(tmp_path: Path, broker: Mosquitto) -> None:
    settings = with_sparkplug(tmp_path, broker)
    journal = Journal.open(settings.store.journal)
    Outbox(settings.store.journal, "sparkplug").next(1)
    stands = Looked("FAULT", {"controller": "no link"}, is_simulated=True, archive_lost=0, archive_pruned=0)
    host = Host(broker.port)
    with host.listening():
        try:
            async with keep_publishing(settings, lambda: stands, journal.event):
                await journal.append(part_row(1))
                await journal.publication(1, Published.PUBLISHED, 100.6)
                await _soon(lambda: host.parts == [1] and _line(host, "Line/State") == "FAULT")
                assert _line(host, "Line/Why") == "controller: no link"
                assert _line(host, "Line/Simulated") is True
                stands = Looked("READY", {"controller": ""}, is_simulated=True, archive_lost=0, archive_pruned=0)
                await _soon(lambda: _line(host, "Line/State") == "READY" and _line(host, "Line/Why") == "")
            await _soon(lambda: host.kinds[-1] == "NDEATH")
        finally:
            journal.close()


def _line(host: Host, name: str) -> object:
    """What the host knows of a metric now; None before it knows any."""
    told = [message for message in host.messages if message.kind in ("NBIRTH", "NDATA") and name in message.names]
    return told[-1].value(name) if told else None


async def _soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)

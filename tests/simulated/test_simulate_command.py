"""`edge-agent simulate` as a person and an independent client find it: sockets, a serial line, faults by name."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import serial

from edge_agent.wiring.free_ports import free_port
from tests.fault.keyence_peer import bmp
from tests.simulated.simulated_wire import connected, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START_S = 90.0
"""A machine that does many things at once takes long to start one more program."""
TOML = """\
schema_version = 1
[line]
deadline_ms = 500
min_part_spacing_ms = 1000
[controller]
port = {controller}
result_items = ["count", "judgement", "value:pitch_mm:+3"]
[images]
spool = "spool"
image_type = "NORMAL"
[images.folder]
path = "drop"
[output]
host = "127.0.0.1"
port = {output}
[[bundle]]
program = 7
path = "bundle"
[store]
journal = "journal.sqlite3"
archive = "archive"
[log]
format = "json"
"""


@asynccontextmanager
async def simulate(
    folder: Path, *arguments: str, changes: tuple[tuple[str, str], ...] = ()
) -> AsyncIterator[tuple[int, dict[str, object], list[str]]]:
    """The command port, what was said when the peers were up, and every line that is said."""
    port, said = free_port(), list[str]()
    text = TOML.format(controller=port, output=free_port())
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "line.toml").write_text(text)
    (folder / "shown").mkdir()
    (folder / "shown" / "part.bmp").write_bytes(bmp())
    command = (sys.executable, "-m", "edge_agent", "simulate", "-c", "line.toml", "--images", "shown", *arguments)
    peers = await asyncio.create_subprocess_exec(*command, cwd=folder, stderr=asyncio.subprocess.PIPE)
    assert peers.stderr is not None

    async def read() -> None:
        assert peers.stderr is not None
        async for line in peers.stderr:
            said.append(line.decode())

    reading = asyncio.create_task(read())
    try:
        await until(lambda: any("simulated_peers_up" in line for line in said), within_s=START_S)
        yield port, json.loads(next(line for line in said if "simulated_peers_up" in line)), said
    finally:
        peers.terminate()
        assert await peers.wait() == 0, said
        await reading


async def test_the_same_controller_speaks_over_tcp_and_over_a_serial_line_to_anybody(tmp_path: Path) -> None:
    async with simulate(tmp_path, "--serial", "--connections", "many") as (port, up, _):

        def ask_over_the_line(*commands: bytes) -> list[bytes]:
            with serial.Serial(str(up["serial"]), timeout=3) as line:
                replies = []
                for command in commands:
                    line.write(command + b"\r")
                    replies.append(line.read_until(b"\r"))
                return replies

        async with connected(port) as one, connected(port) as other:
            assert await one.ask("STW,1,AB-7") == "STW"
            assert await other.ask("STR,1") == "STR,AB-7"
            over_the_line = await asyncio.to_thread(ask_over_the_line, b"PR", b"STR,1", b"XX", b"PW,1,1000")
            assert await one.ask("T1") == "T1"
            result = await one.line()

    assert over_the_line == [b"PR,1,007\r", b"STR,AB-7\r", b"ER,XX,02\r", b"ER,PW,22\r"]
    assert result == "0000000001,0,+0000004.953"


async def test_faults_come_by_name_and_are_said(tmp_path: Path) -> None:
    faults = ("--fault", "lost-result@1", "--fault", "io-drop@1")
    async with simulate(tmp_path, *faults) as (port, up, said), connected(port) as client:
        assert await client.ask("T1") == "T1"
        await until(lambda: sum('"event": "fault"' in line for line in said) == 2)
        assert await client.ask("EC,after") == "EC,after"
        while await client.ask("T1") != "T1":  # not ready yet
            pass
        assert await client.line() == "0000000002,0,+0000004.954"
    told = [json.loads(line) for line in said if '"event": "fault"' in line]

    assert up["faults"] == ["lost-result@1", "io-drop@1"]
    assert [entry["fault"] for entry in told] == ["LOST_RESULT", "IO_DROP"]
    images = sorted(path.name.split("_", 2)[2] for path in (tmp_path / "drop").rglob("*.bmp"))
    assert images[:2] == ["0000000001_CAM1_NORMAL_OK.bmp", "0000000001_CAM1_SHAPE1_OK.bmp"]


async def test_a_fault_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "line.toml").write_text(TOML.format(controller=1, output=2))
    command = (sys.executable, "-m", "edge_agent", "simulate", "-c", "line.toml", "--fault", "lost-imag")
    ran = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(START_S):
        _, said = await ran.communicate()

    assert ran.returncode == 64
    assert b"did you mean lost-image?" in said


async def test_it_listens_where_it_says_and_says_where_line_toml_has_others(tmp_path: Path) -> None:
    elsewhere = ('host = "127.0.0.1"', 'host = "192.0.2.20"')
    async with simulate(tmp_path, changes=(elsewhere,)) as (port, up, said):
        assert up["controller"] == f"127.0.0.1:{port}"
        for key in ("controller", "remote_io"):
            host, _, number = str(up[key]).rpartition(":")
            _, writer = await asyncio.open_connection(host, int(number))
            writer.close()
            await writer.wait_closed()
        (told,) = [json.loads(line) for line in said if "not_at_these_addresses" in line]

    assert told["named"] == ["output.host = 192.0.2.20"]
    assert "127.0.0.1" in told["hint"]


async def test_where_line_toml_has_loopback_nothing_is_to_be_said(tmp_path: Path) -> None:
    async with simulate(tmp_path) as (_, _, said):
        assert not any("not_at_these_addresses" in line for line in said)


async def test_the_belt_takes_its_spacing_from_line_toml(tmp_path: Path) -> None:
    """What is seen of it: how far apart the controller's parts are, by the time at which each left."""
    faster = (
        ("min_part_spacing_ms = 1000", "min_part_spacing_ms = 700"),
        ("deadline_ms = 500", "deadline_ms = 200"),
        ("[output]\n", "[output]\npass_hold_ms = 100\nwatchdog_ms = 300\n"),
    )
    async with simulate(tmp_path, "--without-ready", changes=faster) as (_, _, said):
        await until(lambda: sum("part_left" in line for line in said) >= 4, within_s=START_S)
        left = [datetime.fromisoformat(json.loads(line)["timestamp"]) for line in said if "part_left" in line]

    apart = [(after - before).total_seconds() for before, after in pairwise(left)]
    assert min(apart) > 0.7
    assert statistics.median(apart) < 1.6, "2 s was the belt's own idea"

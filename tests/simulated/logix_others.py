"""Logix controllers that nobody here wrote: cm-ethernetip's, in this process, and cpppo's, a process of its own.

cpppo is under the GPL: it is started as a program and never imported. Its clients' other end is a real socket, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
import sys
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from ethernetip.cip.identity_info import IdentityInfo
from ethernetip.logix.data_types import DINT, DWORD, INT
from ethernetip.logix.logix_dispatcher import LogixDispatcher
from ethernetip.logix.tag_client import TagClient
from ethernetip.protocol.eip_adapter import EipAdapter

from drivers.ethernet_ip import Tags
from drivers.simulated.tag_plc import SimulatedLogixPlc
from drivers.timing import monotonic_s
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.simulated.plc import PlcPart

__all__ = ["NEEDS_CPPPO", "SERVERS", "TAGS", "Gate", "cm_server", "cpppo_process", "cpppo_server", "gate", "served"]

TAGS = Tags("AgentToPlc", "PlcToAgent", "PlcInputs")
NEEDS_CPPPO = pytest.mark.skipif(
    find_spec("cpppo") is None, reason="cpppo is not installed: pip install cpppo (it is in the extra dev)"
)
SERVERS = [pytest.param("cpppo", marks=NEEDS_CPPPO), "cm-ethernetip"]
_OF_CPPPO = ("AgentToPlc=DINT[8]", "PlcToAgent=DINT[5]", "PlcInputs=DINT[2]", "Short=DINT[4]", "Narrow=INT[8]")


@asynccontextmanager
async def served(name: str) -> AsyncIterator[int]:
    """One of ``SERVERS``, and the port that it listens at."""
    async with cpppo_server() if name == "cpppo" else cm_server() as port:
        yield port


@asynccontextmanager
async def cm_server() -> AsyncIterator[int]:
    dispatcher = LogixDispatcher(identity=IdentityInfo(product_name="another controller"))
    for tag, kind, elements in (
        (TAGS.agent, DINT, 8),
        (TAGS.plc, DINT, 5),
        ("PlcInputs", DWORD, 2),
        ("Short", DINT, 4),
        ("Narrow", INT, 8),
    ):
        dispatcher.tags.add_tag(tag, kind, elements)
    controller = EipAdapter(dispatcher, IdentityInfo(product_name="another controller"))
    talks: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As its own ``listen`` does, which leaves its tasks behind."""
        talks[writer] = asyncio.ensure_future(controller._handle_client(reader, writer))
        await asyncio.wait([talks[writer]])

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer, task in talks.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*talks.values(), return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in talks), return_exceptions=True)


@asynccontextmanager
async def cpppo_server(port: int = 0) -> AsyncIterator[int]:
    async with cpppo_process(port) as (_, at):
        yield at


@asynccontextmanager
async def cpppo_process(port: int = 0) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The process and its port. It says where it listens as soon as it does; it is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cpppo.server.enip", "-A", "-U", "-a", f"127.0.0.1:{port}", *_OF_CPPPO),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            said = re.search(rb"TCP Server address = \('127\.0\.0\.1', (\d+)\)", await process.stdout.readline())
        assert said is not None
        yield process, int(said[1])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Gate(SimulatedLogixPlc):
    """The program of a PLC with a gate, which listens nowhere: its tags are another server's."""

    def __init__(self) -> None:
        super().__init__()
        self.carried: set[int] = set()

    async def next_part(self) -> PlcPart:
        """A part comes to the gate; returns when its number stands in the tag."""
        part = self.part_arrives()
        await until(lambda: part.seq in self.carried)
        return part

    async def carry(self, client: TagClient) -> None:
        """One scan: the agent's tag is read, the PLC's is written."""
        block = await client.read_tag_raw(f"{TAGS.agent}[0]", 8)
        self.words |= dict(enumerate(struct.unpack("<8I", block[2:])))
        self.scan(monotonic_s())
        own = tuple(self.words[at] for at in range(8, 13))
        await client.write_raw(f"{TAGS.plc}[0]", DINT, 5, struct.pack("<5I", *own))
        self.carried.add(own[0])


@asynccontextmanager
async def gate(port: int) -> AsyncIterator[Gate]:
    """Its program runs over the tags of such a server, and goes on where the server was gone and came back."""
    program = Gate()
    running = asyncio.create_task(_run(program, port))
    try:
        yield program
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _run(program: Gate, port: int) -> None:
    while True:
        with contextlib.suppress(OSError, RuntimeError, asyncio.IncompleteReadError):
            async with TagClient("127.0.0.1", port, path="1,0") as client:
                while True:
                    await program.carry(client)
                    await asyncio.sleep(0.01)  # its scan
        await asyncio.sleep(0.02)

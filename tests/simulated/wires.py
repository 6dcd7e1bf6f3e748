"""A line with a proxy on each of its wires: what goes between the agent and its peers can be held up and bent."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.byte_proxy import Bend, ByteProxy, Trouble, Way

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from tests.simulated.line import Line

__all__ = ["PROXY_HOST", "Wires", "faithful_troubles", "unfaithful_troubles", "wired"]

PROXY_HOST = "127.0.0.2"
"""Where the controller finds its FTP server: data connections go to the same port of the same host."""
_AGENT_HOST = "127.0.0.1"
_PASSIVE_PORTS = 16
_BYTES = {"command": 60, "output": 60, "control": 150, "data": 57_000}
"""A trouble strikes within so many: what one part takes."""
_LONGEST_S = 1.5
_FAITHFUL = (Bend.DELAYED, Bend.SPLIT, Bend.MERGED, Bend.REPEATED, Bend.CUT, Bend.HALF_OPEN)
_UNFAITHFUL = (Bend.LOST, Bend.GARBLED)


@dataclass(frozen=True, slots=True)
class Wires:
    """Command port and remote I/O, which the agent calls; control and data of FTP, by which the controller calls it."""

    command: ByteProxy
    output: ByteProxy
    control: ByteProxy
    data: ByteProxy

    @asynccontextmanager
    async def pulled(self) -> AsyncIterator[None]:
        """Nothing moves on the controller's wires: both its images and its results wait."""
        held = (self.command, self.control, self.data)
        for wire in held:
            wire.hold()
        try:
            yield
        finally:
            for wire in held:
                wire.go_on()

    def by_name(self, name: str) -> ByteProxy:
        """The proxy of that wire."""
        proxy: ByteProxy = getattr(self, name)
        return proxy


@asynccontextmanager
async def wired(at: Line) -> AsyncIterator[Wires]:
    """Put the proxies in, before the agent starts. The line was made with ``ftp_host=PROXY_HOST``."""
    passive = _free_ports()
    async with (
        ByteProxy((_AGENT_HOST, at.controller.port)) as command,
        ByteProxy((_AGENT_HOST, at.remote_io.port)) as output,
        ByteProxy((_AGENT_HOST, at.ftp_port), host=PROXY_HOST) as control,
        ByteProxy(*((_AGENT_HOST, port) for port in passive), host=PROXY_HOST) as data,
    ):
        text = at.config.read_text()
        for theirs, ours in ((at.controller.port, command.port), (at.remote_io.port, output.port)):
            text = text.replace(f"port = {theirs}\n", f"port = {ours}\n")
        text = text.replace("[images.ftp]\n", f"[images.ftp]\npassive_ports = [{passive[0]}, {passive[-1]}]\n")
        at.config.write_text(text)
        yield Wires(command, output, control, data)


def _free_ports() -> range:
    """Some in a row that nobody listens on, below those that outgoing connections get."""
    while True:
        first = random.randrange(20_000, 30_000)
        ports = range(first, first + _PASSIVE_PORTS)
        with ExitStack() as bound:
            try:
                for port in ports:
                    bound.enter_context(socket.create_server((PROXY_HOST, port)))
            except OSError:
                continue
        return ports


def faithful_troubles(draw: random.Random) -> Iterator[tuple[str, Trouble]]:
    """Of every wire and way each that TCP does to a stream, in any order; then again.

    Bytes that are lost or altered are among them where a checksum of the message or its length tells. A result line, an
    FTP command and a Modbus request have none: there TCP's own is all there is.
    """
    told = [("output", Way.TO_CALLER, bend) for bend in _UNFAITHFUL]
    told.append(("data", Way.TO_CALLED, Bend.LOST))
    both = [(wire, way, bend) for wire in ("command", "output", "control") for way in Way for bend in _FAITHFUL]
    yield from _drawn(draw, [*both, *(("data", Way.TO_CALLED, bend) for bend in _FAITHFUL), *told])


def unfaithful_troubles(draw: random.Random) -> Iterator[tuple[str, Trouble]]:
    """Bytes lost or altered on their way to the agent where nothing tells: counts and names become others."""
    ways = (("command", Way.TO_CALLER), ("control", Way.TO_CALLED))
    yield from _drawn(draw, [(wire, way, bend) for wire, way in ways for bend in _UNFAITHFUL])


def _drawn(draw: random.Random, kinds: Iterable[tuple[str, Way, Bend]]) -> Iterator[tuple[str, Trouble]]:
    kinds = list(kinds)
    while True:
        draw.shuffle(kinds)
        for wire, way, bend in kinds:
            at, for_s = draw.randrange(_BYTES[wire]), draw.uniform(0.05, _LONGEST_S)
            yield wire, Trouble(bend, way, at, for_s, bit=draw.randrange(8))

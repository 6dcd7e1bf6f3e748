"""The agent's side of its desk: a local socket where a person at this PC asks the running agent."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from drivers.base import CommandRefused, DriverError
from drivers.timing import Deadline
from edge_agent.desk.client import PATH_MAX_BYTES
from edge_agent.desk.requests import LINE_MAX_BYTES, request_of, say
from edge_agent.errors import EdgeAgentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

__all__ = ["Desk", "serve_desk"]

log = structlog.get_logger(__name__)
_VISITS_MAX = 4
_HEARD_MAX = 256


class Desk(Protocol):
    """All that a person can have of the agent at its desk."""

    def status(self) -> Mapping[str, object]:
        """How line and link stand."""
        ...

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        """One command to the controller, between the agent's own. Raises DriverError, ValueError."""
        ...

    async def note(self, kind: str, detail: str) -> None:
        """Write an event of this kind into the journal. Raises DriverError where it cannot."""

    async def bypass(self, *, begins: bool, by: str, why: str, for_s: float) -> Mapping[str, object]:
        """Let a person answer for the parts, or end that; gives the status. Raises EdgeAgentError."""
        ...

    async def acknowledge(self, by: str) -> Mapping[str, object]:
        """A person has looked after a rejected part that was not seen leaving; the status, and which part it was."""
        ...

    def listen(self, on_line: Callable[[tuple[str, ...]], object]) -> Callable[[], None]:
        """Hear every result line from now on; gives what ends it."""
        ...


@asynccontextmanager
async def serve_desk(path: Path, desk: Desk) -> AsyncIterator[None]:
    """Serve until the block ends. A desk that cannot be opened is said and does without: it judges no part."""
    visits: set[asyncio.Task[None]] = set()

    def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.get_running_loop().create_task(_serve(desk, reader, writer, has_room=len(visits) < _VISITS_MAX))
        visits.add(visit)
        visit.add_done_callback(visits.discard)
        visit.add_done_callback(lambda _: writer.transport.abort())  # also where it ended before it began

    try:
        server = await _bind(path, visited)
    except OSError as err:
        log.warning("desk_not_open", path=str(path), why=str(err), hint="edge-agent cvx cannot ask this agent")
        yield
        return
    try:
        yield
    finally:
        server.close()
        for visit in tuple(visits):
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _serve(desk: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, has_room: bool) -> None:
    try:
        if has_room:
            await _talk(desk, reader, writer)
    except (ConnectionError, ValueError, asyncio.CancelledError):
        pass  # the visitor went away, sent a line without an end, or the agent stops
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def _bind(path: Path, visited: Any) -> asyncio.Server:
    """A socket of our own with mode 0600 from its first moment. The journal's lock says that no other agent has it."""
    if len(os.fsencode(path)) > PATH_MAX_BYTES:
        raise OSError(f"the name of the socket is longer than {PATH_MAX_BYTES} bytes: move store.journal")
    _remove(path)
    mask = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(visited, path, limit=LINE_MAX_BYTES)
    finally:
        os.umask(mask)


async def _talk(desk: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        try:
            request = request_of(line)
            if request["ask"] == "listen":
                await _tell_lines(desk, reader, writer)
                return
            answer = await _answer(desk, request)
        except (DriverError, EdgeAgentError, ValueError) as err:
            code = err.code if isinstance(err, CommandRefused) else ""
            hint = f" ({err.hint})" if isinstance(err, EdgeAgentError) and err.hint else ""
            answer = {"ok": False, "error": type(err).__name__, "code": code, "message": f"{err}{hint}"}
        await say(writer, answer)


async def _answer(desk: Desk, request: dict[str, Any]) -> dict[str, object]:
    if request["ask"] == "status":
        return {"ok": True, "status": dict(desk.status())}
    if request["ask"] == "note":
        log.info("desk_note", kind=request["kind"])
        await desk.note(request["kind"], request["detail"])
        return {"ok": True}
    if request["ask"] == "acknowledge":
        log.info("desk_acknowledge", by=request["by"])
        return {"ok": True, "status": dict(await desk.acknowledge(request["by"]))}
    if request["ask"] == "bypass":
        log.info("desk_bypass", do=request["do"], by=request["by"])
        asked = {"by": request["by"], "why": request["why"], "for_s": request["for_s"]}
        return {"ok": True, "status": dict(await desk.bypass(begins=request["do"] == "begin", **asked))}
    within_s = request.get("within_s")
    by = None if within_s is None else Deadline.after(within_s)
    log.info("desk_command", name=request["name"], args=request["args"])
    values = await desk.command(request["name"], *request["args"], by=by)
    return {"ok": True, "values": list(values)}


async def _tell_lines(desk: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Every line to a client that reads; one that does not is told less, never waited for."""
    heard: asyncio.Queue[tuple[str, ...]] = asyncio.Queue(_HEARD_MAX)

    def on_line(fields: tuple[str, ...]) -> None:
        with suppress(asyncio.QueueFull):
            heard.put_nowait(fields)

    stop = desk.listen(on_line)
    gone = asyncio.ensure_future(reader.read(1))
    line = asyncio.ensure_future(heard.get())
    try:
        await say(writer, {"ok": True})
        while not gone.done():
            await asyncio.wait((line, gone), return_when=asyncio.FIRST_COMPLETED)
            if line.done():
                await say(writer, {"ok": True, "fields": list(line.result())})
                line = asyncio.ensure_future(heard.get())
    finally:
        stop()
        gone.cancel()
        line.cancel()
        await asyncio.gather(gone, line, return_exceptions=True)

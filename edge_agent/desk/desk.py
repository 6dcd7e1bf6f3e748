"""The agent's desk: a local socket where a person at this PC asks the running agent about its controller.

A second connection to a controller may throw the agent's out, so whoever wants something of the controller asks here
first. One JSON object a line, UTF-8, both ways; ``"v": 1`` in each. The socket lies beside the journal, mode 0600.

    {"v":1, "ask":"status"}
    {"v":1, "ask":"command", "name":"EC", "args":["hello"], "within_s":2.0}
    {"v":1, "ask":"note", "kind":"CHALLENGE", "detail":"..."}     a record for the journal
    {"v":1, "ask":"bypass", "do":"begin", "by":"A. Rossi", "why":"lamp replaced", "for_s":900}     or "do":"end"
    {"v":1, "ask":"acknowledge", "by":"A. Rossi"}
    {"v":1, "ask":"listen"}                      then a line for each result, until the client goes
    <- {"v":1, "ok":true, ...}                   the status, or "values"; listen: "fields"
    <- {"v":1, "ok":false, "error":"NotNow", "code":"03", "message":"..."}
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from drivers.base import CommandRefused, DriverError
from drivers.timing import Deadline
from edge_agent.errors import EdgeAgentError, Unavailable
from edge_agent.files.owners import as_owner, this_command
from edge_agent.files.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

__all__ = ["Desk", "DeskClient", "DeskError", "agent_pid", "agent_runs", "desk_path", "serve_desk"]

log = structlog.get_logger(__name__)

_VERSION = 1
_LINE_MAX_BYTES = 64 * 1024
_VISITS_MAX = 4
_WITHIN_MAX_S = 60.0
_ARGS_MAX = 32
_HEARD_MAX = 256
_NOTES = ("BUNDLE_CHOSEN", "CHALLENGE", "LIMIT")
_NOTE_MAX = 2000  # what the journal holds of a text
_NAME_MAX = 200
_PATH_MAX_BYTES = 100  # a socket's name has to fit into 108


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


class DeskError(DriverError):
    """What the agent answered instead: the name of its error, the controller's code, and the words."""

    def __init__(self, kind: str, code: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code


def desk_path(journal: Path) -> Path:
    """Where the agent with this journal has its desk, by whatever path the journal is named."""
    journal = journal.resolve()
    return journal.with_name(journal.name + ".desk")


async def agent_runs(journal: Path) -> bool:
    """Whether an agent with this journal runs, also one that this user may not ask."""
    return (await agent_pid(journal)) is not None


async def agent_pid(journal: Path) -> int | None:
    """The process of the agent with this journal; 0 where this user may not ask it, None where none runs."""
    try:
        _, writer = await asyncio.open_unix_connection(desk_path(journal))
    except PermissionError:
        return 0
    except OSError:  # no socket, nobody behind it, or a name too long for one: then whoever asks it is told
        return None
    try:
        credentials = struct.Struct("3i")
        told = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
        return int(credentials.unpack(told)[0])
    finally:
        writer.close()


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
    if len(os.fsencode(path)) > _PATH_MAX_BYTES:
        raise OSError(f"the name of the socket is longer than {_PATH_MAX_BYTES} bytes: move store.journal")
    _remove(path)
    mask = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(visited, path, limit=_LINE_MAX_BYTES)
    finally:
        os.umask(mask)


async def _talk(desk: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        try:
            request = _request(line)
            if request["ask"] == "listen":
                await _tell_lines(desk, reader, writer)
                return
            answer = await _answer(desk, request)
        except (DriverError, EdgeAgentError, ValueError) as err:
            code = err.code if isinstance(err, CommandRefused) else ""
            hint = f" ({err.hint})" if isinstance(err, EdgeAgentError) and err.hint else ""
            answer = {"ok": False, "error": type(err).__name__, "code": code, "message": f"{err}{hint}"}
        await _say(writer, answer)


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
        await _say(writer, {"ok": True})
        while not gone.done():
            await asyncio.wait((line, gone), return_when=asyncio.FIRST_COMPLETED)
            if line.done():
                await _say(writer, {"ok": True, "fields": list(line.result())})
                line = asyncio.ensure_future(heard.get())
    finally:
        stop()
        gone.cancel()
        line.cancel()
        await asyncio.gather(gone, line, return_exceptions=True)


def _request(line: bytes) -> dict[str, Any]:
    """The request, checked to the last field. Raises ValueError."""
    try:
        request = strict_json(line, most_bytes=_LINE_MAX_BYTES)
    except ValueError as err:
        raise ValueError(f"a request is one JSON object on one line: {err}") from None
    if not isinstance(request, dict) or request.get("v") != _VERSION:
        raise ValueError(f'a request is a JSON object with "v": {_VERSION}')
    if request.get("ask") not in ("status", "command", "listen", "note", "bypass", "acknowledge"):
        raise ValueError('"ask" is "status", "command", "listen", "note", "bypass" or "acknowledge"')
    if request["ask"] != "command":
        return _other_request(request)
    name, args, within_s = request.get("name"), request.setdefault("args", []), request.get("within_s")
    if not isinstance(name, str):
        raise ValueError('a command has a "name"')  # noqa: TRY004 - the client's mistake, said as all of them
    if not isinstance(args, list) or len(args) > _ARGS_MAX or not all(isinstance(arg, str) for arg in args):
        raise ValueError(f'"args" is a list of at most {_ARGS_MAX} texts')
    is_number = isinstance(within_s, (int, float)) and not isinstance(within_s, bool)
    if within_s is not None and not (is_number and 0 < within_s <= _WITHIN_MAX_S):
        raise ValueError(f'"within_s" is a number above 0, at most {_WITHIN_MAX_S:g}')
    return request


def _other_request(request: dict[str, Any]) -> dict[str, Any]:
    """Anything but a command to the controller."""
    if request["ask"] == "bypass":
        return _bypass_request(request)
    if request["ask"] == "acknowledge" and not _is_name(request.get("by")):
        raise ValueError('"by" is a name of at most 200 characters')
    if request["ask"] == "note":
        _check_note(request)
    return request


def _check_note(request: dict[str, Any]) -> None:
    detail = request.get("detail")
    if request.get("kind") not in _NOTES or not isinstance(detail, str) or len(detail) > _NOTE_MAX:
        raise ValueError(f'a note has a "kind" ({", ".join(_NOTES)}) and a "detail" of at most {_NOTE_MAX}')


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value.strip()) <= _NAME_MAX


def _bypass_request(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("do") not in ("begin", "end"):
        raise ValueError('"do" is "begin" or "end"')
    by, why, for_s = request.get("by"), request.setdefault("why", ""), request.setdefault("for_s", 0.0)
    if not all(isinstance(text, str) and text.isprintable() for text in (by, why)):
        raise ValueError('a bypass has a text "by" and a text "why", each on one line')
    if isinstance(for_s, bool) or not isinstance(for_s, (int, float)):
        raise ValueError('"for_s" is a number of seconds')  # noqa: TRY004
    return request


async def _say(writer: asyncio.StreamWriter, answer: Mapping[str, object]) -> None:
    writer.write(json.dumps({"v": _VERSION, **answer}).encode() + b"\n")
    await writer.drain()


class DeskClient:
    """A visitor of a running agent's desk."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[DeskClient | None]:
        """The desk of the agent that runs; None if none does.

        Raises Unavailable if there is one that is not ours to ask.
        """
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=_LINE_MAX_BYTES)
        except (FileNotFoundError, ConnectionRefusedError):
            yield None
            return
        except OSError as err:
            raise Unavailable(
                f"the running agent cannot be asked at {path}: {err}",
                hint=f"type it as the agent's own user: {as_owner(path.parent, this_command())}",
            ) from err
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def status(self) -> dict[str, object]:
        """How line and link stand."""
        status: dict[str, object] = (await self._ask({"ask": "status"}))["status"]
        return status

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        """One command by way of the agent. Raises DeskError."""
        request: dict[str, object] = {"ask": "command", "name": name, "args": list(args)}
        if by is not None:
            request["within_s"] = max(0.001, by.left_s())
        return tuple((await self._ask(request))["values"])

    async def note(self, kind: str, detail: str) -> None:
        """Have a record written into the journal. Raises DeskError."""
        await self._ask({"ask": "note", "kind": kind, "detail": detail})

    async def bypass(self, do: str, by: str, why: str = "", for_s: float = 0.0) -> dict[str, object]:
        """Begin or end a bypass; the status afterwards. Raises DeskError."""
        asked = {"ask": "bypass", "do": do, "by": by, "why": why, "for_s": for_s}
        status: dict[str, object] = (await self._ask(asked))["status"]
        return status

    async def acknowledge(self, by: str) -> dict[str, object]:
        """A person has looked; the status, with ``acknowledged_part``. Raises DeskError."""
        status: dict[str, object] = (await self._ask({"ask": "acknowledge", "by": by}))["status"]
        return status

    async def lines(self) -> AsyncIterator[tuple[str, ...]]:
        """Result lines, until the agent stops."""
        await self._ask({"ask": "listen"})
        while line := await self._reader.readline():
            yield tuple(json.loads(line)["fields"])

    async def _ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        await _say(self._writer, request)
        line = await self._reader.readline()
        if not line:
            raise DeskError("NotConnected", "", "the agent stopped, or it has too many visitors")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise DeskError(answer["error"], answer["code"], answer["message"])
        return answer

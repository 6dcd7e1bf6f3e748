"""The other side of the desk: a command on this PC that asks the running agent."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from drivers.base import DriverError
from edge_agent.desk.requests import LINE_MAX_BYTES, say
from edge_agent.errors import Unavailable
from edge_agent.files.owners import as_owner, this_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from drivers.timing import Deadline

__all__ = ["PATH_MAX_BYTES", "DeskClient", "DeskError", "agent_pid", "agent_runs", "desk_path"]

PATH_MAX_BYTES = 100  # a socket's name has to fit into 108


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
            reader, writer = await asyncio.open_unix_connection(path, limit=LINE_MAX_BYTES)
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
        await say(self._writer, request)
        line = await self._reader.readline()
        if not line:
            raise DeskError("NotConnected", "", "the agent stopped, or it has too many visitors")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise DeskError(answer["error"], answer["code"], answer["message"])
        return answer

"""What ``edge-agent cvx`` does: through the agent that runs, or, when none does, with the controller itself."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from drivers.base import CommandRefused, DeadlineMissed, DriverError, NotConnected
from edge_agent.desk.client import DeskClient, DeskError, desk_path
from edge_agent.errors import EdgeAgentError, Unavailable, UsageError
from edge_agent.wiring.controller import controller_commands, open_controller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from drivers.timing import Deadline
    from edge_agent.settings import Settings

__all__ = ["Answer", "Refused", "changes_something", "check_name", "listen", "send", "status"]

_HEARD_MAX = 1024
_READINGS = {"RM": "mode", "PR": "program", "EXR": "execute_condition", "TR": "clock", "TZR": "time_zone"}
"""What a status is made of; one that is refused (in setup mode) is left out."""


class Refused(EdgeAgentError):
    """The controller answered that it will not."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What the controller said, and by which way it was asked: ``agent`` or ``controller``."""

    via: str
    sent: str
    values: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The versioned object of ``--json``."""
        return {"schema_version": 1, "via": self.via, "sent": self.sent, "values": list(self.values)}


class _Controller(Protocol):
    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]: ...


class _Connection(Protocol):
    was_ended_by_peer: bool

    @property
    def error(self) -> DriverError: ...

    async def wait_lost(self) -> None: ...


@dataclass(slots=True)
class _Way:
    """How the controller is reached. ``agent`` is None when no agent runs."""

    agent: DeskClient | None
    controller: _Controller
    lines: Callable[[], AsyncIterator[tuple[str, ...]]]

    @property
    def name(self) -> str:
        return "controller" if self.agent is None else "agent"


def check_name(line: str) -> None:
    """Raise UsageError for a line that does not begin with the name of a command, known or not."""
    name = line.split(",", 1)[0]
    if not re.fullmatch("[A-Z][A-Z0-9]{0,7}", name):
        close = f"did you mean {name.strip().upper()}? " if name.strip().upper() in controller_commands() else ""
        raise UsageError(
            f"{name!r} is no command name: upper-case letters and digits",
            hint=f'{close}a command line looks like "PW,1,002"; edge-agent cvx commands lists them',
        )


def changes_something(line: str) -> bool:
    """Whether a command moves, images, deletes or stores something; one that nobody knows may."""
    row = controller_commands().get(line.split(",", 1)[0])
    return row is None or row.changes


async def send(settings: Settings, line: str) -> Answer:
    """Send a command line as it stands, for example ``EC,hello``.

    Raises Refused, Unavailable, UsageError for a line that could not be one command.
    """
    name, *args = line.split(",")
    async with _way(settings) as way:
        return Answer(way.name, line, await way.controller.command(name, *args))


async def status(settings: Settings) -> dict[str, object]:
    """How controller, link and line stand, as the versioned object of ``--json``."""
    async with _way(settings) as way:
        facts: dict[str, object] = {"schema_version": 1, "via": way.name, "agent": None, "controller": None}
        if way.agent is not None:
            facts["agent"] = await way.agent.status()
        try:
            facts["controller"] = {"version": " ".join(await way.controller.command("VI"))} | {
                key: ",".join(values) async for key, values in _readings(way.controller)
            }
        except DeskError as err:
            if err.code:
                raise
            facts["problem"] = str(err)  # the agent runs and has no link: that is the status
        return facts


async def _readings(controller: _Controller) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
    for name, key in _READINGS.items():
        try:
            yield key, await controller.command(name)
        except (CommandRefused, DeskError) as err:
            if not err.code:
                raise


async def listen(
    settings: Settings, *, most: int | None, seconds: float | None, on_line: Callable[[tuple[str, ...]], None]
) -> int:
    """Show result lines as they come, until ``most`` came or ``seconds`` passed; how many there were."""
    heard = 0
    async with _way(settings) as way:
        try:
            async with asyncio.timeout(seconds):
                async for fields in way.lines():
                    on_line(fields)
                    heard += 1
                    if heard == most:
                        break
        except TimeoutError:
            return heard
    return heard


@asynccontextmanager
async def _way(settings: Settings) -> AsyncIterator[_Way]:
    """The way to the controller; what goes wrong on it in the words of the command line."""
    async with AsyncExitStack() as stack:
        try:
            agent = await stack.enter_async_context(DeskClient.open(desk_path(settings.store.journal)))
            if agent is not None:
                yield _Way(agent, agent, agent.lines)
                return
            heard: asyncio.Queue[tuple[str, ...]] = asyncio.Queue(_HEARD_MAX)

            def on_line(fields: tuple[str, ...]) -> None:
                with suppress(asyncio.QueueFull):
                    heard.put_nowait(fields)

            session = await stack.enter_async_context(open_controller(settings.controller, on_line))
            yield _Way(None, session, lambda: _heard_until_lost(heard, session))
        except (CommandRefused, DeskError) as err:
            if err.code:
                raise Refused(f"the controller refused: {err}", hint=_hint(err.code)) from err
            raise Unavailable(str(err), hint="see edge-agent cvx status") from err
        except (NotConnected, DeadlineMissed) as err:
            table = "[controller]" if settings.controller.serial is None else "[controller.serial]"
            raise Unavailable(str(err), hint=f"look at {table} in line.toml, the cable, the power") from err
        except DriverError as err:
            raise Unavailable(str(err)) from err
        except ValueError as err:
            raise UsageError(str(err), hint='a command line looks like "PW,1,002"') from err


async def _heard_until_lost(
    heard: asyncio.Queue[tuple[str, ...]], session: _Connection
) -> AsyncIterator[tuple[str, ...]]:
    gone, line = asyncio.ensure_future(session.wait_lost()), asyncio.ensure_future(heard.get())
    try:
        while True:
            await asyncio.wait((line, gone), return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                if session.was_ended_by_peer:
                    raise NotConnected(f"{session.error}; some let a newer client throw out the one before")
                raise session.error
            yield line.result()
            line = asyncio.ensure_future(heard.get())
    finally:
        gone.cancel()
        line.cancel()
        await asyncio.gather(gone, line, return_exceptions=True)


def _hint(code: str) -> str:
    return {
        "02": "this controller, or its version, does not know the command",
        "03": "not now: look at READY, at TE, at run or setup mode",
        "22": "look at the number and the range of the parameters",
    }.get(code, "")

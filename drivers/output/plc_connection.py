"""A PLC that is asked over TCP, one request at a time: all of it but what a request is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

from drivers.base import Admit, CommandRefused, DriverError, NotConnected, ProtocolViolation, admit_all
from drivers.output.block import BlockWire
from drivers.transport.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.output.wire import OnLost

__all__ = ["PlcConnection", "Refused"]

T = TypeVar("T")


class Refused(NamedTuple):
    """What a PLC said instead of doing what it was asked: the code as messages write it, and what it means."""

    code: str
    meaning: str


class PlcConnection(BlockWire):
    """A ``BlockWire`` over one ``Exchange``. ``timeout_s`` bounds all that it takes to connect, and each request.

    ``dropped_hint`` says what to look at when the PLC takes a connection and drops it before its first answer.
    """

    inputs_key: str
    """The key of line.toml that says where the PLC gives its inputs, for messages."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float,
        on_lost: OnLost,
        admit: Admit = admit_all,
        dropped_hint: str = "",
    ) -> None:
        self._timeout_s = timeout_s
        self._is_greeted = False
        self._wire = Exchange(host, port, timeout_s=timeout_s, on_lost=on_lost, admit=admit, dropped_hint=dropped_hint)

    @property
    def peer(self) -> str:
        """The PLC, as messages call it."""
        return self._wire.peer

    @property
    def is_up(self) -> bool:
        """As ``DeviceWire.is_up``."""
        return self._is_greeted and self._wire.is_up

    async def open(self) -> None:
        """As ``DeviceWire.open``: the dial, then ``greet``, both together in ``timeout_s``."""
        try:
            # One limit for all of it: a withdrawal waits for this, and must not wait longer for a protocol that needs
            # several exchanges before its first write (docs/decisions/0090).
            async with asyncio.timeout(self._timeout_s):
                await self._wire.open()
                await self.greet()
        except NotConnected:
            raise
        except TimeoutError:
            self.fail(NotConnected(f"no connection to {self.peer} within {self._timeout_s:g} s: {_LOOK_AT}"))
        # Whatever went wrong: nothing was written on this connection, so it counts as one that was never there.
        except DriverError as err:
            self.fail(NotConnected(str(err)))
        self._is_greeted = True

    async def greet(self) -> None:
        """What the PLC wants of a new connection before its first request; nothing, mostly. Raises DriverError."""

    def take(self, name: str, reply: bytes, parse: Callable[[bytes], T | Refused]) -> T:
        """What an answer says. ``parse`` raises ValueError for what is no answer to the request with this name.

        Raises CommandRefused, ProtocolViolation.
        """
        try:
            # What does not fit ends the connection: where answers have no number, it may be the answer to another
            # request (docs/decisions/0088).
            found = parse(reply)
        except ValueError as err:
            self.fail(ProtocolViolation(f"{self.peer} answered {name} with {reply[:40]!r}: {err}"))
        if isinstance(found, Refused):
            self.fail(CommandRefused(f"{name} by {self.peer}", *found))
        return found

    def no_inputs(self) -> DriverError:
        """What is raised where the PLC gives no inputs."""
        return DriverError(f"{self.peer} gives no inputs: set {self.inputs_key} in line.toml")

    def fail(self, err: DriverError) -> NoReturn:
        """As ``BlockWire.fail``."""
        self._wire.fail(err)

    def close(self) -> None:
        """As ``DeviceWire.close``."""
        self._wire.close()

    def abort(self) -> None:
        """As ``DeviceWire.abort``."""
        self._wire.abort()


_LOOK_AT = "look at its cable and at output.host, or give it more time with output.write_timeout_ms"

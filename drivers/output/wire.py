"""What an output needs of a connection to its device, whatever goes over it.

A device with four levels is a ``coils.CoilWire``, one with words a ``block.BlockWire``: both compare what stands
there, and leave to a new protocol no more than to open, to write, to read and to end. What makes an output safe is in
``DeviceOutput``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeAlias, TypeVar

__all__ = ["DeviceWire", "NewWire", "OnLost"]

S_contra = TypeVar("S_contra", contravariant=True)

OnLost: TypeAlias = Callable[[], None]
"""Called when a connection is lost, also between two requests: whoever waits looks again at once."""


class DeviceWire(Protocol[S_contra]):
    """One connection to a device that is told states. It is used once: who has lost it makes another one.

    It is used by one task at a time, with one request in flight.

    Any failure, and any request that is cancelled while it is out, ends the connection: what it still carries is thrown
    away where that is possible, so that a write that was given up is not delivered behind a later one. Every method
    that waits is bounded by the time that the connection was made with.
    """

    @property
    @abstractmethod
    def is_up(self) -> bool:
        """Connected, and nothing went wrong so far."""
        ...

    @abstractmethod
    async def open(self) -> None:
        """Connect. Raises NotConnected, also where ``admit`` has said why this peer must not be written to."""
        ...

    @abstractmethod
    async def prepare(self) -> None:
        """What a device needs on a new connection before the output's first write: its own watchdog, armed and proven.

        Raises DriverError.
        """
        ...

    @abstractmethod
    async def write(self, state: S_contra) -> None:
        """Write the state whole, in one request; return when the device has confirmed exactly that one.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        ...

    @abstractmethod
    async def read_back(self, expected: S_contra) -> None:
        """Read what stands at the device itself, and compare. An echo is no proof.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        ...

    @abstractmethod
    async def write_proven(self, state: S_contra) -> None:
        """``write``, then ``read_back``. Raises as they do."""
        ...

    @abstractmethod
    async def read_inputs(self, first: int, count: int) -> tuple[bool, ...]:
        """Discrete inputs in one request. Raises DriverError, also where the device has none."""
        ...

    @abstractmethod
    def close(self) -> None:
        """End the connection in order; nothing is outstanding. Idempotent."""
        ...

    @abstractmethod
    def abort(self) -> None:
        """End the connection at once; what was not delivered yet never will be. Idempotent."""
        ...


W_co = TypeVar("W_co", covariant=True)


class NewWire(Protocol[W_co]):
    """Makes a connection that was not opened yet. Called anew for each connection."""

    def __call__(self, *, on_lost: OnLost) -> W_co:
        """A connection that calls ``on_lost`` when it is lost."""
        ...

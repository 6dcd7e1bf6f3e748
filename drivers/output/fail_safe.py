"""REJECT from outside the agent: for the service manager, after the agent is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from drivers.output.wire import DeviceWire, NewWire

__all__ = ["write_resting"]

S = TypeVar("S")


def _ignore() -> None:
    """Nothing has to be woken when this connection is lost: the request that is out raises by itself."""


async def write_resting(new_wire: NewWire[DeviceWire[S]], resting: S) -> None:
    """Connect, write the resting state (REJECT, READY and HEARTBEAT off), read it back.

    Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
    """
    wire = new_wire(on_lost=_ignore)
    try:
        # Without ``prepare``: a module whose watchdog cannot be armed has to be told REJECT all the same.
        await wire.open()
        await wire.write_proven(resting)
    finally:
        wire.close()

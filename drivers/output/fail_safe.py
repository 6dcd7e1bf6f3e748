"""REJECT from outside the agent: for the service manager, after the agent is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from drivers.output.wire import DeviceWire, NewWire

__all__ = ["write_resting"]

S = TypeVar("S")


def _ignore() -> None:
    """Nobody waits for this connection but the request in flight."""


async def write_resting(new_wire: NewWire[DeviceWire[S]], resting: S) -> None:
    """Connect, write the resting state (REJECT, READY and HEARTBEAT off), read it back.

    Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
    """
    wire = new_wire(on_lost=_ignore)
    try:
        await wire.open()
        await wire.write_proven(resting)
    finally:
        wire.close()

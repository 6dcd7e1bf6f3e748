"""REJECT from outside the agent: for the service manager, after the agent is gone."""

from __future__ import annotations

from drivers.modbus.coils import CoilState, checked_inversion
from drivers.modbus.connection import CoilConnection, RegisterConnection, RtuLine
from drivers.modbus.registers import BlockState

__all__ = ["write_reject", "write_reject_block"]


def _ignore() -> None:
    """Nobody waits for this connection but the request in flight."""


async def write_reject(
    host: str,
    port: int,
    *,
    unit: int,
    first_coil: int,
    timeout_s: float,
    rtu: RtuLine | None = None,
    invert: tuple[str, ...] = (),
) -> None:
    """Connect, write the resting state (REJECT, READY and HEARTBEAT off), compare the echo, read it back.

    ``timeout_s`` bounds the dial and each of the two requests. Raises NotConnected, DeadlineMissed,
    CommandRefused, ProtocolViolation.
    """
    connection = CoilConnection(host, port, unit=unit, timeout_s=timeout_s, on_lost=_ignore, rtu=rtu)
    try:
        await connection.open()
        await connection.write_proven(first_coil, CoilState(inverted=checked_inversion(invert)))
    finally:
        connection.close()


async def write_reject_block(
    host: str, port: int, *, unit: int, first_register: int, timeout_s: float, rtu: RtuLine | None = None
) -> None:
    """As ``write_reject``, for the register block."""
    connection = RegisterConnection(host, port, unit=unit, timeout_s=timeout_s, on_lost=_ignore, rtu=rtu)
    try:
        await connection.open()
        await connection.write_proven(first_register, BlockState())
    finally:
        connection.close()

"""REJECT from outside the agent: for the service manager, after the agent is gone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from drivers.modbus.wires import CoilConnection, RegisterConnection
from drivers.output.block import BlockState
from drivers.output.coils import CoilState, checked_inversion
from drivers.output.fail_safe import write_resting

if TYPE_CHECKING:
    from drivers.modbus.connection import RtuLine

__all__ = ["write_reject", "write_reject_block"]


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
    await write_resting(
        partial(CoilConnection, host, port, unit=unit, timeout_s=timeout_s, rtu=rtu, first_coil=first_coil),
        CoilState(inverted=checked_inversion(invert)),
    )


async def write_reject_block(
    host: str, port: int, *, unit: int, first_register: int, timeout_s: float, rtu: RtuLine | None = None
) -> None:
    """As ``write_reject``, for the register block."""
    await write_resting(
        partial(RegisterConnection, host, port, unit=unit, timeout_s=timeout_s, rtu=rtu, first_register=first_register),
        BlockState(),
    )

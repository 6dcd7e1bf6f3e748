"""A remote I/O's own watchdog, armed and proven over Modbus: what ends a PASS when this PC is dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from drivers.base import ProtocolViolation

if TYPE_CHECKING:
    from drivers.modbus.modules import Module
    from drivers.modbus.wires import CoilConnection
    from drivers.output.coils import CoilLevels

__all__ = ["arm_watchdog"]

_log = structlog.get_logger(__name__)


async def arm_watchdog(device: CoilConnection, module: Module, watchdog_ms: int, resting: CoilLevels) -> None:
    """Set the module's own watchdog and read it back; nothing for a module that cannot be asked.

    One that is found running as it should is left alone: a PASS of the connection before may stand, and whoever
    stops its watchdog may die before starting it. Where it has to be set, ``resting`` is written and read back
    first. Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
    """
    if not module.arming:
        return
    time = module.count(watchdog_ms)
    if await _unlike_proof(device, module, time) is None:
        return
    if await _has_tripped(device, module):
        # Cleared on purpose, and said: it dropped the outputs while nobody wrote. Until then it takes no write.
        _log.warning("watchdog_had_tripped", peer=device.peer, module=module.name)
    else:
        await device.write_proven(resting)
    for register, value in module.arming:
        await device.write_registers(register, (time if value is None else value,))
    unlike = await _unlike_proof(device, module, time)
    if unlike is not None:
        device.fail(
            ProtocolViolation(
                f"{device.peer}: {unlike} of the watchdog of a {module.name}: without it a PASS of a dead agent "
                "would stand"
            )
        )


async def _unlike_proof(device: CoilConnection, module: Module, time: int) -> str | None:
    """The first register that does not read as a watchdog that runs as it should; None if all do."""
    for register, value in module.proof:
        expected = time if value is None else value
        (found,) = await device.read_registers(register, 1)
        if found != expected:
            return f"register 0x{register:04x} reads {found} and not {expected}"
    return None


async def _has_tripped(device: CoilConnection, module: Module) -> bool:
    if module.tripped is None:
        return False
    state, after_a_trip = module.tripped
    return await device.read_registers(state, 1) == (after_a_trip,)

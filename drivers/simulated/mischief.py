"""What goes wrong on a simulated line, when a person asked for it: said in the log, and done to the remote I/O."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from drivers.simulated.background import Background

if TYPE_CHECKING:
    from drivers.simulated.catalogue import PlannedFaults
    from drivers.simulated.parts import Imaged
    from drivers.simulated.remote_io import IoFault, SimulatedRemoteIo

__all__ = ["Mischief"]

_log = structlog.get_logger()

_IO_FAULT_S = 2.0


class Mischief:
    """Says what goes wrong when it does, and lets the remote I/O misbehave for a while."""

    def __init__(self, remote_io: SimulatedRemoteIo, faults: PlannedFaults) -> None:
        self._remote_io = remote_io
        self._faults = faults
        self._background = Background()

    def on_imaged(self, shot: Imaged) -> None:
        """What the controller calls for each part it images."""
        for fault in sorted(shot.faults):
            _log.warning("fault", trigger=shot.trigger_no, count=shot.count, fault=fault, what=fault.words)
        if (io_fault := self._faults.io_fault_of(shot.trigger_no)) is not None:
            _log.warning("fault", trigger=shot.trigger_no, count=shot.count, fault=f"IO_{io_fault}", for_s=_IO_FAULT_S)
            self._background.spawn(self._misbehave(io_fault))

    async def _misbehave(self, fault: IoFault) -> None:
        await self._remote_io.misbehave(fault)
        await asyncio.sleep(_IO_FAULT_S)
        await self._remote_io.misbehave(None)

    async def aclose(self) -> None:
        """End what is under way. Raises what went wrong inside the simulation."""
        await self._background.cancel()
        self._background.raise_crash()

"""What a verdict is written to over Modbus: four coils of a remote I/O, or a block of registers of a PLC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
)

from drivers.base import Admit, ProtocolViolation, admit_all
from drivers.modbus.connection import ModbusConnection, RtuLine
from drivers.modbus.watchdog import arm_watchdog
from drivers.output.block import BLOCK_WORDS, PLC_WORDS, BlockWire
from drivers.output.coils import COIL_NAMES, CoilState, CoilWire

if TYPE_CHECKING:
    from drivers.modbus.modules import Module
    from drivers.output.wire import OnLost

__all__ = ["CoilConnection", "RegisterConnection"]


class CoilConnection(ModbusConnection, CoilWire):
    """The four coils of a remote I/O, from ``first_coil`` on.

    With a ``module`` that can be asked, its own watchdog is armed and proven before the first write.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        unit: int,
        timeout_s: float,
        on_lost: OnLost,
        rtu: RtuLine | None = None,
        admit: Admit = admit_all,
        first_coil: int = 0,
        module: Module | None = None,
        watchdog_ms: int = 500,
        inverted: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(host, port, unit=unit, timeout_s=timeout_s, on_lost=on_lost, rtu=rtu, admit=admit)
        self._first = first_coil
        self._module = module
        self._watchdog_ms = watchdog_ms
        self._resting = CoilState(inverted=inverted)

    async def prepare(self) -> None:
        """As ``DeviceWire.prepare``. Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation."""
        if self._module is not None:
            await arm_watchdog(self, self._module, self._watchdog_ms, self._resting)

    async def write_levels(self, levels: tuple[bool, bool, bool, bool]) -> None:
        """Write all four coils in one request (FC15) and compare the echo.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        request = WriteMultipleCoilsRequest(address=self._first, bits=list(levels), dev_id=self._unit)
        reply = await self._ask("FC15 (write coils)", request, WriteMultipleCoilsResponse)
        echo, sent = (reply.address, reply.count), (self._first, len(levels))
        if echo != sent:
            self.fail(ProtocolViolation(f"{self.peer} echoed coils {echo} (address, count) for a write of {sent}"))

    async def read_levels(self) -> tuple[bool, ...]:
        """The four coils as they stand (FC1).

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        request = ReadCoilsRequest(address=self._first, count=len(COIL_NAMES), dev_id=self._unit)
        reply = await self._ask("FC1 (read coils)", request, ReadCoilsResponse)
        return tuple(bool(bit) for bit in reply.bits[: len(COIL_NAMES)])


class RegisterConnection(ModbusConnection, BlockWire):
    """The register block of a PLC from ``first_register`` on, and the PLC's own words from ``plc_register`` on."""

    block_key = "output.first_register"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        unit: int,
        timeout_s: float,
        on_lost: OnLost,
        rtu: RtuLine | None = None,
        admit: Admit = admit_all,
        first_register: int = 0,
        plc_register: int = BLOCK_WORDS,
    ) -> None:
        super().__init__(host, port, unit=unit, timeout_s=timeout_s, on_lost=on_lost, rtu=rtu, admit=admit)
        self._first = first_register
        self._plc_register = plc_register

    async def write_words(self, words: tuple[int, ...]) -> None:
        """Write block and heartbeat in one request (FC16) and compare the echo.

        Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation.
        """
        await self.write_registers(self._first, words)

    async def read_words(self, count: int) -> tuple[int, ...]:
        """The block as it stands (FC3). Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation."""
        return await self.read_registers(self._first, count)

    async def read_plc_words(self) -> tuple[int, ...]:
        """What the PLC gives back (FC3). Raises NotConnected, DeadlineMissed, CommandRefused, ProtocolViolation."""
        return await self.read_registers(self._plc_register, PLC_WORDS)

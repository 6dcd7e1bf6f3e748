"""The verdict as four coils of a remote I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.modbus.coils import COIL_NAMES, CoilState, checked_inversion
from drivers.modbus.connection import Admit, CoilConnection, RtuLine, admit_all
from drivers.modbus.output import ModbusOutput

if TYPE_CHECKING:
    from drivers.modbus.modules import Module
    from drivers.modbus.output import _Link

__all__ = ["CoilOutput"]


class CoilOutput(ModbusOutput[CoilState]):
    """PASS, REJECT, READY and HEARTBEAT as four coils in a row, always written together in one request (FC15).

    With a ``module`` that can be asked, its watchdog is read on every new connection, and armed with ``watchdog_ms``
    behind a REJECT unless it runs so already; without that proof the output is never confirmed. ``invert`` names coils
    whose level on the wire is the opposite of what they say: REJECT and READY may, PASS never.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        unit: int = 1,
        first_coil: int = 0,
        part_present_input: int | None = None,
        pass_hold_s: float,
        refresh_s: float = 0.1,
        write_timeout_s: float = 0.15,
        rtu: RtuLine | None = None,
        module: Module | None = None,
        watchdog_ms: int = 500,
        invert: tuple[str, ...] = (),
        admit: Admit = admit_all,
    ) -> None:
        if module is not None and module.arming:
            module.count(watchdog_ms)
        self._module = module
        self._inverted = checked_inversion(invert)
        self._watchdog_ms = watchdog_ms
        if not 0 <= first_coil <= 0x10000 - len(COIL_NAMES):
            raise ValueError(f"first_coil {first_coil}: {len(COIL_NAMES)} coils must fit below 65536")
        super().__init__(
            host,
            port,
            unit=unit,
            first=first_coil,
            part_present_input=part_present_input,
            pass_hold_s=pass_hold_s,
            refresh_s=refresh_s,
            write_timeout_s=write_timeout_s,
            rtu=rtu,
            admit=admit,
        )

    def _new_link(self) -> CoilConnection:
        return CoilConnection(
            self._host,
            self._port,
            unit=self._unit,
            timeout_s=self._write_timeout_s,
            on_lost=self._wake.set,
            rtu=self._rtu,
            admit=self._admit,
        )

    async def _meet(self, link: _Link[CoilState]) -> None:
        if self._module is not None:
            assert isinstance(link, CoilConnection)  # noqa: S101 - _new_link makes no other
            resting = CoilState(inverted=self._inverted)
            await link.arm_watchdog(self._module, self._watchdog_ms, self._first, resting)

    def _state(self, *, is_pass: bool) -> CoilState:
        return CoilState(is_pass, self._was_ready or is_pass, self._heartbeat, self._inverted)

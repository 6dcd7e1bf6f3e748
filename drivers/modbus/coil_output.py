"""The verdict as four coils of a remote I/O."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from drivers.base import Admit, admit_all
from drivers.modbus.connection import RtuLine, peer_name
from drivers.modbus.wires import CoilConnection
from drivers.output.coils import COIL_NAMES, checked_inversion
from drivers.output.level_output import LevelOutput

if TYPE_CHECKING:
    from drivers.modbus.modules import Module

__all__ = ["CoilOutput"]


class CoilOutput(LevelOutput):
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
        if not 0 <= first_coil <= 0x10000 - len(COIL_NAMES):
            raise ValueError(f"first_coil {first_coil}: {len(COIL_NAMES)} coils must fit below 65536")
        new_wire = partial(
            CoilConnection,
            host,
            port,
            unit=unit,
            timeout_s=write_timeout_s,
            rtu=rtu,
            admit=admit,
            first_coil=first_coil,
            module=module,
            watchdog_ms=watchdog_ms,
            inverted=checked_inversion(invert),
        )
        super().__init__(
            peer_name(host, port, rtu),
            new_wire,
            part_present_input=part_present_input,
            pass_hold_s=pass_hold_s,
            refresh_s=refresh_s,
            write_timeout_s=write_timeout_s,
            invert=invert,
        )

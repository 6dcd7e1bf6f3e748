"""The verdict as a block of holding registers of a PLC."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from drivers.base import Admit, LineNow, admit_all
from drivers.modbus.connection import RtuLine, peer_name
from drivers.modbus.wires import RegisterConnection
from drivers.output.block import BLOCK_WORDS, PLC_WORDS
from drivers.output.block_output import BlockOutput

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RegisterOutput"]


class RegisterOutput(BlockOutput):
    """A ``BlockOutput`` in holding registers, written together (FC16) from ``first_register`` on.

    The PLC's own words lie from ``plc_register`` on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        unit: int = 1,
        first_register: int = 0,
        plc_register: int = BLOCK_WORDS,
        part_present_input: int | None = None,
        pass_hold_s: float,
        refresh_s: float = 0.1,
        write_timeout_s: float = 0.15,
        plc_timeout_s: float = 0.5,
        is_counted: bool = True,
        rtu: RtuLine | None = None,
        line: Callable[[], LineNow] = LineNow,
        is_counter_the_sensor: bool = False,
        admit: Admit = admit_all,
    ) -> None:
        ours = range(first_register, first_register + BLOCK_WORDS)
        theirs = range(plc_register, plc_register + PLC_WORDS)
        if ours.start < 0 or theirs.start < 0 or max(ours.stop, theirs.stop) > 0x10000:
            raise ValueError(f"first_register {first_register} and plc_register {plc_register} must fit below 65536")
        if ours.start < theirs.stop and theirs.start < ours.stop:
            raise ValueError(f"first_register {first_register} and plc_register {plc_register} lie over each other")
        new_wire = partial(
            RegisterConnection,
            host,
            port,
            unit=unit,
            timeout_s=write_timeout_s,
            rtu=rtu,
            admit=admit,
            first_register=first_register,
            plc_register=plc_register,
        )
        super().__init__(
            peer_name(host, port, rtu),
            new_wire,
            plc_place=str(plc_register),
            part_present_input=part_present_input,
            pass_hold_s=pass_hold_s,
            refresh_s=refresh_s,
            write_timeout_s=write_timeout_s,
            plc_timeout_s=plc_timeout_s,
            is_counted=is_counted,
            line=line,
            is_counter_the_sensor=is_counter_the_sensor,
        )

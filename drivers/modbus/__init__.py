"""Modbus, over TCP or RTU: four coils of a remote I/O, or a block of registers of a PLC."""

from __future__ import annotations

from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.connection import RtuLine
from drivers.modbus.fail_safe import write_reject, write_reject_block
from drivers.modbus.register_output import RegisterOutput

__all__ = ["CoilOutput", "RegisterOutput", "RtuLine", "write_reject", "write_reject_block"]

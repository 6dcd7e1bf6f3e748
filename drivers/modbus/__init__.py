"""The digital output: coils of a Modbus remote I/O, or a register block of a PLC; over TCP or RTU."""

from __future__ import annotations

from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.connection import RtuLine
from drivers.modbus.fail_safe import write_reject, write_reject_block
from drivers.modbus.register_output import RegisterOutput
from drivers.modbus.walk import Walker

__all__ = ["CoilOutput", "RegisterOutput", "RtuLine", "Walker", "write_reject", "write_reject_block"]

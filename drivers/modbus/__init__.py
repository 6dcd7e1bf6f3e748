"""The digital output: coils of a Modbus TCP remote I/O."""

from __future__ import annotations

from drivers.modbus.fail_safe import write_reject
from drivers.modbus.output import CoilOutput

__all__ = ["CoilOutput", "write_reject"]

"""Byte streams to a peer, by what they run over. One contract: ``drivers.base.ByteStream``."""

from __future__ import annotations

from drivers.transport.memory import MemoryStream
from drivers.transport.serial_line import SerialOptions, open_serial
from drivers.transport.tcp import open_tcp

__all__ = ["MemoryStream", "SerialOptions", "open_serial", "open_tcp"]

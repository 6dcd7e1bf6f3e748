"""S7 communication (ISO-on-TCP): a block of words of a data block of a Siemens S7-300, 400, 1200 or 1500."""

from __future__ import annotations

from drivers.s7.connection import S7Connection

__all__ = ["S7Connection"]

"""SLMP (MC protocol), 3E frames in binary over TCP: a block of data registers D of a PLC."""

from __future__ import annotations

from drivers.slmp.connection import SlmpConnection

__all__ = ["SlmpConnection"]

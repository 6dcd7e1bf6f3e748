"""What holds for an output on any device: PASS ends by itself, withdrawal overtakes, what is written is read back."""

from __future__ import annotations

from drivers.output.block import BlockState, BlockWire
from drivers.output.block_output import BlockOutput
from drivers.output.coils import CoilState, CoilWire
from drivers.output.fail_safe import write_resting
from drivers.output.level_output import LevelOutput
from drivers.output.plc_connection import PlcConnection
from drivers.output.walk import BlockWalker, LevelWalker, Walker
from drivers.output.wire import DeviceWire, NewWire, OnLost
from drivers.output.words import WordConnection, WordPlaces

__all__ = [
    "BlockOutput",
    "BlockState",
    "BlockWalker",
    "BlockWire",
    "CoilState",
    "CoilWire",
    "DeviceWire",
    "LevelOutput",
    "LevelWalker",
    "NewWire",
    "OnLost",
    "PlcConnection",
    "Walker",
    "WordConnection",
    "WordPlaces",
    "write_resting",
]

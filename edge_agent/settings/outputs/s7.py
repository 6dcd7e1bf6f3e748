"""[output] to a data block of a Siemens S7-300, 400, 1200 or 1500."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from edge_agent.settings.outputs.plc import NumberedSettings
from edge_agent.settings.values import Coil, Port, say

if TYPE_CHECKING:
    from edge_agent.settings.outputs.common import Loc

__all__ = ["S7Settings"]

_WORD_BYTES, _DB_WORDS = 2, 0x8000


class S7Settings(NumberedSettings):
    """[output]: words of a data block with standard access, over S7 communication (ISO-on-TCP)."""

    kind: Annotated[Literal["s7"], say("a data block of a Siemens S7 controller")]
    port: Annotated[Port, say("its TCP port for S7 communication")] = 102
    rack: Annotated[int, Field(strict=True, ge=0, le=7), say("rack of the CPU, 0 to 7")] = 0
    slot: Annotated[
        int, Field(strict=True, ge=0, le=31), say("slot of the CPU: 1 for an S7-1200 and S7-1500, 2 for an S7-300")
    ] = 1
    db: Annotated[int, Field(strict=True, ge=1, le=65_535), say("number of the data block, 1 to 65535")]
    first_byte: Annotated[Coil, say("byte of the data block where the eight words begin that the agent writes")] = 0
    plc_byte: Annotated[Coil, say("byte of the data block where the five words begin that the PLC writes")] = 16
    inputs_byte: Annotated[
        Coil | None, say("byte of the data block where the PLC gives the inputs: input 0 is its bit 0")
    ] = None

    @property
    def place(self) -> str:
        """As ``OutputSettings.place``."""
        return f"{self.kind} from DB{self.db}.DBW{self.first_byte} on"

    @property
    def way_keys(self) -> str:
        """As ``OutputSettings.way_keys``."""
        return "output.host and output.port, rack and slot"

    @property
    def _first_word(self) -> int:
        return self.db * _DB_WORDS

    @property
    def plc_place(self) -> str:
        """As ``PlcSettings.plc_place``."""
        return f"DB{self.db}.DBW{self.plc_byte}"

    @property
    def word_numbers(self) -> tuple[int, int, int | None]:
        """As ``NumberedSettings.word_numbers``: word 20 is DBW40."""
        inputs = None if self.inputs_byte is None else self.inputs_byte // _WORD_BYTES
        return self.first_byte // _WORD_BYTES, self.plc_byte // _WORD_BYTES, inputs

    @property
    def _units(self) -> tuple[str, str, int]:
        return "byte of the data block", "bytes", _WORD_BYTES

    @property
    def _keys(self) -> tuple[str, str, str]:
        return "first_byte", "plc_byte", "inputs_byte"

    def problems(self) -> list[tuple[Loc, str]]:
        """As ``OutputSettings.problems``."""
        problems = super().problems()
        for key in self._keys:
            place: int | None = getattr(self, key)
            if place is not None and place % _WORD_BYTES:
                message = f"expected an even number: a word begins at an even byte (got {place})"
                problems.append((("output", key), message))
        return problems

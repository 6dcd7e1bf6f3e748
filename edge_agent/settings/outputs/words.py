"""[output] to a PLC of which words are asked for by number: D over SLMP (MC protocol), DM over the KV's host link."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from edge_agent.settings.outputs.plc import NumberedSettings
from edge_agent.settings.values import Coil, Port, say

__all__ = ["HostLinkSettings", "SlmpSettings", "WordSettings"]


class WordSettings(NumberedSettings):
    """The keys of both kinds. The block is that of "modbus-registers": a PASS names its part."""

    device_name: ClassVar[str]
    """What the PLC calls such a word."""

    first_register: Annotated[Coil, say("number of the first of the eight words that the agent writes")] = 0
    plc_register: Annotated[Coil, say("number of the first of the five words that the PLC writes")] = 8
    inputs_register: Annotated[
        Coil | None, say("number of the word in which the PLC gives the inputs: input 0 is its bit 0")
    ] = None

    @property
    def place(self) -> str:
        """As ``OutputSettings.place``."""
        return f"{self.kind} from {self.device_name}{self.first_register} on"

    @property
    def plc_place(self) -> str:
        """As ``PlcSettings.plc_place``."""
        return f"{self.device_name}{self.plc_register}"

    @property
    def word_numbers(self) -> tuple[int, int, int | None]:
        """As ``NumberedSettings.word_numbers``."""
        return self.first_register, self.plc_register, self.inputs_register

    @property
    def _units(self) -> tuple[str, str, int]:
        return f"word {self.device_name}", "words", 1

    @property
    def _keys(self) -> tuple[str, str, str]:
        return "first_register", "plc_register", "inputs_register"


class SlmpSettings(WordSettings):
    """[output]: data registers D of a PLC that speaks SLMP (MC protocol), 3E frames in binary over TCP."""

    device_name = "D"
    kind: Annotated[Literal["slmp"], say("words D of a PLC that speaks SLMP, also called MC protocol")]
    port: Annotated[Port, say("its TCP port for SLMP (MC protocol), 3E, binary")] = 5000


class HostLinkSettings(WordSettings):
    """[output]: data memory DM of a KEYENCE KV that speaks host link (upper link) over TCP."""

    device_name = "DM"
    last_place = 65_534
    kind: Annotated[Literal["kv-hostlink"], say("words DM of a KEYENCE KV that speaks host link")]
    port: Annotated[Port, say("its TCP port for host link")] = 8501

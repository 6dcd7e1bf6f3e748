"""[output] to a PLC of which words are asked for by number: D over SLMP (MC protocol), DM over the KV's host link."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from edge_agent.settings.outputs.common import Loc, OutputSettings
from edge_agent.settings.values import Coil, Port, say

__all__ = ["HostLinkSettings", "SlmpSettings", "WordSettings"]

_BLOCK, _BACK, _WORD_BITS = 8, 5, 16
_INPUTS = ("part_present_input", "mode_input", "acknowledge_input", "reject_confirm_input")


class WordSettings(OutputSettings):
    """The keys of both kinds. The block is that of "modbus-registers": a PASS names its part."""

    device_name: ClassVar[str]
    """What the PLC calls such a word."""
    last_word: ClassVar[int] = 65_535

    first_register: Annotated[Coil, say("number of the first of the eight words that the agent writes")] = 0
    plc_register: Annotated[Coil, say("number of the first of the five words that the PLC writes")] = 8
    inputs_register: Annotated[
        Coil | None, say("number of the word in which the PLC gives the inputs: input 0 is its bit 0")
    ] = None

    @property
    def names_parts(self) -> bool:
        """The block carries the part's number."""
        return True

    @property
    def place(self) -> str:
        """As ``OutputSettings.place``."""
        return f"{self.kind} from {self.device_name}{self.first_register} on"

    @property
    def shared_words(self) -> range | None:
        """The PLC looks at the heartbeat of each block apart."""
        return range(self.first_register, self.first_register + _BLOCK)

    @property
    def is_one_behind_all_ports(self) -> bool:
        """A PLC has a port for each client, and one memory."""
        return True

    def problems(self) -> list[tuple[Loc, str]]:
        """As ``OutputSettings.problems``."""
        problems: list[tuple[Loc, str]] = []
        if self.host is None:
            problems.append((("output",), "name the address of the PLC, host (got none)"))
        problems += super().problems()
        ranges = {"first_register": _BLOCK, "plc_register": _BACK, "inputs_register": self._input_words()}
        taken: list[tuple[str, range]] = []
        for key, count in ranges.items():
            place: int | None = getattr(self, key)
            if place is None or not count:
                continue
            words = range(place, place + count)
            if words.stop - 1 > self.last_word:
                most = self.last_word - count + 1
                message = f"expected at most {most}, so that {count} words {self.device_name} fit (got {place})"
                problems.append((("output", key), message))
            for other, others in taken:
                if words.start < others.stop and others.start < words.stop:
                    message = f"expected a place outside the {len(others)} words of {other} (got {place})"
                    problems.append((("output", key), message))
            taken.append((key, words))
        return problems + self._places_of_inputs()

    def _input_words(self) -> int:
        """How many words hold the inputs that line.toml names."""
        wired = [place for key in _INPUTS if (place := getattr(self, key)) is not None]
        return max(wired) // _WORD_BITS + 1 if wired else 0

    def _places_of_inputs(self) -> list[tuple[Loc, str]]:
        named = next((key for key in _INPUTS if getattr(self, key) is not None), None)
        if named is None or self.inputs_register is not None:
            return []
        message = f"needs output.inputs_register: the word {self.device_name} in which the PLC gives the inputs"
        return [(("output", named), message)]


class SlmpSettings(WordSettings):
    """[output]: data registers D of a PLC that speaks SLMP (MC protocol), 3E frames in binary over TCP."""

    device_name = "D"
    kind: Annotated[Literal["slmp"], say("words D of a PLC that speaks SLMP, also called MC protocol")]
    port: Annotated[Port, say("its TCP port for SLMP (MC protocol), 3E, binary")] = 5000


class HostLinkSettings(WordSettings):
    """[output]: data memory DM of a KEYENCE KV that speaks host link (upper link) over TCP."""

    device_name = "DM"
    last_word = 65_534
    kind: Annotated[Literal["kv-hostlink"], say("words DM of a KEYENCE KV that speaks host link")]
    port: Annotated[Port, say("its TCP port for host link")] = 8501

"""[output] to tags of a Rockwell ControlLogix or CompactLogix."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from edge_agent.settings.outputs.plc import PlcSettings
from edge_agent.settings.values import Port, Tag, say

if TYPE_CHECKING:
    from edge_agent.settings.outputs.common import Loc

__all__ = ["EthernetIpSettings"]


class EthernetIpSettings(PlcSettings):
    """[output]: tags of a controller that speaks EtherNet/IP, read and written by their names."""

    kind: Annotated[Literal["ethernet-ip"], say("tags of a Rockwell ControlLogix or CompactLogix")]
    port: Annotated[Port, say("its TCP port for EtherNet/IP")] = 44_818
    cpu_slot: Annotated[
        int, Field(strict=True, ge=0, le=16), say("slot of the CPU in its chassis; a CompactLogix is in slot 0")
    ] = 0
    tag: Annotated[Tag, say("name of the tag that the agent writes, DINT[8]")] = "AgentToPlc"
    plc_tag: Annotated[Tag, say("name of the tag that the PLC writes, DINT[5]")] = "PlcToAgent"
    inputs_tag: Annotated[
        Tag | None, say("name of the tag in which the PLC gives the inputs, BOOL[32] or more: input 0 is its first")
    ] = None

    @property
    def place(self) -> str:
        """As ``OutputSettings.place``."""
        return f"{self.kind} in {self.tag} of slot {self.cpu_slot}"

    @property
    def way_keys(self) -> str:
        """As ``OutputSettings.way_keys``."""
        return "output.host and output.port, and cpu_slot"

    @property
    def shared_words(self) -> range | None:
        """One number for the tag: the PLC looks at each heartbeat apart. A controller knows no capital letters."""
        number = self._number_of(self.tag)
        return range(number, number + 1)

    @property
    def answer_words(self) -> list[int]:
        """As ``OutputSettings.answer_words``, with the tag that holds the inputs."""
        return [self._number_of(tag) for tag in (self.plc_tag, self.inputs_tag) if tag is not None]

    @property
    def plc_place(self) -> str:
        """As ``PlcSettings.plc_place``."""
        return self.plc_tag

    @property
    def _inputs_at(self) -> tuple[str, str]:
        return "inputs_tag", "tag"

    def _number_of(self, tag: str) -> int:
        """The place of a tag: its name, without the difference of capital letters, in this CPU."""
        name = f"{self.cpu_slot} {tag.casefold()}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")

    def problems(self) -> list[tuple[Loc, str]]:
        """As ``OutputSettings.problems``."""
        problems = super().problems()
        taken: dict[str, str] = {}
        for key in ("tag", "plc_tag", "inputs_tag"):
            tag: str | None = getattr(self, key)
            if tag is None:
                continue
            if (other := taken.setdefault(tag.casefold(), key)) != key:
                problems.append((("output", key), f"expected another tag than {other} (got {tag})"))
        return problems

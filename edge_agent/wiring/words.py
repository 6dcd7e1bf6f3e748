"""What [output] to the memory of a PLC becomes: the output, who walks through it, and REJECT from outside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from drivers.base import admit_all
from drivers.output import BlockOutput, BlockState, write_resting
from drivers.output.walk import BlockWalker

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import Admit, LineNow
    from drivers.output import PlcConnection
    from edge_agent.settings import PlcSettings, Settings

__all__ = ["WordsWiring"]


@dataclass(frozen=True, slots=True)
class WordsWiring:
    """A block of words of a PLC. ``_wire`` makes a connection to it, and knows where in the PLC the words are."""

    _output: PlcSettings
    _wire: Callable[..., PlcConnection]

    def output(self, settings: Settings, line: Callable[[], LineNow], admit: Admit) -> BlockOutput:
        """As ``Wiring.output``."""
        output = self._output
        return BlockOutput(
            f"{output.host}:{output.port}",
            self._new_wire(admit),
            plc_place=output.plc_place,
            part_present_input=output.part_present_input,
            pass_hold_s=output.pass_hold_ms / 1000,
            refresh_s=output.refresh_ms / 1000,
            write_timeout_s=output.write_timeout_ms / 1000,
            plc_timeout_s=output.plc_silence_ms / 1000,
            is_counted=output.part_numbers == "plc",
            line=line,
            is_counter_the_sensor=settings.trigger.source == "plc",
        )

    def walker(self, settings: Settings, admit: Admit) -> BlockWalker:  # noqa: ARG002 - as the others'
        """As ``Wiring.walker``."""
        output = self._output
        return BlockWalker(
            self._new_wire(admit),
            output.write_timeout_ms / 1000,
            output.refresh_ms / 1000,
            is_counted=output.part_numbers == "plc",
        )

    async def fail_safe(self) -> None:
        """As ``Wiring.fail_safe``."""
        await write_resting(self._new_wire(admit_all), BlockState())

    def _new_wire(self, admit: Admit) -> partial[PlcConnection]:
        output = self._output
        assert output.host is not None  # noqa: S101 - settings name the way to the output
        return partial(
            self._wire,
            output.host,
            output.port,
            timeout_s=output.write_timeout_ms / 1000,
            admit=admit,
        )

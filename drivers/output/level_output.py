"""The verdict as four levels: PASS, REJECT, READY and HEARTBEAT, always written together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.output.coils import CoilState, checked_inversion
from drivers.output.device_output import DeviceOutput

if TYPE_CHECKING:
    from drivers.output.wire import DeviceWire, NewWire

__all__ = ["LevelOutput"]


class LevelOutput(DeviceOutput[CoilState]):
    """``invert`` names levels that are the opposite of what they say: REJECT and READY may, PASS never."""

    def __init__(
        self,
        peer: str,
        new_wire: NewWire[DeviceWire[CoilState]],
        *,
        part_present_input: int | None = None,
        pass_hold_s: float,
        refresh_s: float = 0.1,
        write_timeout_s: float = 0.15,
        invert: tuple[str, ...] = (),
    ) -> None:
        self._inverted = checked_inversion(invert)
        super().__init__(
            peer,
            new_wire,
            part_present_input=part_present_input,
            pass_hold_s=pass_hold_s,
            refresh_s=refresh_s,
            write_timeout_s=write_timeout_s,
        )

    def _state(self, *, is_pass: bool) -> CoilState:
        return CoilState(is_pass, self._was_ready or is_pass, self._heartbeat, self._inverted)

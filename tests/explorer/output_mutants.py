"""Outputs with one fault each, planted where a way to a wrong PASS was closed: what the explorer has to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.base import DriverError, Published
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.register_output import RegisterOutput
from drivers.modbus.wires import CoilConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import Reason
    from drivers.output.block import BlockState
    from drivers.output.coils import CoilLevels
    from drivers.output.wire import DeviceWire

__all__ = [
    "AddsNoWithdrawals",
    "BelievesTheEcho",
    "DoesNotLookAgain",
    "EndsNoWindow",
    "ForgetsWhoBegan",
    "GoesOnAfterALoss",
    "IgnoresReady",
    "LeavesItToTheRefresh",
    "NamesWhoIsThere",
    "RenamesAtEachRefresh",
    "SaysNothingAtTheEnd",
    "TrustsANewConnection",
]


class EndsNoWindow(CoilOutput):
    """The hold time never ends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pass_hold_s = 1e6


class AddsNoWithdrawals(CoilOutput):
    """A verdict that waits does not see that it was withdrawn."""

    @property
    def _withdrawals(self) -> int:  # type: ignore[override]
        return 0

    @_withdrawals.setter
    def _withdrawals(self, _count: int) -> None: ...


class BelievesTheEcho(CoilOutput):
    """What was echoed is not read back."""

    def _new_link(self) -> CoilConnection:
        return _Unread("explored", 502, unit=1, timeout_s=self._write_timeout_s, on_lost=self._wake.set)


class _Unread(CoilConnection):
    async def read_back(self, expected: CoilLevels) -> None:
        return


class DoesNotLookAgain(CoilOutput):
    """Deadline, withdrawals and READY are looked at before PASS is written and not after."""

    async def _write_pass(self, claim: object) -> Published | None:
        del claim
        assert self._link is not None
        self._pass_may_stand = True
        try:
            await self._link.write_proven(self._state(is_pass=True))
        except DriverError as err:
            self._lose(err)
            return Published.FAILED
        return None


class TrustsANewConnection(CoilOutput):
    """A connection that opens is taken for a device that rests: nothing is written and read back on it first."""

    def _new_link(self) -> CoilConnection:
        return _Trusting("explored", 502, unit=1, timeout_s=self._write_timeout_s, on_lost=self._wake.set)


class _Trusting(CoilConnection):
    is_first = True

    async def write_proven(self, state: CoilLevels) -> None:
        is_first, self.is_first = self.is_first, False
        if not is_first:
            await super().write_proven(state)


class LeavesItToTheRefresh(CoilOutput):
    """``withdraw`` ends the window and returns; REJECT comes with the next refresh."""

    async def withdraw(self) -> None:
        self._withdrawals += 1
        self._end_window("withdrawn")


class IgnoresReady(CoilOutput):
    """A refresh says PASS again though the line fell to FAULT."""

    async def run(self, is_ready: Callable[[], bool]) -> None:
        del is_ready
        await super().run(lambda: True)


class SaysNothingAtTheEnd(CoilOutput):
    """An output that is stopped closes its connection and leaves what stands."""

    async def _leave_reject(self) -> None:
        self._may_dial = False
        if self._link is not None:
            self._link.close()


class GoesOnAfterALoss(CoilOutput):
    """A window outlives its connection."""

    def _end_window(self, why: str) -> None:
        if why != "lost":
            super()._end_window(why)


class ForgetsWhoBegan(CoilOutput):
    """A part that begins ends the window of the one before, and no verdict of it that comes later."""

    async def begin_part(self, part_seq: int, first_sign_mono_s: float) -> None:
        await self.withdraw()


class NamesWhoIsThere(RegisterOutput):
    """The PLC's number is taken as it stands at the verdict; that it is the part's own is not asked."""

    async def _name_part(self, link: DeviceWire[BlockState], part_seq: int, about: tuple[Reason | None, int]) -> bool:
        await super()._name_part(link, part_seq, about)
        return True


class RenamesAtEachRefresh(RegisterOutput):
    """A refresh says the verdict again, for whoever is at the gate by then."""

    async def _refresh(self) -> bool:
        if self._link is not None and self._link.is_up:
            self._seq = (await self._read(self._link)).trigger_seq
        return await super()._refresh()

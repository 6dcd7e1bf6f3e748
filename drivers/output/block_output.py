"""The verdict as a block of words of a PLC. A PASS names its part; the PLC opens for that part and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from drivers.base import DriverError, LineNow, Reason, Verdict
from drivers.output.block import REASON_CODES, BlockState, BlockWire, PlcWords, Status, next_seq
from drivers.output.device_output import DeviceOutput
from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.output.wire import DeviceWire, NewWire

__all__ = ["BlockOutput"]

_log = structlog.get_logger(__name__)

_AT_ONCE_S = 0.1
"""The longest time from a part's first sign to the answer with the PLC's number for it.

It is shorter than the time between two parts of any line, so that the number cannot be that of the next part, and
long enough for a read over RS-485.
"""
# Trigger number 0 says the least: no part is at the gate.
_UNKNOWN = PlcWords(0, 0, 0, 0, 0)


class BlockOutput(DeviceOutput[BlockState]):
    """Seven words under one check and a heartbeat, always written together (FC16); five words of the PLC are read.

    The PLC counts the parts at its gate, and the block repeats the PLC's number, which is read at the part's first
    sign. A PASS leaves only if two things hold. That number is exactly one higher than at the verdict before: PLC and
    agent have seen the same one new part. And it is still the same now: that part is still at the gate. Otherwise this
    part does not pass, and both go on from the PLC's number (docs/decisions/0017). With ``is_counted`` off the PLC
    gives no numbers and takes ours, 1 + part_seq mod 65535. ``is_confirmed`` wants the PLC's heartbeat to change within
    ``plc_timeout_s``; ``plc_place`` tells a person where it is looked for.
    """

    def __init__(
        self,
        peer: str,
        new_wire: NewWire[DeviceWire[BlockState]],
        *,
        plc_place: str,
        part_present_input: int | None = None,
        pass_hold_s: float,
        refresh_s: float = 0.1,
        write_timeout_s: float = 0.15,
        plc_timeout_s: float = 0.5,
        is_counted: bool = True,
        line: Callable[[], LineNow] = LineNow,
        is_counter_the_sensor: bool = False,
    ) -> None:
        super().__init__(
            peer,
            new_wire,
            part_present_input=part_present_input,
            pass_hold_s=pass_hold_s,
            refresh_s=refresh_s,
            write_timeout_s=write_timeout_s,
        )
        self._is_pass_named = True
        self._plc_place = plc_place
        self._plc_timeout_s = plc_timeout_s
        self._is_counted = is_counted
        self._line = line
        self._is_counter_the_sensor = is_counter_the_sensor
        self._sensed_seq: int | None = None
        self._plc = _UNKNOWN
        self._plc_beat_mono_s = 0.0
        self._seq = 0
        self._begun: tuple[int, int] | None = None
        """The part that began last, and the PLC's number then."""
        self._reason = 0
        self._bundle = 0
        self._beats = 0
        self._is_ack_owed = False
        self.untaken = 0
        """Verdicts that the PLC had not acknowledged when the next one came."""

    @property
    def wanted_program(self) -> int | None:
        """The program that the PLC wants; None while the PLC is not heard."""
        return self._plc.program if self.is_confirmed else None

    @property
    def reject_count(self) -> int | None:
        """The PLC's count of parts in the chute; None while the PLC is not heard."""
        return self._plc.reject_confirm if self.is_confirmed else None

    @property
    def is_confirmed(self) -> bool:
        """The block was read back as written, and the PLC's program runs."""
        return super().is_confirmed and self._is_plc_alive

    @property
    def problem(self) -> str:
        """As ``DeviceOutput.problem``."""
        # Only where the wire is in order: while that is down, its own reason is the one to mend.
        if super().is_confirmed and not self._is_plc_alive:
            return f"the PLC's heartbeat stands still: is its program running, and is {self._plc_place} its register?"
        return super().problem

    @property
    def _is_plc_alive(self) -> bool:
        return monotonic_s() - self._plc_beat_mono_s <= self._plc_timeout_s

    async def read_part_present(self) -> bool:
        """The part-present input; with ``is_counter_the_sensor``: whether the PLC counted on since the last call.

        Raises DriverError.
        """
        if not self._is_counter_the_sensor:
            return await super().read_part_present()
        plc = await self._alone(self._read)
        self._take(plc)
        # The first number that is read on a connection is no part: nobody knows since when it stands there.
        before, self._sensed_seq = self._sensed_seq, plc.trigger_seq
        return before is not None and plc.trigger_seq not in (
            0,
            before,
        )  # 0: it has started again, and no part is there

    async def begin_part(self, part_seq: int, first_sign_mono_s: float) -> None:
        """As ``VerdictOutput.begin_part``. Read too late, the number may be the next part's: then the part has none."""
        self._begun = None
        await super().begin_part(part_seq, first_sign_mono_s)
        if not self._is_counted:
            return
        try:
            plc = await self._alone(self._read)
        except DriverError as err:
            _log.debug("part_not_named", part_seq=part_seq, why=str(err))
            return
        self._take(plc)
        # Measured behind the answer: the PLC may have counted on until then.
        late_s = monotonic_s() - first_sign_mono_s
        if late_s > _AT_ONCE_S:
            _log.warning("part_named_too_late", part_seq=part_seq, late_ms=round(late_s * 1000, 1))
        else:
            self._begun = part_seq, plc.trigger_seq

    def _state(self, *, is_pass: bool) -> BlockState:
        is_ready, line = self._was_ready or is_pass, self._line()
        # Another heartbeat with every write: so a PLC tells a new block from one that only still stands there. In FAULT
        # it stands still, which a PLC sees even if it looks at nothing else (docs/decisions/0032).
        self._beats = (self._beats + 1) % 0x10000 if is_ready else self._beats
        status = Status.READY if is_ready else Status.FAULT
        status |= Status.BYPASS if line.is_bypassed else Status.NONE
        status |= Status.BUSY if line.is_busy else Status.NONE
        return BlockState(
            seq=self._seq,
            verdict=Verdict.PASS if is_pass else Verdict.REJECT,
            # While FAULT the word is about the line and no longer about a part: numbers from 100 on
            # (docs/decisions/0032).
            reason=self._reason if is_ready else line.error or self._reason,
            status=status,
            bundle=self._bundle,
            heartbeat=self._beats,
            program=line.program,
        )

    async def _meet(self, link: DeviceWire[BlockState]) -> None:
        """What stands at the gate when the connection is new is nobody's: the count goes on behind it."""
        # Long ago: the heartbeat has to change on this connection before the PLC counts as alive.
        self._plc_beat_mono_s = 0.0
        self._is_ack_owed = False
        self._sensed_seq = None
        self._reason = self._bundle = 0  # what they said was about a part of the connection before
        self._plc = await self._read(link)
        # Numbers of our own go on: a PASS that is carried out late is of a number that stands there as REJECT already.
        self._seq = self._plc.trigger_seq if self._is_counted else self._seq

    async def _watch(self, link: DeviceWire[BlockState]) -> None:
        self._take(await self._read(link))

    async def _name_part(self, link: DeviceWire[BlockState], part_seq: int, about: tuple[Reason | None, int]) -> bool:
        # Read once more, right before the verdict: the number has to stand now, not only at the part's first sign.
        before = self._seq
        self._take(await self._read(link))
        if self._is_ack_owed and self._plc.ack_seq != before:
            # Counted, and no error: the gate was closed for that part (docs/decisions/0032).
            self.untaken += 1
            _log.warning("plc_did_not_take", seq=before, ack_seq=self._plc.ack_seq, untaken=self.untaken)
        # What is written while FAULT no PLC takes, so it owes no acknowledgement for it.
        self._is_ack_owed = self._was_ready
        reason, bundle = about
        self._reason = 0 if reason is None else REASON_CODES[reason]
        self._bundle = bundle & 0xFFFF
        if not self._is_counted:
            self._seq = 1 + part_seq % 0xFFFF
            return True
        self._seq = self._plc.trigger_seq
        is_next, is_still_there = self._seq == next_seq(before), self._begun == (part_seq, self._seq)
        if not is_next or not is_still_there:
            began = None if self._begun is None else self._begun[1]
            expected = next_seq(before)
            _log.warning("plc_counts_otherwise", part_seq=part_seq, plc=self._seq, expected=expected, began=began)
        return is_next and is_still_there

    async def _read(self, link: DeviceWire[BlockState]) -> PlcWords:
        assert isinstance(link, BlockWire)  # noqa: S101 - it was made by new_wire
        return await link.read_plc()

    def _take(self, plc: PlcWords) -> None:
        if plc.heartbeat != self._plc.heartbeat:
            self._plc_beat_mono_s = monotonic_s()
        self._plc = plc

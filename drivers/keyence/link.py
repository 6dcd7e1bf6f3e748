"""The controller's command port as a ControllerLink: run mode, resynchronisation, polls, events."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from drivers.base import (
    CommandRefused,
    CommandUnknown,
    ControllerClock,
    ControllerResult,
    DriverError,
    NotConnected,
    ProtocolViolation,
)
from drivers.keyence.codec import shown
from drivers.keyence.controller_commands import ControllerCommands, Mode
from drivers.keyence.link_status import SETUP_MODE, STEADY_S, LinkRecord, LinkStatus
from drivers.keyence.reading import read_program_number, read_version
from drivers.keyence.results import ResultParser
from drivers.keyence.session import open_session
from drivers.keyence.tally import Tally
from drivers.timing import Backoff, Deadline, Standstill, monotonic_s, shown_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from drivers.base import ControllerEvent, Dial
    from drivers.keyence.session import Session

__all__ = ["CvxLink", "LinkStatus"]

_log = structlog.get_logger()

_POLL_S = 0.1
"""Replies and results come in one stream, so a network that holds up a result holds up the reply behind it as well.

Such a hold-up is only seen while a reply is due: the more often one is, the sooner (PROTOCOL.md, "Timing").
"""
_SPARING_POLL_S = 0.33
"""On a serial line, and between the polls of a slow controller: results and triggers wait behind each of them."""
_POLLS_SHARE = 0.1
"""The share of the time, at most, in which a poll waits for its reply: only one command may be out, so that a trigger
that comes meanwhile has to wait behind it.
"""
_RUN_MODE_POLL_S = 0.1
# A sibling takes half a second at most (PROTOCOL.md, "Timing"); more than ten mean that somebody keeps it in setup
# mode.
_RUN_MODE_TIMEOUT_S = 10.0
# What was on the wire when OE,0 was answered comes at once behind it: PROTOCOL.md, "Bringing the link up".
_QUIET_S = 0.05
_INSTANT_S = 1e-6
"""Shorter waits end at once, on a clock that has not moved."""
# A controller that sends on for so long does not do what OE,0 asks: the link stays down rather than believe it.
_DRAIN_TIMEOUT_S = 2.0
# One refusal is usual while a program is changed at the controller's screen, three in a row are not.
_REFUSALS_MAX = 3
_STANDSTILL_S = 1.0
"""After a longer gap nothing that was queued may pass a part."""
# After these the count begins again, so that what came before them names other parts (docs/decisions/0018).
_STARTS_ANEW = frozenset({"PW", "RS"})
_TRIGGERS = frozenset({"T1", "T2", "T3", "T4", "TA"})


class CvxLink(ControllerCommands):
    """A CV-X's command port. Idle, unreachable and in setup mode all mean: not up, everything is stale.

    ``dial`` opens the stream: TCP, serial, anything. ``is_serial`` says that it has no connection of its own, so that
    what an earlier program left on the line has to be told apart. One stream, one command in flight, used from one
    event loop. Results are emitted only between a ControllerUp and the next ControllerDown. At most ``_EVENTS_MAX``
    events wait to be taken; more end the connection, because a line whose results nobody takes is not inspected.

    ``poll_s`` is the pause between two polls. A result that was held up on its way is stamped with the time at which
    the command was sent whose reply was held up with it; a hold-up of less than ``poll_s`` and 0.1 s may go unseen.
    """

    def __init__(
        self,
        dial: Dial,
        peer: str,
        *,
        result_items: Sequence[str],
        reply_timeout_s: float,
        delimiter: str = "\r",
        is_serial: bool = False,
        poll_s: float | None = None,
    ) -> None:
        self._dial = dial
        self._peer = peer
        self._parser = ResultParser(result_items)
        self._reply_timeout_s = reply_timeout_s
        self._delimiter = delimiter
        self._is_serial = is_serial
        self._poll_s = poll_s or (_SPARING_POLL_S if is_serial else _POLL_S)
        self._status = LinkRecord(peer, self._drop)
        self._connection: Session | None = None
        self._session: Session | None = None  # the connection, once it was resynchronised
        self._stale_lines = 0
        self._last_line_mono_s = 0.0
        self._unreadable = Tally()
        self._clock: datetime | None = None
        self._results = 0
        self._is_clock_owed = False  # a result came that no told clock follows yet
        self._triggers_out = 0  # accepted, or perhaps so, and no result came yet
        self._is_begun_anew = False
        self._ears: dict[object, Callable[[tuple[str, ...]], object]] = {}
        self._standstill = Standstill(_STANDSTILL_S, self._on_standstill)

    # ControllerLink

    async def run(self) -> None:
        """Connect, bring into run mode, resynchronise, keep alive, reconnect; until cancelled."""
        backoff = Backoff()
        watch = asyncio.create_task(self._standstill.run())
        try:
            while True:
                begun_mono_s = monotonic_s()
                try:
                    await self._serve()
                except DriverError as err:
                    up_s = monotonic_s() - max(begun_mono_s, self._status.up_at_mono_s)
                    flaps = self._status.up_at_mono_s > begun_mono_s and up_s < STEADY_S
                    self._status.go_down(str(err), flaps=flaps)
                spent_s = monotonic_s() - begun_mono_s
                # A connection that stood for a while is worth an attempt at once; one that falls at once is not.
                if spent_s > STEADY_S:
                    backoff.reset()
                    self._status.flaps = Tally()
                await backoff.sleep(spent_s=spent_s)
        finally:
            watch.cancel()
            self._status.close()

    async def next(self) -> ControllerEvent:
        """The next event, in order of arrival. Waits for one."""
        return await self._status.next()

    async def trigger(self, number: int | None, by: Deadline | None = None) -> None:
        """Send T1 to T4, or TA for None; returns when the controller accepted. Raises as ``command`` does.

        Raises NotConnected while the link is not up: the result of a part that is triggered before would be dropped.
        """
        if not self._status.is_live:
            raise NotConnected(f"{self._peer} is not up: {self._status.why_down or 'not connected yet'}")
        await super().trigger(number, by)

    def begin_anew(self, why: str) -> None:
        """Leave this connection: the next one clears what the controller still has to output.

        Down until then, and until the controller's clock shows another second (``SessionClock.wait_another_second``).
        """
        if self._session is not None:
            self._is_begun_anew = True
            self._session.drop(NotConnected(why))

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        """Send any command of PROTOCOL.md; the values of its reply.

        One that changes the program or the count brings the link down for its own time: what comes around it is
        stale, and the link says up again with the new program. Raises NotConnected, DeadlineMissed (the connection is
        dropped), CommandRefused, ProtocolViolation.
        """
        session = self._session
        if session is None:
            raise NotConnected(f"{self._peer} is not connected: {self._status.why_down or 'not yet'}")
        if name in _TRIGGERS:
            return await self._send_trigger(session, name, *args, by=by)
        # While the link is down a resynchronisation is to come anyway.
        if name not in _STARTS_ANEW or not self._status.is_live:
            return await session.command(name, *args, by=by)
        self._status.go_down(f"{name} was sent")
        try:
            try:
                return await session.command(name, *args, by=by)
            finally:
                if not session.is_lost:
                    await self._resynchronise(session)
        except BaseException as err:
            if not self.status().is_up:
                session.drop(NotConnected(f"{self._peer}: no resynchronisation after {name}: {err!r}"))
            raise

    async def _send_trigger(
        self, session: Session, name: str, *args: str, by: Deadline | None = None
    ) -> tuple[str, ...]:
        # Counted before it is sent: whether the controller took a trigger whose reply was lost nobody knows.
        self._triggers_out += 1
        try:
            return await session.command(name, *args, by=by)
        except BaseException:
            if not session.is_lost:  # refused, or never sent: nothing is imaged
                self._count_result()
            raise

    def _count_result(self) -> None:
        self._triggers_out = max(0, self._triggers_out - 1)

    # for a person at this PC

    def status(self) -> LinkStatus:
        """How the link stands now."""
        return self._status.status

    def listen(self, on_line: Callable[[tuple[str, ...]], object]) -> Callable[[], None]:
        """Hear every line of result output from now on, stale ones included; gives what ends it."""
        key = object()
        self._ears[key] = on_line

        def stop() -> None:
            self._ears.pop(key, None)

        return stop

    # one connection

    async def _serve(self) -> None:
        session = await open_session(
            self._dial,
            self._peer,
            self._on_result,
            reply_timeout_s=self._reply_timeout_s,
            delimiter=self._delimiter,
        )
        # Not ``_session`` yet: no command may be sent from outside before the link was resynchronised.
        self._connection, self._stale_lines = session, 0
        try:
            if self._is_serial:
                await session.find_beginning()
            await self._enter_run_mode(session)
            while True:
                await self._resynchronise(session)
                self._session = session
                await self._keep_alive(session)
                # Somebody chose setup mode: wait for them, never push R0 under their hands.
                self._status.go_down(SETUP_MODE)
                while await session.read_mode() is Mode.SETUP:
                    await self._pause_before_poll(session)
        finally:
            self._status.is_live = False
            self._connection, self._session = None, None
            self._status.was_thrown_out = session.was_ended_by_peer
            await session.aclose()

    async def _pause_unless_result(self, session: Session, by: Deadline) -> bool:
        """Wait until then; true, and sooner, if a result comes whose time the controller's clock is to prove."""
        while not self._is_clock_owed:
            try:
                async with asyncio.timeout(by.left_s()):
                    await session.wait_stirred()
            except TimeoutError:
                return False
            if session.is_lost:
                raise session.error
        return True

    async def _pause_before_poll(self, session: Session) -> None:
        # With a slow controller longer pauses, up to a third of a second; the share of waiting stays the same till
        # then.
        sparing_s = min(session.quickest_reply_s * (1 - _POLLS_SHARE) / _POLLS_SHARE, _SPARING_POLL_S)
        by = Deadline.after(max(self._poll_s, sparing_s))
        while await self._pause_unless_result(session, by):
            # A part waits for this proof that its result is of now.
            await self._follow_clock(session)

    async def _follow_clock(self, session: Session) -> None:
        """A clock that was set back makes every image look older than the link: begin anew with what it says now."""
        # Noted before the question: the answer proves the time of those results only that had come by then
        # (docs/decisions/0047).
        results = self._results
        clock = await session.clock.read()
        follows_results = results == self._results
        self._is_clock_owed = clock is not None and not follows_results
        if self._clock is None or (clock is not None and clock >= self._clock):
            self._clock = clock
            if clock is not None:
                self._status.tell_clock(ControllerClock(clock, follows_results))
            return
        now = shown_time(clock) or "nothing"
        self._status.go_down(f"the controller's clock went back from {shown_time(self._clock)} to {now}")
        await self._resynchronise(session)

    async def _enter_run_mode(self, session: Session) -> None:
        if await session.read_mode() is Mode.RUN:
            return
        await session.enter_run_mode()
        # R0 is answered at once, the mode changes later.
        by = Deadline.after(_RUN_MODE_TIMEOUT_S)
        while await session.read_mode() is Mode.SETUP:
            if by.has_passed:
                raise ProtocolViolation(f"{self._peer} took R0 but is not in run mode after {_RUN_MODE_TIMEOUT_S:g} s")
            await session.pause(_RUN_MODE_POLL_S)

    async def _resynchronise(self, session: Session) -> None:
        """Clear what the controller still had to output, then open the outputs and say Up."""
        # This clears what the controller had queued while nobody listened: it would look as if it was of now
        # (docs/decisions/0011).
        await session.enable_output(on=False)
        await self._drain(session)
        await session.enable_output(on=True)
        with suppress(CommandUnknown):  # what cannot block triggers does not
            await session.enable_triggers(on=True)
        # The image of an unanswered trigger may still come, and would be taken for that of the next one
        # (docs/decisions/0045).
        if self._triggers_out or self._is_begun_anew:
            await session.clock.wait_another_second()
        # The clock is read last of all, as near as can be to the moment in which the link is up (docs/decisions/0036).
        program = await read_program_number(session)
        version = await read_version(session, self._peer)
        self._clock, self._is_clock_owed = await session.clock.read(), False
        if session.is_lost:
            raise session.error
        if self._stale_lines:
            (_log.info if self._status.is_said else _log.debug)(
                "stale_lines_dropped", peer=self._peer, lines=self._stale_lines
            )
            self._stale_lines = 0
        self._triggers_out, self._is_begun_anew = 0, False
        self._status.go_up(program, version, self._clock)

    async def _drain(self, session: Session) -> None:
        """Wait until no line came for a moment: what was on the wire when OE,0 was answered is read and dropped."""
        by = Deadline.after(_DRAIN_TIMEOUT_S)
        self._last_line_mono_s = monotonic_s()
        while (left_s := self._last_line_mono_s + _QUIET_S - monotonic_s()) > _INSTANT_S:
            if by.has_passed:
                raise ProtocolViolation(f"{self._peer} goes on sending results after OE,0")
            await session.pause(left_s)

    async def _keep_alive(self, session: Session) -> None:
        """Poll RM, PR and TR in turn. Returns when the controller is in setup mode, raises when the link is lost."""
        refusals = 0
        while True:
            await self._pause_before_poll(session)
            if await session.read_mode() is Mode.SETUP:
                return
            await self._pause_before_poll(session)
            try:
                program = await read_program_number(session)
            except CommandRefused as err:
                # PR is for run mode only: the next poll tells whether that is why.
                refusals += 1
                if refusals >= _REFUSALS_MAX:
                    raise ProtocolViolation(f"{self._peer} is in run mode but does not tell its program") from err
                continue
            refusals = 0
            self._status.set_program(program)
            await self._pause_before_poll(session)
            await self._follow_clock(session)

    # events

    def _on_standstill(self, still_s: float) -> None:
        """What waited on the wire meanwhile is of parts that left: begin anew, as after any other gap."""
        if self._connection is not None:
            self._status.is_live = False
            self._connection.drop(NotConnected(f"{self._peer}: this process stood still for {still_s:.1f} s"))

    def _on_result(self, fields: tuple[str, ...], at_mono_s: float) -> None:
        # Before the line is taken for live: the timer of the standstill may get its turn behind it
        # (docs/decisions/0035).
        self._standstill.look()
        self._last_line_mono_s = monotonic_s()
        # A copy: whoever listens may stop to do so from within the call.
        for on_line in tuple(self._ears.values()):
            on_line(fields)
        if not self._status.is_live:
            self._stale_lines += 1
            return
        result = self._parser.parse(fields, at_mono_s)
        if (result.count, result.program, result.judgement) == (None, None, None) and not result.values:
            self._note_unreadable(result)
        if result.count is not None:
            self._count_result()
        self._results += 1
        # A controller that never told its clock is not asked for it behind each part.
        self._is_clock_owed = self._clock is not None
        self._status.emit(result)

    def _note_unreadable(self, result: ControllerResult) -> None:
        """A flood of bad lines is said 1, 2, 4, 8, ... times."""
        if self._unreadable.is_worth_saying():
            _log.warning(
                "result_unreadable",
                peer=self._peer,
                line=shown(",".join(result.fields)),
                times=self._unreadable.count,
                hint="[controller] result_items must name every field of the controller's output list, in its order",
            )

    def _drop(self, err: DriverError) -> None:
        if self._connection is not None:
            self._connection.drop(err)

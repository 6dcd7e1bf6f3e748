"""The verdict on a device, whatever its wire. Silence is reject; PASS is a window that ends by itself."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import structlog

from drivers.base import DriverError, NotConnected, Published, Verdict
from drivers.output.outage import Outage
from drivers.output.questions import DeviceQuestions
from drivers.timing import Backoff, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from drivers.base import Reason
    from drivers.output.wire import DeviceWire, NewWire
    from drivers.timing import Deadline

__all__ = ["DeviceOutput"]

_log = structlog.get_logger(__name__)
_RECONNECT_CAP_S = 1.0


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a PASS that is asked for rests on: looked at again before and after every step of its write."""

    part_seq: int
    by: Deadline
    withdrawals: int
    may_pass: Callable[[], bool]


S = TypeVar("S")
A = TypeVar("A")


class DeviceOutput(DeviceQuestions[S]):
    """The verdict as a state that is written whole, in one request, and proven.

    What a state is the styles say: four levels (``LevelOutput``), or a block of words that names its part
    (``BlockOutput``).

    Idle, closed, crashed and unreachable all mean REJECT (PASS 0, REJECT 1). PASS stands for ``pass_hold_s``
    at most and only while ``run`` runs, the peer confirms every refresh, and the line is ready. One connection,
    one request at a time; the next part's ``withdraw`` overtakes a verdict that is still waiting to be written.
    """

    def __init__(
        self,
        peer: str,
        new_wire: NewWire[DeviceWire[S]],
        *,
        part_present_input: int | None,
        pass_hold_s: float,
        refresh_s: float,
        write_timeout_s: float,
    ) -> None:
        if not (pass_hold_s > 0 and refresh_s > 0 and write_timeout_s > 0):
            raise ValueError("pass_hold_s, refresh_s and write_timeout_s must be above 0")
        super().__init__(part_present_input)
        self._peer = peer
        self._new_wire = new_wire
        self._pass_hold_s = pass_hold_s
        self._refresh_s = refresh_s
        self._write_timeout_s = write_timeout_s

        self._link: DeviceWire[S] | None = None
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._is_running = False
        self._may_dial = False
        self._is_ready: Callable[[], bool] = lambda: False
        self._was_ready = False
        self._heartbeat = False
        self._window_ends_mono_s: float | None = None
        self._up_mono_s = 0.0
        self._pass_may_stand = False
        self._is_pass_named = False
        self._withdrawals = 0
        self._newest_seq = -1
        self._outage = Outage()

    @property
    def is_confirmed(self) -> bool:
        """The peer is there and its outputs were read back as what was last written."""
        return self._is_running and self._link is not None and self._link.is_up

    @property
    def problem(self) -> str:
        """What is wrong with the output, in words; empty while it is confirmed."""
        return "" if self.is_confirmed else self._outage.problem

    async def run(self, is_ready: Callable[[], bool]) -> None:
        """Connect, write REJECT, read back, refresh; reconnect; until cancelled. Leaves REJECT behind.

        Raises RuntimeError where it runs already.
        """
        if self._is_running:
            raise RuntimeError("this output already runs")
        self._is_ready = is_ready
        self._is_running = self._may_dial = True
        self._outage.begins()
        backoff, is_steady = Backoff(cap_s=_RECONNECT_CAP_S), False
        try:
            while True:
                due_mono_s = monotonic_s() + self._refresh_s
                async with self._lock:
                    is_up = await self._refresh()
                if not is_up:
                    await backoff.sleep()
                    continue
                await self._wait_until(due_mono_s)
                if self._link is not None and self._link.is_up:
                    is_steady = monotonic_s() - self._up_mono_s >= _RECONNECT_CAP_S
                    if is_steady:
                        backoff.reset()
                elif is_steady:
                    is_steady = False  # it is made anew at once
                elif not self._pass_may_stand:
                    # Lost as soon as it was there: a device that refuses every question is not asked on a new
                    # connection fifty times a second. It has only so many.
                    await backoff.sleep()
        finally:
            self._is_running = False
            self._end_window("stopped")
            await self._leave_reject()

    def publish(
        self,
        part_seq: int,
        verdict: Verdict,
        by: Deadline,
        reason: Reason | None = None,
        bundle: int = 0,
        *,
        may_pass: Callable[[], bool] = lambda: True,
    ) -> Coroutine[object, object, Published]:
        """Write the verdict, compare the echo, read it back. Never raises for a peer's fault.

        What counts as withdrawn is decided when this is called, not when it is first awaited: a verdict that
        waits in a task is void once ``withdraw`` was called behind it. ``reason`` and ``bundle`` go where there is
        room for them: the register block.
        """
        return self._publish(verdict, _Claim(part_seq, by, self._withdrawals, may_pass), (reason, bundle))

    async def begin_part(self, part_seq: int, first_sign_mono_s: float) -> None:
        """As ``VerdictOutput.begin_part``; coils have no names."""
        del first_sign_mono_s
        self._newest_seq = max(self._newest_seq, part_seq)
        await self.withdraw()

    async def withdraw(self) -> None:
        """End a PASS window now. Returns when REJECT is written or the peer is down.

        REJECT is written even where no PASS of ours is known to stand: a device may carry out late what it was told on
        a connection that was given up, and another client may write. Not where a PASS names its part.
        """
        self._withdrawals += 1
        self._end_window("withdrawn")
        if self._may_withdraw:
            async with self._lock:
                if self._may_withdraw:
                    await self._make_reject()

    @property
    def _may_withdraw(self) -> bool:
        is_up = self._link is not None and self._link.is_up
        return self._may_dial and (self._pass_may_stand or (is_up and not self._is_pass_named))

    async def _alone(self, ask: Callable[[DeviceWire[S]], Awaitable[A]]) -> A:
        """Ask the peer something between two refreshes. Raises DriverError; a failure ends the connection."""
        async with self._lock:
            if self._link is None or not self._is_running:
                raise NotConnected(f"the remote I/O is not connected: {self._outage.problem}")
            try:
                return await ask(self._link)
            except DriverError as err:
                self._lose(err)
                raise

    def _new_link(self) -> DeviceWire[S]:
        """A connection that was not opened yet."""
        return self._new_wire(on_lost=self._wake.set)

    @abstractmethod
    def _state(self, *, is_pass: bool) -> S:
        """What stands on the wire now, with READY and HEARTBEAT as they are."""

    async def _meet(self, link: DeviceWire[S]) -> None:
        """A new connection is open and nothing was written yet. Raises DriverError."""

    async def _watch(self, link: DeviceWire[S]) -> None:
        """After each refresh. Raises DriverError."""

    async def _name_part(self, link: DeviceWire[S], part_seq: int, about: tuple[Reason | None, int]) -> bool:
        """Make the next state be of this part; false if the peer has another one in mind. Raises DriverError."""
        del link, part_seq, about
        return True

    async def _publish(self, verdict: Verdict, claim: _Claim, about: tuple[Reason | None, int]) -> Published:
        part_seq = claim.part_seq
        if not self.is_confirmed and not (self._pass_may_stand and self._may_dial):
            return Published.FAILED
        async with self._lock:
            is_named = await self._named(part_seq, about)
            if verdict is not Verdict.PASS:
                return await self._publish_reject(claim.by)
            spoiled = self._why_not(claim)
            if spoiled is not None:
                return spoiled
            if not is_named:
                return Published.WITHHELD if await self._make_reject() else Published.FAILED
            spoiled = await self._write_pass(claim)
            if spoiled is None:
                self._newest_seq = part_seq
                self._window_ends_mono_s = monotonic_s() + self._pass_hold_s
                self._wake.set()
                return Published.PUBLISHED
            self._end_window("spoiled")
            is_reject_proven = await self._make_reject()
            _log.info("output_pass_taken_back", part_seq=part_seq, outcome=str(spoiled), is_proven=is_reject_proven)
            return spoiled if is_reject_proven else Published.FAILED

    async def _named(self, part_seq: int, about: tuple[Reason | None, int]) -> bool:
        if self._link is None or not self._link.is_up:
            return False
        try:
            return await self._name_part(self._link, part_seq, about)
        except DriverError as err:
            self._lose(err)
            return False

    async def _publish_reject(self, by: Deadline) -> Published:
        self._end_window("rejected")
        if not self._may_dial or not await self._make_reject():
            return Published.FAILED
        return Published.LATE if by.has_passed else Published.PUBLISHED

    async def _write_pass(self, claim: _Claim) -> Published | None:
        """PASS on the wire and proven, or what spoiled it. The deadline does not cut a request short.

        A request that was sent is waited for: giving it up means a new connection, which takes longer than the
        answer and leaves open whether the device still carries it out.
        """
        link = self._link
        if link is None:
            return Published.FAILED
        state = self._state(is_pass=True)
        self._pass_may_stand = True
        try:
            await link.write(state)
            spoiled = self._why_not(claim)
            if spoiled is None:
                await link.read_back(state)
                spoiled = self._why_not(claim)
        except DriverError as err:
            self._lose(err)
            return Published.FAILED
        return spoiled

    def _why_not(self, claim: _Claim) -> Published | None:
        """Why PASS must not stand for this part, None if it may."""
        if not self.is_confirmed:
            return Published.FAILED
        if claim.withdrawals != self._withdrawals or claim.part_seq < self._newest_seq or not self._is_ready():
            return Published.WITHHELD
        if claim.by.has_passed:
            return Published.LATE
        return None if claim.may_pass() else Published.WITHHELD

    async def _refresh(self) -> bool:
        """Write and prove the state that is due; on a fresh connection REJECT first. False: the peer is down."""
        if self._link is None or not self._link.is_up:
            return await self._make_reject()
        self._was_ready = self._is_ready()
        if not self._was_ready:
            self._end_window("not ready")
        elif self._window_ends_mono_s is not None and monotonic_s() >= self._window_ends_mono_s:
            self._end_window("held")
        if self._was_ready:
            self._heartbeat = not self._heartbeat
        if self._window_ends_mono_s is None and not await self._make_reject():
            return False
        link = self._link
        try:
            if self._window_ends_mono_s is not None:
                await link.write_proven(self._state(is_pass=True))
            if link.is_up:
                await self._watch(link)
        except DriverError as err:
            self._lose(err)
            return await self._make_reject()
        return True

    async def _make_reject(self) -> bool:
        """REJECT written and read back: on the connection there is, else on a new one, tried once."""
        is_proven = await self._says_reject() or await self._says_reject_anew()
        if is_proven:
            self._pass_may_stand = False
        return is_proven

    async def _says_reject(self) -> bool:
        if self._link is None:
            return False
        try:
            await self._link.write_proven(self._state(is_pass=False))
        except DriverError as err:
            self._lose(err)
            return False
        return True

    async def _says_reject_anew(self) -> bool:
        """Whatever the old connection still carried is void behind a new one that proved REJECT."""
        link = self._new_link()
        self._was_ready = self._heartbeat = False
        try:
            await link.open()
            await link.prepare()
            await self._meet(link)
            await link.write_proven(self._state(is_pass=False))
        except DriverError as err:
            link.abort()
            self._lose(err)
            return False
        except BaseException:
            link.abort()
            raise
        self._link = link
        self._up_mono_s = monotonic_s()
        self._outage.ends(self._peer)
        return True

    async def _leave_reject(self) -> None:
        """The last word on the wire. Bounded: one exchange on the old connection, a dial and one on a new."""
        self._was_ready = self._heartbeat = False
        try:
            async with asyncio.timeout(8 * self._write_timeout_s), self._lock:
                is_proven = await self._make_reject()
        except TimeoutError:
            is_proven = False
        finally:
            self._may_dial = False
            link, self._link = self._link, None
            if link is not None:
                link.close()
        if not is_proven:
            _log.warning(
                "output_left_unproven",
                problem=self._outage.problem,
                relies_on="the remote I/O's own watchdog, or the PLC's program",
            )

    async def _wait_until(self, due_mono_s: float) -> None:
        """Sleep until the next refresh is due, the window ends, or the connection is lost."""
        while self._link is not None and self._link.is_up:
            until_mono_s = min(due_mono_s, self._window_ends_mono_s or due_mono_s)
            left_s = until_mono_s - monotonic_s()
            if left_s <= 0:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _end_window(self, why: str) -> None:
        if self._window_ends_mono_s is not None:
            self._window_ends_mono_s = None
            self._wake.set()
            _log.debug("output_window_ended", why=why)

    def _lose(self, err: DriverError) -> None:
        """Drop the connection and say so, loudly once an outage."""
        if self._link is not None:
            self._link.abort()
            self._link = None
            self._wake.set()
        self._end_window("lost")
        # Stopping may cut a refresh short; what matters then is whether REJECT was left, and that is said apart.
        self._outage.goes_on(err, is_loud=self._is_running)

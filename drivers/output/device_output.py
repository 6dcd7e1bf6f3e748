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
# A line waits for nobody: a device that returns is noticed within a second. A connection that stood for as long is
# called steady.
_RECONNECT_CAP_S = 1.0


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a PASS that is asked for rests on, looked at again before and after every step of its write.

    Each step waits for the device: a newer part or a fault may come meanwhile.
    """

    part_seq: int
    by: Deadline
    withdrawals: int
    """How often ``withdraw`` had been called when the PASS was asked for: one call more, and the claim is void."""
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
        # Two that nobody reads before they are set: by ``run``, and with each connection.
        self._is_ready: Callable[[], bool]
        self._up_mono_s: float
        self._is_running = self._may_dial = False
        self._was_ready = self._heartbeat = False
        self._window_ends_mono_s: float | None = None
        self._pass_may_stand = self._is_pass_named = False
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
                # Counted from before the refresh: the device's watchdog is fed at the same pace, however slow the
                # answer is.
                due_mono_s = monotonic_s() + self._refresh_s
                async with self._lock:
                    is_up = await self._refresh()
                if not is_up:
                    await backoff.sleep()
                    continue
                await self._wait_until(due_mono_s)
                if self._link is not None and self._link.is_up:
                    is_steady = monotonic_s() - self._up_mono_s >= _RECONNECT_CAP_S
                    # A connection that is dropped as soon as it is made must not reset the pauses.
                    if is_steady:
                        backoff.reset()
                elif is_steady:
                    is_steady = False  # it is made anew at once
                elif not self._pass_may_stand:
                    # Lost as soon as it was there: a device that refuses every question is not asked on a new
                    # connection fifty times a second. It has only so many. Where a PASS may still stand nothing is
                    # waited for: REJECT has to be proven.
                    await backoff.sleep()
        finally:
            self._is_running = False
            # However this ends, also when it is cancelled in the middle of a request: REJECT is the last word.
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
        # Before anything is waited for: a PASS of an older part that looks meanwhile has to find the newer number.
        self._newest_seq = max(self._newest_seq, part_seq)
        await self.withdraw()

    async def withdraw(self) -> None:
        """End a PASS window now. Returns when REJECT is written or the peer is down.

        REJECT is written even where no PASS of ours is known to stand: a device may carry out late what it was told on
        a connection that was given up, and another client may write. Not where a PASS names its part.
        """
        # Counted first, written second: a PASS that waits for the lock, or is on the wire, finds the higher count and
        # takes itself back (docs/decisions/0008, "withdraw overtakes").
        self._withdrawals += 1
        self._end_window("withdrawn")
        if self._may_withdraw:
            async with self._lock:
                # Asked again behind the wait: whoever had the lock may have written REJECT, or lost the connection.
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
        """A connection that was not opened yet. Its loss wakes ``run`` before the next refresh is due."""
        return self._new_wire(on_lost=self._wake.set)

    @abstractmethod
    def _state(self, *, is_pass: bool) -> S:
        """What stands on the wire now, with READY and HEARTBEAT as they are."""

    async def _meet(self, link: DeviceWire[S]) -> None:
        """A new connection is open and nothing was written yet. Raises DriverError."""

    async def _watch(self, link: DeviceWire[S]) -> None:
        """After each refresh. Raises DriverError."""

    async def _name_part(self, link: DeviceWire[S], part_seq: int, about: tuple[Reason | None, int]) -> bool:
        """Let the next state name this part; false if the device has another part at its gate. Raises DriverError."""
        del link, part_seq, about
        return True

    async def _publish(self, verdict: Verdict, claim: _Claim, about: tuple[Reason | None, int]) -> Published:
        part_seq = claim.part_seq
        # Where an earlier PASS may still stand, a connection that is down is no reason to give up: REJECT is worth a
        # new one.
        if not self.is_confirmed and not (self._pass_may_stand and self._may_dial):
            return Published.FAILED
        async with self._lock:
            # For a REJECT as well: the block says of which part it is, and why.
            is_named = await self._named(part_seq, about)
            if verdict is not Verdict.PASS:
                return await self._publish_reject(claim.by)
            spoiled = self._why_not(claim)
            if spoiled is not None:
                return spoiled
            # The part itself may pass, but the PLC has another one at its gate, and would open for that
            # (docs/decisions/0017).
            if not is_named:
                return Published.WITHHELD if await self._make_reject() else Published.FAILED
            spoiled = await self._write_pass(claim)
            if spoiled is None:
                self._newest_seq = part_seq
                # Only now, when PASS is proven. An answer that took long makes the window end later; the settings count
                # it (docs/decisions/0008).
                self._window_ends_mono_s = monotonic_s() + self._pass_hold_s
                self._wake.set()
                return Published.PUBLISHED
            self._end_window("spoiled")
            is_reject_proven = await self._make_reject()
            _log.info("output_pass_taken_back", part_seq=part_seq, outcome=str(spoiled), is_proven=is_reject_proven)
            return spoiled if is_reject_proven else Published.FAILED

    async def _named(self, part_seq: int, about: tuple[Reason | None, int]) -> bool:
        if self._link is not None and self._link.is_up:
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
        assert link is not None  # noqa: S101 - ``_why_not`` has just seen that it is up
        # Kept for both requests: the read-back has to compare with what was written, heartbeat included.
        state = self._state(is_pass=True)
        # Before the write: from the first byte on nobody can say that no PASS stands.
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
        # The cheap facts first; ``may_pass`` asks the engine to decide the part once more.
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
        # REJECT is written at every refresh, also where nothing changed: it overwrites a PASS that a device carried out
        # late (docs/decisions/0008), and feeds the device's watchdog.
        if self._window_ends_mono_s is None and not await self._make_reject():
            return False
        link = self._link
        try:
            if self._window_ends_mono_s is not None:
                await link.write_proven(self._state(is_pass=True))
            # ``_make_reject`` above may have taken a new connection: then the old one is not asked.
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
            # Room for what may come one after the other: a request of somebody else, an exchange on the old connection,
            # and on a new one the dial, the watchdog, and a write with its read.
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
            # Cleared before the wait and looked at in each round: a wake between the two is not lost.
            self._wake.clear()
            try:
                async with asyncio.timeout(until_mono_s - monotonic_s()):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _end_window(self, why: str) -> None:
        if self._window_ends_mono_s is not None:
            self._window_ends_mono_s = None
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

"""The verdict as coils of a Modbus TCP remote I/O. Silence is reject; PASS is a window that ends by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from drivers.base import DriverError, NotConnected, Published, Verdict
from drivers.modbus.coils import COIL_NAMES, RESTING, CoilState
from drivers.modbus.connection import CoilConnection
from drivers.timing import Backoff, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from drivers.timing import Deadline

__all__ = ["CoilOutput"]

_log = structlog.get_logger(__name__)
_RECONNECT_CAP_S = 1.0
_SAY_AGAIN_AFTER_S = 5.0
"""A peer that comes and goes is said once in this time, or it would fill the log."""


def _never_ready() -> bool:
    return False


class CoilOutput:
    """PASS, REJECT, READY and HEARTBEAT as four coils in a row, always written together in one request.

    Idle, closed, crashed and unreachable all mean REJECT (PASS 0, REJECT 1). PASS stands for ``pass_hold_s``
    at most and only while ``run`` runs, the peer confirms every refresh, and the line is ready. One connection,
    one request at a time; the next part's ``withdraw`` overtakes a verdict that is still waiting to be written.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        unit: int = 1,
        first_coil: int = 0,
        part_present_input: int | None = None,
        pass_hold_s: float,
        refresh_s: float = 0.1,
        write_timeout_s: float = 0.15,
    ) -> None:
        if not 0 <= first_coil <= 0x10000 - len(COIL_NAMES):
            raise ValueError(f"first_coil {first_coil}: {len(COIL_NAMES)} coils must fit below 65536")
        if not (pass_hold_s > 0 and refresh_s > 0 and write_timeout_s > 0):
            raise ValueError("pass_hold_s, refresh_s and write_timeout_s must be above 0")
        self._host = host
        self._port = port
        self._unit = unit
        self._first_coil = first_coil
        self._part_present_input = part_present_input
        self._pass_hold_s = pass_hold_s
        self._refresh_s = refresh_s
        self._write_timeout_s = write_timeout_s

        self._link: CoilConnection | None = None
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._is_running = False
        self._may_dial = False
        self._is_ready: Callable[[], bool] = _never_ready
        self._was_ready = False
        self._heartbeat = False
        self._window_ends_mono_s: float | None = None
        self._pass_may_stand = False
        self._withdrawals = 0
        self._newest_seq = -1
        self._problem = "not connected yet"
        self._down_since_mono_s: float | None = None
        self._tries = 0
        self._is_outage_said = False
        self._was_ever_up = False
        self._quiet_until_mono_s = 0.0

    @property
    def is_confirmed(self) -> bool:
        """The peer is there and its outputs were read back as what was last written."""
        return self._is_running and self._link is not None and self._link.is_up

    @property
    def problem(self) -> str:
        """What is wrong with the output, in words; empty while it is confirmed."""
        return "" if self.is_confirmed else self._problem

    async def run(self, is_ready: Callable[[], bool]) -> None:
        """Connect, write REJECT, read back, refresh; reconnect; until cancelled. Leaves REJECT behind."""
        if self._is_running:
            raise RuntimeError("this output already runs")
        self._is_ready = is_ready
        self._is_running = self._may_dial = True
        self._down_since_mono_s = monotonic_s()
        backoff = Backoff(cap_s=_RECONNECT_CAP_S)
        try:
            while True:
                due_mono_s = monotonic_s() + self._refresh_s
                async with self._lock:
                    is_up = await self._refresh()
                if is_up:
                    backoff.reset()
                    await self._wait_until(due_mono_s)
                else:
                    await backoff.sleep()
        finally:
            self._is_running = False
            self._end_window("stopped")
            await self._leave_reject()

    def publish(self, part_seq: int, verdict: Verdict, by: Deadline) -> Coroutine[object, object, Published]:
        """Write the verdict, compare the echo, read it back. Never raises for a peer's fault.

        What counts as withdrawn is decided when this is called, not when it is first awaited: a verdict that
        waits in a task is void once ``withdraw`` was called behind it.
        """
        return self._publish(part_seq, verdict, by, self._withdrawals)

    async def withdraw(self) -> None:
        """End a PASS window now: the next part is here. Returns when REJECT is written or the peer is down."""
        self._withdrawals += 1
        self._end_window("withdrawn")
        if self._pass_may_stand and self._may_dial:
            async with self._lock:
                if self._pass_may_stand and self._may_dial:
                    await self._make_reject()

    async def read_part_present(self) -> bool:
        """The part-present input. Raises NotConnected, or DriverError where none is configured."""
        if self._part_present_input is None:
            raise DriverError("no part-present input is configured: set output.part_present_input in line.toml")
        async with self._lock:
            if self._link is None or not self._is_running:
                raise NotConnected(f"the remote I/O is not connected: {self._problem}")
            try:
                return await self._link.read_input(self._part_present_input)
            except DriverError as err:
                self._lose(err)
                raise

    async def _publish(self, part_seq: int, verdict: Verdict, by: Deadline, withdrawals: int) -> Published:
        if not self.is_confirmed and not (self._pass_may_stand and self._may_dial):
            return Published.FAILED
        async with self._lock:
            if verdict is not Verdict.PASS:
                return await self._publish_reject(by)
            spoiled = self._why_not(part_seq, by, withdrawals)
            if spoiled is not None:
                return spoiled
            spoiled = await self._write_pass(part_seq, by, withdrawals)
            if spoiled is None:
                self._newest_seq = part_seq
                self._window_ends_mono_s = monotonic_s() + self._pass_hold_s
                self._wake.set()
                return Published.PUBLISHED
            self._end_window("spoiled")
            is_reject_proven = await self._make_reject()
            _log.info("output_pass_taken_back", part_seq=part_seq, outcome=str(spoiled), is_proven=is_reject_proven)
            return spoiled if is_reject_proven else Published.FAILED

    async def _publish_reject(self, by: Deadline) -> Published:
        self._end_window("rejected")
        if not self._may_dial or not await self._make_reject():
            return Published.FAILED
        return Published.LATE if by.has_passed else Published.PUBLISHED

    async def _write_pass(self, part_seq: int, by: Deadline, withdrawals: int) -> Published | None:
        """PASS on the wire and proven, or what spoiled it. The deadline does not cut a request short.

        A request that was sent is waited for: giving it up means a new connection, which takes longer than the
        answer and leaves open whether the device still carries it out.
        """
        link = self._link
        if link is None:
            return Published.FAILED
        state = CoilState(is_pass=True, is_ready=True, heartbeat=self._heartbeat)
        self._pass_may_stand = True
        try:
            await link.write(self._first_coil, state)
            spoiled = self._why_not(part_seq, by, withdrawals)
            if spoiled is None:
                await link.read_back(self._first_coil, state)
                spoiled = self._why_not(part_seq, by, withdrawals)
        except DriverError as err:
            self._lose(err)
            return Published.FAILED
        return spoiled

    def _why_not(self, part_seq: int, by: Deadline, withdrawals: int) -> Published | None:
        """Why PASS must not stand for this part, None if it may."""
        if not self.is_confirmed:
            return Published.FAILED
        if withdrawals != self._withdrawals or part_seq < self._newest_seq or not self._is_ready():
            return Published.WITHHELD
        return Published.LATE if by.has_passed else None

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
        is_pass = self._window_ends_mono_s is not None
        if not is_pass:
            return await self._make_reject()
        try:
            await self._link.write_proven(self._first_coil, CoilState(is_pass, self._was_ready, self._heartbeat))
        except DriverError as err:
            self._lose(err)
            return await self._make_reject()
        return True

    async def _make_reject(self) -> bool:
        """REJECT written and read back: on the connection there is, else on a new one, tried once."""
        if self._link is not None:
            state = CoilState(is_ready=self._was_ready, heartbeat=self._heartbeat)
            try:
                await self._link.write_proven(self._first_coil, state)
            except DriverError as err:
                self._lose(err)
            else:
                self._pass_may_stand = False
                return True
        # Whatever the old connection still carried is void behind a new one that proved REJECT.
        link = CoilConnection(
            self._host, self._port, unit=self._unit, timeout_s=self._write_timeout_s, on_lost=self._wake.set
        )
        self._was_ready = self._heartbeat = False
        try:
            await link.open()
            await link.write_proven(self._first_coil, RESTING)
        except DriverError as err:
            self._lose(err)
            return False
        self._link = link
        self._pass_may_stand = False
        self._found()
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
            _log.warning("output_left_unproven", problem=self._problem, relies_on="the remote I/O's own watchdog")

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
        self._problem = str(err)
        if self._down_since_mono_s is None:
            self._down_since_mono_s = monotonic_s()
        self._tries += 1
        say = _log.debug
        # Stopping may cut a refresh short; what matters then is whether REJECT was left, and that is said apart.
        if self._is_running and not self._is_outage_said and monotonic_s() >= self._quiet_until_mono_s:
            say = _log.warning
            self._is_outage_said = True
            self._quiet_until_mono_s = monotonic_s() + _SAY_AGAIN_AFTER_S
        say("output_lost", problem=self._problem, error=type(err).__name__, tries=self._tries)

    def _found(self) -> None:
        down_s = 0.0 if self._down_since_mono_s is None else monotonic_s() - self._down_since_mono_s
        say = _log.info if self._is_outage_said or not self._was_ever_up else _log.debug
        say("output_confirmed", peer=f"{self._host}:{self._port}", outage_s=round(down_s, 3), tries=self._tries)
        self._down_since_mono_s = None
        self._is_outage_said = False
        self._was_ever_up = True
        self._tries = 0

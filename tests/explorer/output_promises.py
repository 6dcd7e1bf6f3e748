"""What an output promises, looked at whenever something moves. The history of the device decides, not the agent's word.

Times are in ticks. A PASS that a device carries out late, of a connection that was given up, is bound by no time (what
ends it is the next refresh or the watchdog), but by everything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drivers.base import Published, Verdict
from tests.explorer.output_device import WATCHDOG_TICKS, PlcDevice

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.explorer.output_device import Device
    from tests.explorer.output_loop import SteppedLoop

__all__ = ["HOLD_TICKS", "REFRESH_TICKS", "PartHistory", "Promises", "Violation"]

HOLD_TICKS, REFRESH_TICKS = 3, 2
_ANSWER_TICKS = 2
_LONG_AGO = -(HOLD_TICKS + _ANSWER_TICKS + WATCHDOG_TICKS + 1)
"""What lies further back makes no difference to any promise."""


class Violation(AssertionError):
    """A promise was broken. The message says which, and how; ``schedule`` is what led to it."""

    schedule: tuple[str, ...] = ()


@dataclass(slots=True)
class PartHistory:
    """A part whose PASS was published."""

    by_tick: int
    until_tick: int | None = None
    """When its window ends, once it was told PUBLISHED."""
    is_void: bool = False
    """``withdraw`` was called, or the next part's ``begin_part``."""
    is_over: bool = False
    """That call has returned."""
    is_sent: bool = False
    is_taken_back: bool = False
    """REJECT was sent behind it."""


@dataclass(slots=True)
class Promises:
    """The promises of one run."""

    loop: SteppedLoop
    device: Device
    is_connected: Callable[[], bool] = lambda: False
    """The output believes that its peer is there and was proven."""
    parts: dict[int, PartHistory] = field(default_factory=dict)
    newest: int = 0
    """The part that began last."""
    unready_since: int | None = None
    is_permitted: bool = True
    """What every PASS rests on (``may_pass``) holds still."""
    is_stray: bool = False
    """The PASS that stands was carried out late, of a connection that was given up."""
    is_disturbed: bool = False
    """Something went wrong, or an answer took longer than an instant: from then on the wider bounds hold."""
    is_left: bool = False
    """``run`` has ended, and said that REJECT is left."""
    broken: str = ""
    """The first promise that was broken. Not raised where it is seen: the agent's own code would be between."""
    told: set[str] = field(default_factory=set)
    """What was told of publications: nothing is proven about lines on which nothing happens."""

    # what the caller does

    def publishes(self, part: int, verdict: Verdict, by_tick: int) -> None:
        if verdict is Verdict.PASS:
            self.parts[part] = PartHistory(by_tick)

    def begins(self, part: int) -> list[PartHistory]:
        """``begin_part`` begins. What it ends, for ``withdrawn``."""
        self.newest = part
        return self.withdrawing()

    def withdrawing(self) -> list[PartHistory]:
        """``withdraw`` begins. What it ends, for ``withdrawn``."""
        ended = list(self.parts.values())
        for history in ended:
            history.is_void = True
        return ended

    def withdrawn(self, ended: list[PartHistory]) -> None:
        """That call has returned."""
        for history in ended:
            history.is_over = True
        self.look()

    def is_told(self, part: int, verdict: Verdict, became: Published) -> None:
        """``publish`` has returned."""
        self.told.add(f"{verdict} {became}")
        if became is not Published.PUBLISHED:
            return
        if verdict is not Verdict.PASS:
            self._demand(self.device.standing is None, f"REJECT of part {part} was told PUBLISHED, and PASS stands")
            return
        history = self.parts[part]
        self._demand(self.device.standing == part, f"PASS of part {part} was told PUBLISHED, and does not stand")
        self._demand(self.loop.ticks < history.by_tick, f"PASS of part {part} was told PUBLISHED after its deadline")
        self._demand(not history.is_void, f"PASS of part {part} was told PUBLISHED after a withdraw")
        self._demand(self.is_permitted, f"PASS of part {part} was told PUBLISHED, and what it rests on was over")
        history.until_tick = self.loop.ticks + HOLD_TICKS

    def ended(self, *, is_unproven: bool) -> None:
        """``run`` has ended after a cancel."""
        self.is_left = not is_unproven
        self._demand(is_unproven or self.device.standing is None, "run ended without a word, and PASS stands")

    # what the wire does

    def pass_is_sent(self, part: int) -> None:
        """PASS leaves the agent, from ``publish`` or from a refresh."""
        history = self.parts.get(part)
        if history is None:
            self.broken = self.broken or f"PASS of part {part} was sent, which nobody passed"
            return
        self._demand(part == self.newest, f"PASS of part {part} was sent, and part {self.newest} has begun")
        self._demand(not history.is_void, f"PASS of part {part} was sent after a withdraw")
        self._demand(not history.is_taken_back, f"PASS of part {part} came back by itself")
        self._demand(self.unready_since is None, f"PASS of part {part} was sent while the line was not ready")
        is_new = history.until_tick is None
        self._demand(self.is_permitted or not is_new, f"PASS of part {part} was sent, and what it rests on was over")
        ends = history.by_tick if history.until_tick is None else history.until_tick
        self._demand(self.loop.ticks < ends, f"PASS of part {part} was sent after its window or its deadline")
        history.is_sent = True

    def reject_is_sent(self) -> None:
        """REJECT leaves the agent: what was sent before it is taken back, for good."""
        for history in self.parts.values():
            history.is_taken_back = history.is_sent

    def device_wrote(self, part: int | None, *, is_late: bool = False) -> None:
        """The device has carried out a write; ``part``: whose PASS it was."""
        self.is_stray = is_late and part is not None
        self._demand(part is None or not self.is_left, f"PASS of part {part} came after run had ended with REJECT")
        self.look()

    # what holds at any moment

    def look(self) -> None:
        """What must hold whenever something has moved."""
        standing = self.device.standing
        if standing is not None and self.is_connected():
            history = self.parts[standing]
            self._demand(not history.is_over, f"PASS of part {standing} stands after a withdraw had returned")
        if isinstance(self.device, PlcDevice):
            opens = self.device.opens_on
            at_gate = self.device.at_gate
            is_right = opens is None or at_gate is None or opens == at_gate
            self._demand(is_right, f"the gate opens for part {at_gate} on the PASS of part {opens}")

    def before_tick(self, *, is_disturbed: bool) -> None:
        """Time is about to go by: what stands now stands until then."""
        self.is_disturbed = self.is_disturbed or is_disturbed
        standing, until = self.device.standing, self.loop.ticks + 1
        if standing is None or self.is_stray:
            return
        history = self.parts[standing]
        more = _ANSWER_TICKS + WATCHDOG_TICKS if self.is_disturbed else 0
        ends = history.by_tick if history.until_tick is None else history.until_tick
        # A window begins before the deadline: the sum that the settings check against the spacing of parts.
        last = history.by_tick + HOLD_TICKS + more if self.is_disturbed else ends
        self._demand(until <= last, f"PASS of part {standing} stands {until - last} ticks longer than it may")
        if self.unready_since is not None:
            last = self.unready_since + (more if self.is_disturbed else REFRESH_TICKS)
            self._demand(
                until <= last, f"PASS of part {standing} stands {until - last} ticks too long on a line not ready"
            )

    def _demand(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - an assertion with words
        if not holds:
            self.broken = self.broken or otherwise

    def state(self, under_way: set[int | None]) -> tuple[Any, ...]:
        """All that tells one history from another; ``under_way``: whose PASS the device may still be told."""
        now = self.loop.ticks
        parts = []
        for part, history in self.parts.items():
            # Of a PASS that neither stands nor comes only this counts: that its time is over.
            back = _LONG_AGO if part == self.device.standing or part in under_way else 0
            until = None if history.until_tick is None else max(history.until_tick - now, back)
            marks = (history.is_void, history.is_over, history.is_sent, history.is_taken_back)
            parts.append((part, max(history.by_tick - now, back), until, marks))
        since = None if self.unready_since is None else min(now - self.unready_since, -_LONG_AGO)
        return (parts, self.newest, since, self.is_stray, self.is_disturbed, self.is_left)

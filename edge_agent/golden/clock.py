"""Whether the line's samples were shown in time: what is due and when, what is overdue, and whether the line is locked.

By the age of the challenge and not by its date, as far as this process knows it: a clock that is set back makes nothing
younger. Across a restart the date is all there is; one that lies in the future says that the clock was set, and
proves nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from drivers.timing import monotonic_s
from edge_agent.golden.plan import Plan
from edge_agent.shifts import next_shift
from edge_agent.store.challenges import newest_challenges, read_challenge
from edge_agent.store.search import JournalSearch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edge_agent.settings import Settings
    from edge_agent.store.challenges import Challenged

__all__ = ["ChallengeClock", "Standing", "clock_of"]

_NEW_BUNDLE: Final = "the bundle is new since the last challenge: show the samples"
_CLOCKS_DIFFER: Final = timedelta(seconds=60)
"""So much a time server may put a clock back without anything being wrong."""
_MINUTES_UP_TO: Final = 120
_SOON_SHARE: Final = 0.1
_SOON_AT_LEAST: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a line stands with its samples. ``overdue`` is why a person should show them, ``locked`` why nothing passes.

    Both are empty where that is not so. ``due_s`` is what is left until they are due, ``due_parts`` how many parts may
    come until then; 0 or less once they are overdue, None where that is not asked for or not known.
    """

    is_asked: bool = False
    overdue: str = ""
    locked: str = ""
    due_s: float | None = None
    due_parts: int | None = None
    is_soon: bool = False

    @property
    def words(self) -> str:
        """For a person: what is overdue, or what comes next; empty where nothing is asked for."""
        if self.overdue or not self.is_asked:
            return self.overdue
        due = [] if self.due_parts is None else [f"in {self.due_parts} parts"]
        due += [] if self.due_s is None else [f"in {_span(self.due_s)}"]
        return f"samples are due {' or '.join(due)}"


@dataclass(frozen=True, slots=True)
class _Known:
    """A challenge and how old it was when this process learnt of it; None: its date cannot be true.

    ``is_of_now``: it ended while this process ran, so that its part's number is of the journal that is written.
    """

    told: Challenged
    age: timedelta | None
    learnt_mono_s: float
    is_of_now: bool = False


class ChallengeClock:
    """Knows the newest challenges. ``is_simulated``: of a simulated run, where simulated ones count too.

    ``bundles`` are the beginnings of the ids of the bundles that judge a program, by program: a challenge proves these.
    """

    def __init__(
        self,
        plan: Plan,
        challenges: Iterable[Challenged] = (),
        *,
        bundles: Mapping[int, frozenset[str]],
        newest_utc: datetime | None = None,
        is_simulated: bool = False,
        mono_s: Callable[[], float] = monotonic_s,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``challenges`` are the journal's, the newest first; ``newest_utc`` is the newest time that it holds."""
        self.plan = plan
        self._is_simulated = is_simulated
        self._bundles = bundles
        self._mono_s, self._now = mono_s, now
        # A clock that was set back while nobody ran shows it by the journal's own times.
        learnt_at = now() if newest_utc is None else max(now(), newest_utc)
        self._known = [self._known_of(one, learnt_at) for one in challenges]
        self._newest: dict[int | None, _Known | None] = {}

    def note(self, detail: str, part_seq: int) -> None:
        """Take note of a challenge that ends now, after part ``part_seq``, by its event's ``detail``."""
        at = self._now()
        told = read_challenge(detail, at.isoformat())
        if told is not None:
            self._newest.clear()
            told = replace(told, part_seq=part_seq)
            self._known.insert(0, _Known(told, timedelta(0), self._mono_s(), is_of_now=True))

    def standing(self, program: int | None, part_seq: int) -> Standing:
        """How it stands before part ``part_seq`` of this program; of all programs the worst where it is not known."""
        if not self.plan.has_schedule:
            return Standing()
        programs = self.plan.programs if program is None and self.plan.wanted else (program,)
        return min((self._of(one, part_seq) for one in programs or (None,)), key=_most_urgent)

    def why_locked(self, program: int | None, part_seq: int) -> str:
        """Why this part must not pass; empty where it may, and on a line without a lock."""
        return self.standing(program, part_seq).locked if self.plan.lock_out else ""

    def degraded(self, program: int | None, part_seq: int) -> dict[str, str]:
        """The reasons for DEGRADED by name; empty where there is none."""
        stands = self.standing(program, part_seq)
        return {"challenge": stands.overdue} if stands.overdue else {}

    def _of(self, program: int | None, part_seq: int) -> Standing:
        newest = self._newest_of(program)
        if newest is None:
            return self._late("no challenge was passed yet: edge-agent challenge", None, None)
        if not newest.told.is_passed:
            return self._late("the last challenge was not passed: show the samples again", None, None)
        if not self._is_of_bundles(newest.told, program):
            return self._late(_NEW_BUNDLE, None, None)
        age = self._age(newest)
        if age is None:
            return self._late("the clock was set back since the last challenge: show the samples again", None, None)
        told = newest.told
        # A part that was under way when the challenge ended: none has come since then.
        if newest.is_of_now and told.part_seq is not None:
            part_seq = max(part_seq, told.part_seq + 1)
        return self._since(told, age, part_seq)

    def _newest_of(self, program: int | None) -> _Known | None:
        """The newest challenge that says something of this program; looked for once, since every part asks."""
        if program not in self._newest:
            says = (one for one in self._known if self._counts(one.told, program) or self._fails(one.told, program))
            self._newest[program] = next(says, None)
        return self._newest[program]

    def _since(self, passed: Challenged, age: timedelta, part_seq: int) -> Standing:
        """What the schedule says of a challenge that was passed so long ago."""
        now, grace = self._now(), timedelta(minutes=self.plan.grace_min)
        due = [
            *([now - age + timedelta(hours=self.plan.every_h)] if self.plan.every_h else []),
            # Of the first shift behind it, and not of the one that goes on now: one that was missed stays missed.
            *([next_shift((now - age).astimezone(), self.plan.shift_starts) + grace] if self.plan.shift_starts else []),
        ]
        due_at = min(due, default=None)
        due_s = None if due_at is None else (due_at - now).total_seconds()
        left: int | None = None
        if self.plan.every_parts is not None:
            if (
                passed.part_seq is None or passed.part_seq >= part_seq
            ):  # of another journal: nobody can count from there
                return self._late("it is not known how many parts came since the last challenge", due_s, None)
            left = passed.part_seq + self.plan.every_parts + 1 - part_seq
        if due_at is not None and due_at <= now:
            at = due_at.isoformat(timespec="minutes")
            return self._late(f"the challenge is overdue since {at}", due_s, left)
        if left is not None and left <= 0:
            return self._late(f"the challenge is overdue since part {part_seq + left}", due_s, left)
        return Standing(is_asked=True, due_s=due_s, due_parts=left, is_soon=self._is_soon(due_s, age, left))

    def _is_soon(self, due_s: float | None, age: timedelta, left: int | None) -> bool:
        """The last tenth of the way, or the last half hour."""
        by_parts = left is not None and left <= _SOON_SHARE * (self.plan.every_parts or 0)
        whole = (due_s or 0.0) + age.total_seconds()
        by_time = due_s is not None and due_s <= max(_SOON_SHARE * whole, _SOON_AT_LEAST.total_seconds())
        return by_parts or by_time

    def _late(self, why: str, due_s: float | None, left: int | None) -> Standing:
        locked = f"the line is locked, nothing passes: {why}" if self.plan.lock_out else ""
        return Standing(is_asked=True, overdue=why, locked=locked, due_s=due_s, due_parts=left)

    def _counts(self, told: Challenged, program: int | None) -> bool:
        """Whether it proves this program: passed, real, through the line where a lock hangs on it, and all shown."""
        if not told.is_passed or (told.is_simulated and not self._is_simulated):
            return False
        if self.plan.lock_out and told.through != "line":
            return False
        wanted = self.plan.wanted.get(program, frozenset()) if program is not None else frozenset()
        # A sample that line.toml gave to another program since then was not shown to that one.
        if wanted and program not in told.programs:
            return False
        shown = {(one.name, one.kind) for one in told.samples if one.is_right}
        return wanted <= shown and (not self.plan.lock_out or bool(wanted))

    def _is_of_bundles(self, told: Challenged, program: int | None) -> bool:
        """Whether the bundles that judge this program now judged the samples.

        Another limit is another bundle: a sample just above the old limit may pass by the new one. Going back to a
        bundle is a change as well: nothing is looked for behind the newest challenge.
        """
        judging = self._bundles.get(program, frozenset()) if program is not None else frozenset()
        if self.plan.lock_out:  # what is not known to judge was not shown anything
            return bool(judging) and judging <= told.bundles
        if not judging or (told.programs and program not in told.programs):
            return True  # of unnamed samples of another program, which count for all
        # Recorded images are of one camera, and challenge the bundle of that one alone.
        return judging <= told.bundles if told.through == "line" else bool(judging & told.bundles)

    def _fails(self, told: Challenged, program: int | None) -> bool:
        """Whether it was not passed, and says something of this program."""
        if told.is_passed or (told.is_simulated and not self._is_simulated):
            return False
        if program is None or not told.programs or program in told.programs:
            return True
        # Its samples, whichever program the controller ran when they were shown.
        return bool({(one.name, one.kind) for one in told.samples} & self.plan.wanted.get(program, frozenset()))

    def _age(self, known: _Known) -> timedelta | None:
        if known.age is None:
            return None
        here = known.age + timedelta(seconds=self._mono_s() - known.learnt_mono_s)
        return max(here, self._now() - datetime.fromisoformat(known.told.at_utc))

    def _known_of(self, told: Challenged, learnt_at: datetime) -> _Known:
        try:
            age = learnt_at - datetime.fromisoformat(told.at_utc)
        except (ValueError, TypeError, OverflowError):  # no time: nobody knows when that was
            return _Known(told, None, self._mono_s())
        return _Known(told, max(age, timedelta(0)) if age > -_CLOCKS_DIFFER else None, self._mono_s())


def _most_urgent(stands: Standing) -> tuple[bool, float, float]:
    due_s = math.inf if stands.due_s is None else stands.due_s
    return not stands.overdue, due_s, math.inf if stands.due_parts is None else stands.due_parts


def _span(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < _MINUTES_UP_TO else f"{round(minutes / 60)} h"


def clock_of(
    settings: Settings, bundles: Mapping[int, frozenset[str]], *, is_simulated: bool = False
) -> tuple[ChallengeClock, int]:
    """What the journal knows of challenges, and the number of its newest part where any is due. Raises DataError.

    ``bundles`` are those that judge each program (``golden.judging``).
    """
    plan = Plan.of(settings)
    if not plan.has_schedule:
        return ChallengeClock(plan, bundles=bundles), 0
    with JournalSearch.open(settings.store.journal) as reader:
        newest = reader.last_seq()
        times = [reader.decided_utc(newest), *(event.at_utc for event in reader.event(reader.newest_event()))]
        known = [datetime.fromisoformat(text) for text in times if text]
        clock = ChallengeClock(
            plan,
            newest_challenges(reader),
            bundles=bundles,
            newest_utc=max(known, default=None),
            is_simulated=is_simulated,
        )
    return clock, newest

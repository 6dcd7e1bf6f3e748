"""A whole line in virtual time: the real supervisor, engine, journal, archive and output; peers in memory.

The peers lose, repeat, delay and reorder what they send, cut their links, reset their counter, stop answering; the disk
refuses. The line knows of every message which part it came from, and of every moment which part is before the gate.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from drivers.base import Capture, ControllerClock, ControllerDown, ControllerResult, ControllerUp, Judgement, Reason
from drivers.simulated.remote_io import IoFault, SimulatedRemoteIo
from drivers.timing import monotonic_s, shown_time
from edge_agent.domain import Verdict
from edge_agent.runtime.engine import Engine, EngineOptions
from edge_agent.runtime.interlock import Health
from edge_agent.runtime.locking import never_locked
from edge_agent.runtime.supervisor import CONDITIONS, Supervisor, TriggerPlan
from edge_agent.store.archive import Archive
from edge_agent.store.journal import Journal, JournalReader
from tests import invariants
from tests.virtual_peers import (
    DEADLINE_S,
    HOLD_S,
    TIMEOUT_S,
    WATCHDOG_S,
    MoodyDisk,
    NullInspector,
    Source,
    VirtualOutput,
    sha256_of,
)
from tests.virtual_time import InlineExecutor, VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from drivers.base import ControllerEvent
    from edge_agent.store.journal import PartRow

    OnPart = Callable[[int], None]

MESSAGE_S = 0.15
"""The longest that image and result of a part take to the agent, unless a fault delays them."""
SPACING_S = MESSAGE_S + DEADLINE_S + HOLD_S + WATCHDOG_S + TIMEOUT_S
"""A PASS at the deadline, an agent that falls silent at the end of its window: still gone when the next part comes."""
_SETTLE_S = 3.0
_CLOCK_S = 0.3
"""How often the controller's link asks for its clock."""
_ANSWER_S = 0.005
"""How soon it answers when it was asked behind a result."""
_CAM = 1


@dataclass(slots=True)
class LinePart:
    """A part as the line knows it. ``is_heard``: something of it reached the agent."""

    truth: int
    sign_s: float
    count: int
    session: str
    taken: datetime
    is_good: bool
    is_heard: bool = False
    is_repeated: bool = False


@dataclass(slots=True)
class Outcomes:
    """What a run was, for the figure of its test."""

    verdicts: dict[str, int] = field(default_factory=dict)
    let_through: int = 0
    longest_silent_s: float = 0.0


def _nothing(_number: int) -> None:
    return


class VirtualLine:
    """One run of that many parts; everything that happens is drawn from ``seed``.

    ``on_part`` is called before each part; with ``archive_bytes`` images are archived, up to that size and of two days.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        is_calm: bool = False,
        archive_bytes: int = 0,
        on_part: OnPart = _nothing,
        why_locked: Callable[[int | None, int], str] = never_locked,
    ) -> None:
        self._why_locked = why_locked
        self._archive_bytes, self._on_part = archive_bytes, on_part
        self._folder, self._draw, self._is_calm = folder, random.Random(seed), is_calm
        self._remote_io = SimulatedRemoteIo(watchdog_s=WATCHDOG_S)
        self._events: Source[ControllerEvent] = Source()
        self._images: Source[Capture] = Source()
        self.parts: list[LinePart] = []
        self.windows: list[tuple[float, float]] = []
        self._pass_since_s: float | None = None
        self.silent_since: list[float] = []
        self._count, self._began_s = 0, -1
        self._session = self._new_session()
        self._is_link_up = self._is_ftp_up = True
        self._queued: deque[Capture] = deque()
        self._unsaid_until_s = 0.0
        self._spooled = 0
        MoodyDisk.chance, MoodyDisk.refusals, MoodyDisk.draw = 0.0, 0, random.Random(seed)

    async def run(self, parts: int) -> None:
        """The agent up, that many parts before it, the agent stopped."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.takes_s = self._takes_s
        (self._folder / "spool").mkdir()
        thread = InlineExecutor()
        writer = MoodyDisk(self._folder / "journal.sqlite3")
        journal = Journal(writer, thread, writer.last_part_seq + 1)  # type: ignore[arg-type]
        health, output = Health.waiting_for(*CONDITIONS), VirtualOutput(self._remote_io)
        self.engine = Engine(
            EngineOptions((_CAM,), DEADLINE_S, "both", 1, "boot", is_simulated=False),
            inspectors={(1, _CAM): NullInspector()},
            journal=journal,
            archive=Archive(
                self._folder / "archive",
                max_bytes=self._archive_bytes,
                keep_pass_days=2,
                keep_reject_days=2,
                keep="all" if self._archive_bytes else "none",
                min_free_bytes=0,
            ),
            output=output,
            health=health,
            why_locked=self._why_locked,
        )
        supervisor = Supervisor(
            engine=self.engine,
            health=health,
            link=self._events,  # type: ignore[arg-type]
            images=self._images,  # type: ignore[arg-type]
            output=output,
            journal=journal,
            trigger=TriggerPlan("wired", 0),
        )
        stop = asyncio.Event()
        agent = asyncio.create_task(supervisor.run(stop))
        self._link_up()
        telling = asyncio.create_task(self._tell_clock())
        await asyncio.sleep(_SETTLE_S)
        MoodyDisk.chance = 0.0 if self._is_calm else 0.001
        for number in range(parts):
            self._on_part(number)
            self._image_a_part()
            await asyncio.sleep(SPACING_S + self._draw.uniform(0, 0.3))
            self._read_wire()
        MoodyDisk.chance = 0.0
        await asyncio.sleep(_SETTLE_S)
        stop.set()
        telling.cancel()
        await agent
        await self._remote_io.stop()
        self._read_wire()
        writer.close()

    # --- the line ---------------------------------------------------------------------------------------

    def _image_a_part(self) -> None:
        draw, truth = self._draw, len(self.parts) + 1
        if not self._is_calm:
            self._maybe_something_happens()
        self._count += 1
        is_good = draw.random() < 0.9
        part = LinePart(truth, monotonic_s(), self._count, self._session, self._clock(), is_good)
        self.parts.append(part)
        fate = "" if self._is_calm else self._fate()
        self._send_result(part, fate)
        if fate != "image lost":
            delay_s = draw.uniform(0.2, 1.5) if fate == "image late" else draw.uniform(0.01, MESSAGE_S)
            for _ in range(2 if fate == "image twice" else 1):
                asyncio.get_running_loop().call_later(delay_s, self._send_image, part, fate == "image broken")
                delay_s += draw.uniform(0.0, 0.3)

    def _fate(self) -> str:
        fates = ("image lost", "image late", "image twice", "image broken", "result lost", "result twice")
        return self._draw.choices(("", *fates), (94, 1, 1, 1, 1, 1, 1))[0]

    def _send_result(self, part: LinePart, fate: str) -> None:
        if fate == "result lost":
            # A counter that is reset while such a part waits would lay its image to another part: not within 3 s.
            self._unsaid_until_s = monotonic_s() + 3.0
            return
        delay_s = self._draw.uniform(0.01, MESSAGE_S)
        part.is_repeated = fate == "result twice"
        for _ in range(1 + part.is_repeated):
            asyncio.get_running_loop().call_later(delay_s, self._say_result, part)
            delay_s += 0.05

    def _say_result(self, part: LinePart) -> None:
        if self._is_link_up:
            part.is_heard = True
            self._events.put(ControllerResult(part.count, 1, Judgement.OK, (str(part.count),), monotonic_s()))
            asyncio.get_running_loop().call_later(_ANSWER_S, self._say_clock)

    def _send_image(self, part: LinePart, is_broken: bool) -> None:  # noqa: FBT001 - handed to call_later
        self._spooled += 1
        path = self._folder / "spool" / f"{self._spooled}.bmp"
        data = f"{part.truth},{part.is_good:d}".encode()
        path.write_bytes(data)
        capture = Capture(
            count=part.count,
            camera=_CAM,
            session=part.session,
            name=path.name,
            path=path,
            sha256=sha256_of(data),
            received_mono_s=monotonic_s(),
            broken=Reason.IMAGE_BROKEN if is_broken else None,
            taken=part.taken,
        )
        part.is_heard = True
        if self._is_ftp_up:
            self._images.put(capture)
        else:
            self._queued.append(capture)

    # --- what goes wrong --------------------------------------------------------------------------------

    def _maybe_something_happens(self) -> None:
        draw = self._draw
        happens = {
            self._cut_the_link: 0.005,
            self._cut_ftp: 0.005,
            self._cut_both: 0.003,
            self._reset_the_counter: 0.003,
            self._mute_the_remote_io: 0.005,
        }
        for what, chance in happens.items():
            if draw.random() < chance:
                what(draw.uniform(0.05, 4.0))

    def _cut_the_link(self, for_s: float) -> None:
        if self._is_link_up:
            self._is_link_up = False
            self._events.put(ControllerDown("cable", monotonic_s()))
            asyncio.get_running_loop().call_later(for_s, self._link_up)

    def _link_up(self) -> None:
        self._is_link_up = True
        self._events.put(ControllerUp(1, "CV-X", monotonic_s(), self._clock()))

    async def _tell_clock(self) -> None:
        """As the controller's link asks for it, in the stream of the results."""
        while True:
            await asyncio.sleep(_CLOCK_S)
            self._say_clock()

    def _say_clock(self) -> None:
        if self._is_link_up:
            self._events.put(ControllerClock(self._clock(), follows_results=True))

    def _cut_ftp(self, for_s: float) -> None:
        if self._is_ftp_up:
            self._is_ftp_up = False
            asyncio.get_running_loop().call_later(for_s, self._ftp_up)

    def _ftp_up(self) -> None:
        """What was queued comes one after the other, before anything new."""
        self._is_ftp_up = True
        for at, capture in enumerate(self._queued):
            asyncio.get_running_loop().call_later(0.03 * at, self._images.put, capture)
        self._queued.clear()

    def _cut_both(self, for_s: float) -> None:
        self._cut_ftp(for_s + 0.01)
        self._cut_the_link(for_s)
        if self._draw.random() < 0.5:
            asyncio.get_running_loop().call_later(for_s / 2, self._reset_the_counter, 0.0)

    def _reset_the_counter(self, _for_s: float) -> None:
        if monotonic_s() >= self._unsaid_until_s:
            self._count, self._session = 0, self._new_session()

    def _mute_the_remote_io(self, for_s: float) -> None:
        """At any moment of a part's time, and so also while PASS stands."""
        asyncio.get_running_loop().call_later(self._draw.uniform(0, SPACING_S), self._mute, for_s)

    def _mute(self, for_s: float) -> None:
        if self._remote_io.fault is None:
            self.silent_since.append(monotonic_s())
            self._remote_io.fault = IoFault.MUTE
            asyncio.get_running_loop().call_later(for_s, self._unmute)

    def _unmute(self) -> None:
        self._remote_io.fault = None

    # --- what the line sees -----------------------------------------------------------------------------

    def _read_wire(self) -> None:
        for change in self._remote_io.history:
            if change.coil != 0:
                continue
            if change.value:
                self._pass_since_s = change.mono_s
            elif self._pass_since_s is not None:
                self.windows.append((self._pass_since_s, change.mono_s))
                self._pass_since_s = None
        self._remote_io.history.clear()

    def check(self) -> Outcomes:
        """The five invariants, over all that happened."""
        with JournalReader.open(self._folder / "journal.sqlite3") as reader:
            everything = list(reader.rows())
        of_image = {sha256_of(f"{part.truth},{part.is_good:d}".encode()): part for part in self.parts}
        rows = self._without_repeats(everything, of_image)
        accounted = [self._part_of(row, of_image) for row in rows]
        verdicts = {part.truth: row.verdict for part, row in zip(accounted, rows, strict=True) if part}
        through = self._let_through()
        judged_by = {
            part.truth: frozenset(of_image[camera.image_sha256].truth for camera in row.cameras)
            for part, row in zip(accounted, rows, strict=True)
            if part
        }
        invariants.no_stale_pass(
            invariants.Passed(part.truth, judged_by.get(part.truth, frozenset()), part.is_good) for part in through
        )
        heard = [part.truth for part in self.parts if part.is_heard]
        gaps = {part.truth for part in accounted if part and not part.is_heard}
        invariants.every_part_is_accounted_for([*heard, *gaps], [part.truth for part in accounted if part])
        assert None not in accounted, "a row of no part"
        assert [row.part_seq for row in everything] == list(range(1, len(everything) + 1))
        invariants.a_pass_has_its_row([part.truth for part in through], verdicts)
        longest_s = invariants.output_drops_when_silent(self.windows, self.silent_since, within_s=WATCHDOG_S + 0.1)
        tally: dict[str, int] = {}
        for row in everything:
            key = f"{row.verdict} {row.reason}"
            tally[key] = tally.get(key, 0) + 1
        return Outcomes(tally, len(through), longest_s)

    def _without_repeats(self, rows: list[PartRow], of_image: dict[str, LinePart]) -> list[PartRow]:
        """A repeated result line may be the first of a counter that was reset: it has a row, and is no part."""
        kept: dict[int, PartRow] = {}
        for row in rows:
            part = self._part_of(row, of_image)
            if not (part and part.is_repeated and not row.cameras and part.truth in kept):
                kept[part.truth if part and part.truth not in kept else -row.part_seq] = row
        return list(kept.values())

    def _part_of(self, row: PartRow, of_image: dict[str, LinePart]) -> LinePart | None:
        """The part that a row is of: by its image, else the newest of that count that had been imaged by then."""
        for camera in row.cameras:
            return of_image[camera.image_sha256]
        for part in reversed(self.parts[: self._imaged_by(row.decided_mono_s)]):
            if part.count == row.count:
                return part
        return None

    def _imaged_by(self, at_s: float) -> int:
        low, high = 0, len(self.parts)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.parts[middle].sign_s <= at_s else (low, middle)
        return low

    def _let_through(self) -> list[LinePart]:
        """Every part during whose time before the gate PASS was energised, at any moment."""
        through, windows = [], deque(self.windows)
        for at, part in enumerate(self.parts):
            end_s = self.parts[at + 1].sign_s if at + 1 < len(self.parts) else float("inf")
            while windows and windows[0][1] <= part.sign_s:
                windows.popleft()
            if windows and windows[0][0] < end_s:
                through.append(part)
        return through

    # --- small things -----------------------------------------------------------------------------------

    def _takes_s(self, executor: Executor | None) -> float:
        if executor is None:
            return 0.0
        is_slow = not self._is_calm and self._draw.random() < 0.005
        return self._draw.uniform(0.3, 0.6) if is_slow else self._draw.uniform(0.01, 0.05)

    def _new_session(self) -> str:
        """Named after the second in which it begins; no name comes twice."""
        self._began_s = max(int(monotonic_s()), self._began_s + 1)
        return shown_time(_clock_at(self._began_s))

    @staticmethod
    def _clock() -> datetime:
        return _clock_at(monotonic_s())


def _clock_at(seconds: float) -> datetime:
    return datetime(2026, 1, 1) + timedelta(seconds=int(seconds))  # noqa: DTZ001 - as drivers.timing has it


def passes(outcomes: Outcomes) -> int:
    """How many parts were passed."""
    return outcomes.verdicts.get(f"{Verdict.PASS} {Reason.OK}", 0)

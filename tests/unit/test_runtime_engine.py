"""The engine, with a real journal and archive; its peers are in memory so that each order of events can be made."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import math
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from drivers.base import (
    Capture,
    CommandRefused,
    ControllerClock,
    ControllerDown,
    ControllerResult,
    ControllerStatus,
    ControllerUp,
    Judgement,
    NotConnected,
    Published,
    Reason,
    Verdict,
)
from drivers.timing import Deadline, controller_time, monotonic_s
from edge_agent.domain import Inspection, Outcome
from edge_agent.runtime import archiving
from edge_agent.runtime.bypass import Bypass
from edge_agent.runtime.engine import Engine, EngineOptions
from edge_agent.runtime.interlock import Health, LineState
from edge_agent.runtime.locking import never_locked
from edge_agent.store.archive import Archive
from edge_agent.store.journal import Journal, JournalError, JournalReader
from tests.two_steps import AtOnce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from drivers.base import ControllerEvent
    from edge_agent.runtime.engine import Inspects
    from edge_agent.runtime.rejects import RejectWatch
    from edge_agent.store.journal import PartRow


@dataclass
class MemoryOutput:
    """A VerdictOutput that notes what it was told, in order."""

    said: list[tuple[str, int]] = field(default_factory=list)
    named: list[tuple[Reason | None, int]] = field(default_factory=list)
    by: list[Deadline] = field(default_factory=list)
    may_pass: list[Callable[[], bool]] = field(default_factory=list)
    is_confirmed: bool = True

    async def run(self, is_ready: Callable[[], bool]) -> None:
        await asyncio.get_running_loop().create_future()

    async def publish(
        self,
        part_seq: int,
        verdict: Verdict,
        by: Deadline,
        reason: Reason | None = None,
        bundle: int = 0,
        *,
        may_pass: Callable[[], bool] = lambda: True,
    ) -> Published:
        self.said.append((str(verdict), part_seq))
        self.named.append((reason, bundle))
        self.by.append(by)
        self.may_pass.append(may_pass)
        return Published.LATE if by.has_passed else Published.PUBLISHED

    async def begin_part(self, part_seq: int, first_sign_mono_s: float) -> None:
        await self.withdraw()

    async def withdraw(self) -> None:
        self.said.append(("withdraw", 0))

    async def read_part_present(self) -> bool:
        return False


@dataclass
class MemoryLink:
    """A ControllerLink that accepts or refuses triggers."""

    refusals: int = 0
    error: Exception | None = None
    triggers: int = 0
    begun_anew: list[str] = field(default_factory=list)

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def next(self) -> ControllerEvent:
        raise AssertionError("the test feeds the engine itself")

    async def trigger(self, number: int | None, by: Deadline) -> None:
        self.triggers += 1
        if self.error is not None:
            raise self.error
        if self.triggers <= self.refusals:
            raise CommandRefused("T1", "03", "not now")

    def begin_anew(self, why: str) -> None:
        self.begun_anew.append(why)


@dataclass
class Scripted(AtOnce):
    """Judges by the image's bytes: good, bad, boom (raises), slow (takes longer than any deadline here)."""

    def inspect(self, data: bytes) -> Inspection:
        if data == b"boom":
            raise RuntimeError("native library")
        if data == b"slow":
            time.sleep(0.6)
        is_good = data in {b"good", b"slow"}
        return Inspection(
            Outcome.OK if is_good else Outcome.NG,
            Reason.OK if is_good else Reason.SCORE,
            1.0 if is_good else 3.0,
            2.0,
            "c0de" + 60 * "0",
            hashlib.sha256(data).hexdigest(),
        )


@dataclass
class Line:
    engine: Engine
    output: MemoryOutput
    journal: Journal
    health: Health
    folder: Path

    def image(self, count: int, data: bytes = b"good", session: str = "s", **more: object) -> None:
        path = self.folder / f"{session}-{count}-{monotonic_s()}.bmp"
        path.write_bytes(data)
        facts = {
            "count": count,
            "camera": 1,
            "session": session,
            "name": path.name,
            "path": path,
            "sha256": hashlib.sha256(data).hexdigest(),
            "received_mono_s": monotonic_s(),
            "program": 1,
        }
        self.engine.on_capture(Capture(**{**facts, **more}))

    def result(self, count: int, judgement: Judgement = Judgement.OK, program: int | None = None) -> None:
        self.engine.on_event(ControllerResult(count, program, judgement, (str(count),), monotonic_s()))

    def spooled(self) -> list[Path]:
        """The images that are not filed yet."""
        return list(self.folder.glob("*.bmp"))

    async def rows(self, number: int) -> list[PartRow]:
        """The first ``number`` rows, once they are there and the engine is idle again."""
        async with asyncio.timeout(10):
            while not self.engine.is_idle or self.journal.next_part_seq <= number:
                await asyncio.sleep(0.005)
        with JournalReader.open(self.folder / "journal.sqlite3") as reader:
            return list(reader.rows())


@asynccontextmanager
async def line(
    tmp_path: Path,
    *,
    deadline_s: float = 0.4,
    judgement: str = "both",
    keep: str = "all",
    program: int = 1,
    inspector: Inspects[Any] | None = None,
    cameras: tuple[int, ...] = (1,),
    workers: int = 1,
    output: Any = None,
    rejects: RejectWatch | None = None,
    is_dry_run: bool = False,
    why_locked: Callable[[int | None, int], str] = never_locked,
) -> AsyncIterator[Line]:
    journal = Journal.open(tmp_path / "journal.sqlite3")
    health, output = Health(), output or MemoryOutput()
    options = EngineOptions(cameras, deadline_s, judgement, 1, "boot", is_simulated=False, is_dry_run=is_dry_run)
    engine = Engine(
        options,
        inspectors={(program, camera): inspector or Scripted() for camera in cameras},
        workers=workers,
        rejects=rejects,
        journal=journal,
        archive=Archive(tmp_path / "archive", max_bytes=10**9, keep=keep),
        output=output,
        health=health,
        bypass=Bypass(journal.event),
        why_locked=why_locked,
    )
    running = asyncio.create_task(engine.run())
    await asyncio.sleep(0)
    engine.on_event(ControllerUp(program, "CV-X", monotonic_s()))
    try:
        yield Line(engine, output, journal, health, tmp_path)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        journal.close()


async def test_a_good_part_passes_once_its_row_is_durable(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(1)
        at.result(1)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason, row.score) == (Verdict.PASS, Reason.OK, 1.0)
        assert at.output.said == [("withdraw", 0), ("PASS", row.part_seq)]
        assert at.output.named == [(Reason.OK, 0xC0DE)]
        assert at.engine.state is LineState.READY


async def test_an_image_that_is_judged_waits_for_its_result(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=5.0) as at:
        at.image(1)
        await asyncio.sleep(0.15)
        assert not at.engine.is_idle
        at.result(1)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.PASS, Reason.OK)


@pytest.mark.parametrize("is_image_first", [True, False])
async def test_a_broken_image_is_rejected_with_its_result_not_at_the_deadline(
    tmp_path: Path, *, is_image_first: bool
) -> None:
    async with line(tmp_path, deadline_s=5.0) as at:
        signs = [lambda: at.image(1, broken=Reason.IMAGE_BROKEN), lambda: at.result(1)]
        first, second = signs if is_image_first else reversed(signs)
        first()
        await asyncio.sleep(0.1)
        assert not at.engine.is_idle
        second()
        (row,) = await at.rows(1)

        assert row.reason is Reason.IMAGE_BROKEN
        assert row.decided_mono_s - row.first_sign_mono_s < 2.0


async def test_a_pass_is_given_up_at_its_parts_deadline_and_a_reject_has_time(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=1.0) as at:
        at.image(1)
        await asyncio.sleep(0.1)
        at.result(1)
        (passed,) = await at.rows(1)
        at.image(2)
        _, rejected = await at.rows(2)

    by_pass, by_reject = at.output.by
    assert rejected.reason is Reason.NO_RESULT
    assert by_pass.at_mono_s == pytest.approx(passed.first_sign_mono_s + 1.0)
    assert by_reject.at_mono_s >= rejected.first_sign_mono_s + 1.9


@pytest.mark.parametrize(
    ("data", "judgement", "reason"),
    [
        (b"bad", Judgement.OK, Reason.SCORE),
        (b"good", Judgement.NG, Reason.CONTROLLER_NG),
        (b"boom", Judgement.OK, Reason.INTERNAL),
        (b"slow", Judgement.OK, Reason.LATE),
    ],
)
async def test_a_part_that_is_not_proven_good_is_rejected(
    tmp_path: Path, data: bytes, judgement: Judgement, reason: Reason
) -> None:
    async with line(tmp_path) as at:
        at.image(1, data)
        at.result(1, judgement)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.REJECT, reason)
        assert ("PASS", row.part_seq) not in at.output.said


async def test_a_broken_image_is_rejected_with_its_reason_and_the_line_goes_on(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(1, broken=Reason.IMAGE_BROKEN, detail="cut at 10 %")
        at.result(1)
        await at.rows(1)
        at.image(2)
        at.result(2)
        broken, good = await at.rows(2)

        assert (broken.verdict, broken.reason) == (Verdict.REJECT, Reason.IMAGE_BROKEN)
        assert "cut at 10 %" in broken.detail
        assert good.verdict is Verdict.PASS


async def test_an_image_that_could_not_be_stored_stops_every_part_until_the_disk_is_proven(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(1, broken=Reason.DISK, detail="could not be stored: No space left on device")
        at.result(1)
        await at.rows(1)
        at.image(2)
        at.result(2)
        unstored, after = await at.rows(2)

        assert (unstored.verdict, unstored.reason) == (Verdict.FAULT, Reason.DISK)
        assert (after.verdict, after.reason) == (Verdict.FAULT, Reason.NOT_READY)
        assert "disk: could not be stored" in after.detail


async def test_an_image_without_a_live_result_never_passes(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=0.1) as at:
        at.image(1)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.NO_RESULT)


async def test_a_result_without_an_image_is_rejected_and_the_late_image_changes_nothing(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=0.1) as at:
        at.result(1)
        (row,) = await at.rows(1)
        at.image(1, b"late")
        async with asyncio.timeout(5):
            while not (kept := list((tmp_path / "archive").rglob("*REJECT*"))):
                await asyncio.sleep(0.005)
        rows = await at.rows(1)
        with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
            unplaced = [event.kind for event in reader.events()]

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.NO_IMAGE)
        assert rows == [row]
        assert [path.read_bytes() for path in kept] == [b"late"]
        assert unplaced == ["IMAGE_LATE"], "an auditor finds what came too late"


async def test_a_gap_of_the_controllers_link_makes_the_open_part_stale_and_the_line_fault(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(1)
        at.engine.on_event(ControllerDown("cable", monotonic_s()))
        (row,) = await at.rows(1)
        is_ready_in_the_gap = at.engine.is_ready()
        at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s()))

        assert row.verdict is Verdict.FAULT
        assert not is_ready_in_the_gap
        assert at.engine.is_ready()


async def test_images_queued_over_a_gap_never_pass(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=0.1) as at:
        at.engine.on_event(ControllerDown("cable", monotonic_s()))
        at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s()))
        for count in range(1, 11):
            at.image(count)
        rows = await at.rows(10)

        assert len(rows) == 10
        assert {row.verdict for row in rows} == {Verdict.REJECT}
        assert not [said for said, _ in at.output.said if said == "PASS"]


async def test_the_next_part_overruns_a_verdict_that_is_not_out_yet(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(1)
        at.image(2)
        at.result(1)
        at.result(2)
        first, second = await at.rows(2)

        assert (first.verdict, first.reason) == (Verdict.REJECT, Reason.OVERRUN)
        assert second.verdict is Verdict.PASS
        assert ("PASS", first.part_seq) not in at.output.said


async def test_a_part_of_a_program_without_a_bundle_is_fault(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(1, program=9)
        at.result(1)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.FAULT, Reason.PROGRAM)
        assert "9" in row.detail


async def test_a_part_that_tells_no_program_is_fault_whatever_was_asked_last(tmp_path: Path) -> None:
    """Somebody switches programs at the controller's screen: until it is asked again nobody here knows."""
    async with line(tmp_path) as at:
        at.image(1, program=None)
        at.result(1)
        at.image(2, program=None)
        at.result(2, program=1)
        untold, told = await at.rows(2)

        assert (untold.verdict, untold.reason) == (Verdict.FAULT, Reason.PROGRAM)
        assert "result_items" in untold.detail
        assert told.verdict is Verdict.PASS


async def test_a_controller_on_an_unknown_program_is_fault_not_the_last_bundle(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.engine.on_event(ControllerUp(7, "CV-X", monotonic_s()))
        at.image(1)
        at.result(1)
        (row,) = await at.rows(1)

        assert row.verdict is Verdict.FAULT
        assert not at.engine.is_ready()


async def test_a_part_that_was_open_while_the_program_went_and_came_back_is_stale(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=5.0) as at:
        at.image(1)
        for program in (2, 1):
            at.engine.on_event(ControllerStatus(program, monotonic_s()))
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.STALE)
        assert "from program 1 to 2" in row.detail
        assert row.decided_mono_s - row.first_sign_mono_s < 2.0, "nothing is waited for"


async def test_an_unhealthy_line_passes_nothing(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.health.fails("output", "gone")
        at.image(1)
        at.result(1)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.FAULT, Reason.NOT_READY)
        assert "gone" in row.detail


async def test_a_line_that_was_not_ready_when_the_part_came_passes_nothing_once_it_is(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.health.fails("output", "gone")
        at.image(1)
        at.health.holds("output")
        at.result(1)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.FAULT, Reason.NOT_READY)


async def test_the_line_is_busy_while_a_part_is_open(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        assert at.engine.state is LineState.READY
        at.image(1)
        assert at.engine.state is LineState.BUSY
        at.result(1)
        await at.rows(1)
        assert at.engine.state is LineState.READY


async def test_without_a_durable_row_there_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_row: PartRow) -> None:
        raise JournalError("disk full")

    async with line(tmp_path) as at:
        monkeypatch.setattr(at.journal, "append", refuse)
        at.image(1)
        at.result(1)
        async with asyncio.timeout(5):
            while not at.engine.is_idle:
                await asyncio.sleep(0.005)

        async with asyncio.timeout(5):
            while at.spooled():  # a spool that fills up while a disk is mended would stop the line
                await asyncio.sleep(0.005)

        assert not [said for said, _ in at.output.said if said == "PASS"]
        assert not at.engine.is_ready()
        assert "journal" in at.health.reasons
        assert len(list((tmp_path / "archive").rglob("part_*_FAULT*"))) == 1, "the image outlives a missing row"


async def test_a_link_that_went_and_came_while_the_row_was_written_withholds_the_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(tmp_path) as at:
        append = at.journal.append

        async def slowly(row: PartRow) -> None:
            at.engine.on_event(ControllerDown("cable", monotonic_s()))
            await append(row)
            at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s()))

        monkeypatch.setattr(at.journal, "append", slowly)
        at.image(1)
        at.result(1)
        (row,) = await at.rows(1)

        assert row.verdict is Verdict.PASS
        assert ("PASS", row.part_seq) not in at.output.said


async def test_a_program_that_changes_while_the_row_is_written_withholds_the_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To another program and back: the line is READY again, and the part is of before."""
    async with line(tmp_path) as at:
        append = at.journal.append

        async def slowly(row: PartRow) -> None:
            await append(row)
            at.engine.on_event(ControllerStatus(2, monotonic_s()))
            at.engine.on_event(ControllerStatus(1, monotonic_s()))

        monkeypatch.setattr(at.journal, "append", slowly)
        at.image(1)
        at.result(1)
        (row,) = await at.rows(1)

        assert row.verdict is Verdict.PASS
        assert ("PASS", row.part_seq) not in at.output.said


async def test_what_the_output_asks_at_the_last_moment_tells_of_a_gap_and_of_the_next_part(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        for count in (1, 2):
            at.image(count)
            at.result(count)
            await at.rows(count)
        of_the_first, of_the_second = at.output.may_pass
        before = of_the_first(), of_the_second()
        at.engine.on_event(ControllerDown("cable", monotonic_s()))

        assert before == (False, True)
        assert not of_the_second()


async def test_a_result_is_of_now_once_the_controller_told_its_clock_after_it(tmp_path: Path) -> None:
    """This machine may have stood still with all its clocks: the controller's own clock says whether it did."""
    async with line(tmp_path, deadline_s=2.0) as at:
        at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s(), controller_time("260101_115959")))
        at.engine.on_event(ControllerClock(controller_time("260101_120000")))
        for count, told in ((1, "260101_120001"), (2, "260101_120021")):
            at.image(count, taken=controller_time("260101_120001"))
            at.result(count)
            # It was asked for before that result came.
            at.engine.on_event(ControllerClock(controller_time("260101_120001")))
            await asyncio.sleep(0.05)
            assert not at.engine.is_idle
            at.engine.on_event(ControllerClock(controller_time(told), follows_results=True))
            await at.rows(count)
        at.image(3, taken=controller_time("260101_120021"))
        at.result(3)
        of_now, of_before, unproven = await at.rows(3)

    assert of_now.verdict is Verdict.PASS
    assert (of_before.verdict, of_before.reason) == (Verdict.REJECT, Reason.STALE)
    assert "taken at 260101_120001" in of_before.detail
    assert "260101_120021" in of_before.detail
    assert (unproven.verdict, unproven.reason) == (Verdict.REJECT, Reason.STALE)
    assert "not told its clock since" in unproven.detail


async def test_the_line_is_ready_once_the_clock_showed_another_second_than_that_of_the_new_link(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s(), controller_time("260101_120000")))
        at.engine.on_event(ControllerClock(controller_time("260101_120000")))
        before, why = at.engine.state, str(at.health)
        at.engine.on_event(ControllerClock(controller_time("260101_120001")))

        assert before is LineState.FAULT
        assert "shows the next second" in why
        assert at.engine.state is LineState.READY


async def test_a_clock_that_stands_still_is_told_as_that(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s() - 60, controller_time("260101_120000")))
        at.engine.on_event(ControllerClock(controller_time("260101_120000")))

        assert at.engine.state is LineState.FAULT
        assert "stands still at 260101_120000" in str(at.health)


async def test_a_clock_that_was_told_already_ends_no_fault_of_a_link_that_is_to_begin_anew(tmp_path: Path) -> None:
    """The answer may have been on its way to the engine when the trigger's deadline passed."""
    async with line(tmp_path, deadline_s=0.2) as at:
        at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s(), controller_time("260101_120000")))
        at.engine.on_event(ControllerClock(controller_time("260101_120001")))
        await at.engine.trigger(MemoryLink())
        await at.rows(1)
        at.engine.on_event(ControllerClock(controller_time("260101_120002"), follows_results=True))

        assert not at.engine.is_ready()
        assert "told nothing by the deadline" in str(at.health)


async def test_images_of_two_controllers_in_one_inbox_are_a_fault_until_the_link_begins_anew(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(500, session="260101_110000", taken=controller_time("260101_120000"))
        at.image(77, session="260101_113000", taken=controller_time("260101_120001"))
        before = at.engine.state
        at.image(501, session="260101_110000", taken=controller_time("260101_120002"))
        told, state = str(at.health), at.engine.state
        at.engine.on_event(ControllerDown("cable", monotonic_s()))
        at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s(), controller_time("260101_120003")))
        await at.rows(3)

    assert before is not LineState.FAULT
    assert state is LineState.FAULT
    assert "Two controllers" in told
    assert "260101_110000" in told
    assert "sessions" not in at.health.reasons


async def test_the_next_part_that_comes_while_the_row_is_written_withholds_the_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(tmp_path, deadline_s=1.0) as at:
        append = at.journal.append

        async def slowly(row: PartRow) -> None:
            if row.count == 1:
                at.image(2)
            await append(row)

        monkeypatch.setattr(at.journal, "append", slowly)
        at.image(1)
        at.result(1)
        first, _ = await at.rows(2)
        with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
            published = reader.publications()[first.part_seq].published

        assert first.verdict is Verdict.PASS
        assert published is Published.WITHHELD
        assert ("PASS", first.part_seq) not in at.output.said


async def test_an_agent_triggered_part_takes_the_next_count(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        await at.engine.trigger(MemoryLink())
        at.result(5)
        at.image(5)
        (row,) = await at.rows(1)

        assert (row.verdict, row.count) == (Verdict.PASS, 5)


async def test_a_late_result_of_a_triggered_part_never_passes_the_next_one(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=0.2) as at:
        link = MemoryLink()
        await at.engine.trigger(link)
        await at.rows(1)
        was_ready = at.engine.is_ready()
        await at.engine.trigger(link)
        at.result(5)
        at.image(5)
        first, second = await at.rows(2)
        at.engine.on_event(ControllerDown("asked to begin anew", monotonic_s()))
        at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s()))
        await at.engine.trigger(link)
        at.result(6)
        at.image(6)
        *_, third = await at.rows(3)

        assert not was_ready
        assert len(link.begun_anew) == 1
        assert (first.verdict, first.reason) == (Verdict.REJECT, Reason.NO_ANSWER)
        assert second.verdict is Verdict.FAULT, "evidence of the part before may be in it"
        assert (third.verdict, third.count) == (Verdict.PASS, 6)


async def test_a_triggered_part_that_got_its_count_begins_nothing_anew(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=0.2) as at:
        link = MemoryLink()
        await at.engine.trigger(link)
        at.result(5)
        (row,) = await at.rows(1)

        assert row.reason is Reason.NO_IMAGE
        assert link.begun_anew == []
        assert at.engine.is_ready()


async def test_a_refused_trigger_is_sent_again_while_there_is_time(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=1.0) as at:
        link = MemoryLink(refusals=2)
        await at.engine.trigger(link)
        at.image(5)
        at.result(5)
        (row,) = await at.rows(1)

        assert link.triggers == 3
        assert row.verdict is Verdict.PASS


@pytest.mark.parametrize("error", [NotConnected("gone"), CommandRefused("T1", "02", "unknown")])
async def test_a_trigger_that_never_gets_through_rejects_the_part(tmp_path: Path, error: Exception) -> None:
    async with line(tmp_path, deadline_s=4.0) as at:
        await at.engine.trigger(MemoryLink(error=error))
        (row,) = await at.rows(1)

        assert row.decided_mono_s - row.first_sign_mono_s < 3.5, "it is no part that could still come"

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.NO_ANSWER)
        assert str(error) in row.detail


async def test_received_bytes_are_archived_unchanged_under_the_verdict(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(1, b"bad")
        at.result(1)
        await at.rows(1)
        async with asyncio.timeout(5):
            while not (kept := list((tmp_path / "archive").rglob("*REJECT*"))):
                await asyncio.sleep(0.005)

        assert [path.read_bytes() for path in kept] == [b"bad"]


async def test_a_flood_of_parts_keeps_the_number_of_open_ones_bounded(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=30.0) as at:
        for count in range(1, 41):
            at.image(count)
        async with asyncio.timeout(10):  # long before any deadline
            while at.journal.next_part_seq < 32:
                await asyncio.sleep(0.005)
        for count in range(33, 41):
            at.result(count)
        rows = await at.rows(40)

        assert [row.count for row in rows] == list(range(1, 41))
        assert [row.verdict for row in rows if row.count < 40] == [Verdict.REJECT] * 39
        assert math.isclose(rows[-1].score or math.nan, 1.0)


async def test_parts_that_were_imaged_while_the_agent_was_down_are_fault_each_with_a_row(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(5)
        at.result(5)
        await at.rows(1)
    async with line(tmp_path) as at:
        at.result(9)
        at.image(9)
        async with asyncio.timeout(5):
            while len(await at.rows(1)) < 5:
                await asyncio.sleep(0.005)
        at.image(7, b"queued")
        async with asyncio.timeout(5):
            while not (kept := [path.name for path in (tmp_path / "archive").rglob("part_000000000003*")]):
                await asyncio.sleep(0.005)
        rows = await at.rows(5)
        with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
            events = [event.detail for event in reader.events() if event.kind == "AGENT_DOWN"]

        assert [(row.count, row.verdict) for row in rows] == [
            (5, Verdict.PASS),
            (6, Verdict.FAULT),
            (7, Verdict.FAULT),
            (8, Verdict.FAULT),
            (9, Verdict.PASS),
        ]
        assert "AGENT_DOWN" in rows[1].detail
        assert events == ["counts 6 to 8: 3 without any sign"]
        assert "_REJECT_" in kept[0], "a queued image of such a part is filed under it, and judged by nobody"


async def test_a_disk_slower_than_the_line_costs_images_of_passes_and_never_fills_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "_MOST_WAITING", 3)
    may_go_on, file = threading.Event(), Archive.file

    def waits(*args: Any, **kwargs: Any) -> Path | None:
        may_go_on.wait(30)
        return file(*args, **kwargs)

    def in_spool() -> list[str]:
        return sorted(path.name.split("-")[1] for path in tmp_path.glob("s-*.bmp"))

    monkeypatch.setattr(Archive, "file", waits)
    async with line(tmp_path) as at:
        with capture_logs() as logs:
            for count in range(1, 8):
                at.image(count, b"bad" if count == 6 else b"good")
                at.result(count)
                await at.rows(count)
            async with asyncio.timeout(5):
                while len(spooled := in_spool()) > 4:
                    await asyncio.sleep(0.005)
        may_go_on.set()
        async with asyncio.timeout(5):
            while in_spool():
                await asyncio.sleep(0.005)
    kept = sorted(path.name.split("_")[1:4:2] for path in (tmp_path / "archive").rglob("part_*"))

    assert spooled == ["1", "2", "3", "6"]
    assert kept == [[f"{seq:012d}", verdict] for seq, verdict in ((1, "PASS"), (2, "PASS"), (3, "PASS"), (6, "REJECT"))]
    assert [said["event"] for said in logs].count("archive_overrun") == 1, "once, not for each"


async def test_of_a_long_gap_the_newest_have_rows_and_the_event_names_the_others(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(5)
        at.result(5)
        await at.rows(1)
    async with line(tmp_path) as at:
        at.result(2006)
        at.image(2006)
        async with asyncio.timeout(20):
            while len(rows := await at.rows(1)) < 1002:
                await asyncio.sleep(0.01)
        with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
            events = [event.detail for event in reader.events() if event.kind == "AGENT_DOWN"]

    assert [row.count for row in rows if row.reason is Reason.NOT_READY] == list(range(1006, 2006))
    assert events == [
        "counts 1006 to 2005: 1000 without any sign; before them counts 6 to 1005, which have no rows of their own"
    ]


async def test_a_duplicate_that_cannot_be_removed_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, f"read-only, {missing_ok}")

    async with line(tmp_path) as at:
        at.image(5)
        monkeypatch.setattr(Path, "unlink", refuse)
        with capture_logs() as logs:
            at.image(5)
            async with asyncio.timeout(5):
                while "file_not_removed" not in [said["event"] for said in logs]:
                    await asyncio.sleep(0.005)
        monkeypatch.undo()
        at.result(5)
        rows = await at.rows(1)

    assert [row.verdict for row in rows] == [Verdict.PASS]


async def test_an_image_without_its_result_hides_no_part_that_was_missed_before_it(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=0.1) as at:
        at.image(1)
        at.result(1)
        await at.rows(1)
        at.image(4)
        await at.rows(2)
    async with line(tmp_path) as at:
        at.result(6)
        at.image(6)
        async with asyncio.timeout(5):
            while len(rows := await at.rows(1)) < 6:
                await asyncio.sleep(0.005)

    assert sorted((row.count, row.reason) for row in rows) == [
        (1, Reason.OK),
        (2, Reason.NOT_READY),
        (3, Reason.NOT_READY),
        (4, Reason.NO_RESULT),
        (5, Reason.NOT_READY),
        (6, Reason.OK),
    ]


@pytest.mark.parametrize("count", [1, 5, 6])
async def test_no_gap_and_a_counter_that_began_anew_write_no_rows(tmp_path: Path, count: int) -> None:
    async with line(tmp_path) as at:
        at.image(5)
        at.result(5)
        await at.rows(1)
    async with line(tmp_path) as at:
        at.image(count, session="t")
        at.result(count)
        rows = await at.rows(2)

        assert [row.count for row in rows] == [5, count]


async def test_a_gap_of_the_link_accounts_only_for_parts_of_which_nothing_came(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=0.1) as at:
        at.image(1)
        at.result(1)
        await at.rows(1)
        at.engine.on_event(ControllerDown("cable", monotonic_s()))
        at.image(2)
        await at.rows(2)
        at.engine.on_event(ControllerUp(1, "CV-X", monotonic_s()))
        at.image(4)
        at.result(4)
        async with asyncio.timeout(5):
            while len(rows := await at.rows(1)) < 4:
                await asyncio.sleep(0.005)

        assert sorted((row.count, row.verdict) for row in rows) == [
            (1, Verdict.PASS),
            (2, Verdict.FAULT),
            (3, Verdict.FAULT),
            (4, Verdict.PASS),
        ]


async def test_a_result_that_was_held_up_on_its_way_makes_its_part_as_old_as_it_is(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        sent_mono_s = monotonic_s() - 0.45
        at.engine.on_event(ControllerResult(1, 1, Judgement.OK, ("1",), sent_mono_s))
        at.image(1)
        (row,) = await at.rows(1)

    assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.LATE)
    assert row.first_sign_mono_s == sent_mono_s


async def test_a_sign_that_may_have_waited_while_the_loop_stood_still_counts_from_before(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.engine.tick()
        time.sleep(0.45)  # noqa: ASYNC251 - longer than the part's time
        at.image(1)
        at.result(1)
        (row,) = await at.rows(1)

    assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.LATE)

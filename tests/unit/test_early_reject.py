"""A reject that is certain before its inspection is done: on the wire at once, and never a PASS afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from drivers.base import ControllerDown, Judgement, Published, Reason, Verdict
from drivers.modbus.register_output import RegisterOutput
from drivers.simulated.plc import SimulatedPlc
from drivers.timing import monotonic_s
from edge_agent.domain import Inspection, Outcome
from edge_agent.runtime.early import after_early, is_due
from edge_agent.runtime.interlock import Health
from edge_agent.runtime.rejects import RejectWatch
from edge_agent.runtime.verdict import Decision
from edge_agent.store.journal import JournalReader
from tests.unit.test_runtime_decision import CAPTURE, NG, OK, PROVEN, RESULT
from tests.unit.test_runtime_engine import Line, line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.runtime.verdict import Evidence

WITHIN_S = 5.0


class Early:
    """Says that an image is a reject for certain, and finds what its bytes say when the test lets it go on.

    Both steps wait for the test: ``may_say`` and ``may_end``.
    """

    def __init__(self) -> None:
        self.may_say, self.may_end, self.has_said = threading.Event(), threading.Event(), threading.Event()

    def prepare(self, data: bytes) -> bytes:
        return data

    def judge(self, prepared: bytes, certain: Callable[[], None] | None = None) -> Inspection:
        is_good = prepared.startswith(b"good")
        if certain is not None and b"certain" in prepared:
            assert self.may_say.wait(WITHIN_S)
            certain()
            self.has_said.set()
            assert self.may_end.wait(WITHIN_S)
        found = (Outcome.OK, Reason.OK, 1.0) if is_good else (Outcome.NG, Reason.SCORE, 3.0)
        return Inspection(*found, 2.0, "c0de" + 60 * "0", hashlib.sha256(prepared).hexdigest())


@asynccontextmanager
async def early_line(folder: Path, *, may_say: bool = True, **options: Any) -> AsyncIterator[tuple[Line, Early]]:
    inspector = Early()
    if may_say:
        inspector.may_say.set()
    async with line(folder, inspector=inspector, deadline_s=options.pop("deadline_s", WITHIN_S), **options) as at:
        try:
            yield at, inspector
        finally:
            inspector.may_say.set()
            inspector.may_end.set()


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not what():
            await asyncio.sleep(0.002)


async def heard(at: Line, inspector: Early) -> None:
    """The engine has heard of every word that was said, and had time to act on it."""
    await asyncio.to_thread(inspector.has_said.wait, WITHIN_S)
    await asyncio.sleep(0)
    await until(lambda: any(live.certain for live in at.engine._open_parts.values()))
    for _ in range(5):
        await asyncio.sleep(0)


def rejected(at: Line) -> list[int]:
    return [seq for said, seq in at.output.said if said == "REJECT"]


def published(folder: Path, seq: int) -> Published | None:
    with JournalReader.open(folder / "journal.sqlite3") as reader:
        found = reader.publications().get(seq)
    return None if found is None else found.published


async def test_a_certain_reject_is_on_the_wire_before_its_inspection_is_done(tmp_path: Path) -> None:
    async with early_line(tmp_path) as (at, inspector):
        at.image(1, b"bad, certain")
        at.result(1)
        await until(lambda: rejected(at))
        assert at.journal.next_part_seq == 1, "its row waits for the whole inspection"
        released_s = monotonic_s()
        inspector.may_end.set()
        (row,) = await at.rows(1)
        await until(lambda: published(tmp_path, 1))

        assert (row.verdict, row.reason, row.score) == (Verdict.REJECT, Reason.SCORE, 3.0)
        assert row.first_sign_mono_s <= row.decided_mono_s < released_s
        assert rejected(at) == [1], "said once"
        assert at.output.named == [(None, 0)], "why is not known yet"
        with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
            became = reader.publications()[1]
        assert became.published is Published.PUBLISHED
        assert row.decided_mono_s <= became.at_mono_s < released_s, "when it stood on the wire"


async def test_a_reject_that_is_ready_when_it_is_certain_is_a_reject_as_ever(tmp_path: Path) -> None:
    async with early_line(tmp_path) as (at, inspector):
        inspector.may_end.set()
        at.image(1, b"bad, certain")
        at.result(1)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.SCORE)
        assert rejected(at) == [1]


@pytest.mark.parametrize("is_told", [True, False])
async def test_an_inspection_that_contradicts_its_early_word_never_passes(tmp_path: Path, *, is_told: bool) -> None:
    async with early_line(tmp_path) as (at, inspector):
        with capture_logs() as logs:
            at.image(1, b"good, and certain")
            if is_told:
                at.result(1)
                await until(lambda: rejected(at))
            await heard(at, inspector)
            inspector.may_end.set()
            await until(lambda: any(live.inspections for live in at.engine._open_parts.values()) or at.engine.is_idle)
            if not is_told:
                at.result(1)
            (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.INTERNAL)
        assert "certain" in row.detail
        assert "inspection_contradicts_itself" in [entry["event"] for entry in logs]


async def test_nothing_is_said_of_an_image_that_no_result_belongs_to_and_at_once_when_it_comes(tmp_path: Path) -> None:
    async with early_line(tmp_path) as (at, inspector):
        at.image(1, b"bad, certain")
        await heard(at, inspector)
        assert rejected(at) == []
        at.result(1)
        await until(lambda: rejected(at))
        inspector.may_end.set()
        await at.rows(1)

        assert rejected(at) == [1]


async def test_nothing_is_said_of_a_part_behind_which_another_came(tmp_path: Path) -> None:
    async with early_line(tmp_path, may_say=False) as (at, inspector):
        at.image(1, b"bad, certain")
        at.result(1)
        at.image(2, b"good")
        at.result(2)
        inspector.may_say.set()
        await heard(at, inspector)
        assert rejected(at) == []
        inspector.may_end.set()
        first, second = await at.rows(2)
        await until(lambda: published(tmp_path, 1))

        assert (first.reason, second.verdict) == (Reason.SCORE, Verdict.PASS)
        assert rejected(at) == []
        assert published(tmp_path, 1) is Published.WITHHELD


async def test_nothing_is_said_before_the_output_knows_of_the_part(tmp_path: Path) -> None:
    """A PLC names the part by then, or the next one, if that comes first."""
    may_begin = asyncio.Event()
    async with early_line(tmp_path) as (at, inspector):
        begin = at.output.begin_part

        async def slowly(*part: Any) -> None:
            await may_begin.wait()
            await begin(*part)

        at.output.begin_part = slowly  # type: ignore[method-assign]
        at.image(1, b"bad, certain")
        at.result(1)
        await heard(at, inspector)
        at.image(2, b"bad, certain")
        at.result(2)
        may_begin.set()
        inspector.may_end.set()
        first, second = await at.rows(2)
        await until(lambda: published(tmp_path, 2))

        assert (first.reason, second.reason) == (Reason.SCORE, Reason.SCORE)
        assert rejected(at) == [2]


async def test_what_else_stands_against_the_part_decides_the_reason_of_its_row(tmp_path: Path) -> None:
    async with early_line(tmp_path) as (at, inspector):
        at.image(1, b"bad, certain")
        at.result(1)
        await until(lambda: rejected(at))
        at.engine.on_event(ControllerDown("cable", monotonic_s()))
        (row,) = await at.rows(1)
        await until(lambda: published(tmp_path, 1))

        assert (row.verdict, row.reason) == (Verdict.FAULT, Reason.NOT_READY)
        assert published(tmp_path, 1) is Published.PUBLISHED
        assert rejected(at) == [1]
        inspector.may_end.set()


async def test_a_part_whose_image_is_not_done_by_the_deadline_is_late_though_rejected_in_time(tmp_path: Path) -> None:
    async with early_line(tmp_path, deadline_s=0.3) as (at, inspector):
        at.image(1, b"bad, certain")
        at.result(1)
        await until(lambda: rejected(at))
        (row,) = await at.rows(1)
        inspector.may_end.set()

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.LATE)
        assert row.decided_mono_s < row.deadline_mono_s


async def test_nothing_is_said_early_in_a_dry_run(tmp_path: Path) -> None:
    async with early_line(tmp_path, is_dry_run=True) as (at, inspector):
        at.image(1, b"bad, certain")
        at.result(1)
        await heard(at, inspector)
        assert rejected(at) == []
        inspector.may_end.set()
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.SCORE)


async def test_nothing_is_said_early_under_a_bypass(tmp_path: Path) -> None:
    async with early_line(tmp_path) as (at, inspector):
        await at.engine.bypass.begin("A. Rossi", "lamp replaced")
        at.image(1, b"bad, certain")
        at.result(1)
        await heard(at, inspector)
        assert rejected(at) == []
        inspector.may_end.set()
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.PASS, Reason.BYPASS)


async def test_a_bypass_that_begins_afterwards_passes_no_part_that_was_rejected(tmp_path: Path) -> None:
    async with early_line(tmp_path) as (at, inspector):
        at.image(1, b"bad, certain")
        at.result(1)
        await until(lambda: rejected(at))
        await at.engine.bypass.begin("A. Rossi", "lamp replaced")
        inspector.may_end.set()
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.SCORE)
        assert ("PASS", 1) not in at.output.said


async def test_one_camera_is_enough(tmp_path: Path) -> None:
    async with early_line(tmp_path, cameras=(1, 2)) as (at, inspector):
        at.image(1, b"bad, certain", camera=2)
        at.result(1)
        await until(lambda: rejected(at))
        inspector.may_end.set()
        at.image(1, b"good", camera=1)
        (row,) = await at.rows(1)

        assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.SCORE)
        assert row.detail == ""
        assert rejected(at) == [1]


async def test_the_part_is_awaited_at_the_chute_from_its_early_word_on_and_once(tmp_path: Path) -> None:
    watch = RejectWatch(WITHIN_S, Health())
    async with early_line(tmp_path, rejects=watch) as (at, inspector):
        at.image(1, b"bad, certain")
        at.result(1)
        await until(lambda: watch._awaited)
        watch.seen()
        inspector.may_end.set()
        await at.rows(1)
        await until(lambda: published(tmp_path, 1))

        assert not watch._awaited
        assert watch.confirmed == 1


async def test_what_an_output_did_not_take_early_is_said_again(tmp_path: Path) -> None:
    async with early_line(tmp_path) as (at, inspector):
        publish, answers = at.output.publish, iter([Published.FAILED])

        async def fails_once(*asked: Any, **more: Any) -> Published:
            became = await publish(*asked, **{"may_pass": lambda: True, **more})
            return next(answers, became)

        at.output.publish = fails_once  # type: ignore[method-assign]
        at.image(1, b"bad, certain")
        at.result(1)
        await until(lambda: rejected(at))
        inspector.may_end.set()
        await at.rows(1)
        await until(lambda: published(tmp_path, 1))

        assert rejected(at) == [1, 1]
        assert at.output.named[-1][0] is Reason.SCORE
        assert published(tmp_path, 1) is Published.PUBLISHED


async def test_a_plc_rejects_the_part_before_its_inspection_is_done(tmp_path: Path) -> None:
    plc = SimulatedPlc(scan_s=0.001)
    await plc.start()
    output = RegisterOutput("127.0.0.1", plc.port, pass_hold_s=0.2, refresh_s=0.05)
    running = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: output.is_confirmed and plc.is_agent_ready)
        async with early_line(tmp_path, output=output) as (at, inspector):
            part = plc.part_arrives()
            at.image(1, b"bad, certain")
            at.result(1)
            await until(lambda: part.is_decided)
            assert not part.is_let_through
            assert not at.engine.is_idle
            inspector.may_end.set()
            (row,) = await at.rows(1)

            assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.SCORE)
            assert output.untaken == 0
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await plc.stop()


# --- when it is due ---------------------------------------------------------------------------------------

PENDING = replace(PROVEN, inspections={})


def test_it_is_due_where_nothing_else_stands_against_the_part() -> None:
    assert is_due(PENDING, {1})
    assert is_due(replace(PENDING, inspections={1: NG}), {1})
    assert is_due(replace(PENDING, cameras=(1, 2)), {1}), "the other camera's image is not here yet"
    assert is_due(replace(PENDING, cameras=(1, 2), inspections={2: OK}), {1})
    assert is_due(replace(PENDING, result=replace(RESULT, judgement=Judgement.NG)), {1})


@pytest.mark.parametrize(
    "change",
    [
        {"result": None},
        {"unproven": "the controller has not told its clock"},
        {"next_part_is_here": True},
        {"deadline_passed": True},
        {"stale": "link gap"},
        {"not_ready": "output: gone"},
        {"program_problem": "program 9 has no [[bundle]]"},
        {"captures": {1: replace(CAPTURE, broken=Reason.IMAGE_BROKEN)}},
        {"captures": {1: replace(CAPTURE, broken=Reason.DISK)}},
        {"captures": {1: replace(CAPTURE, count=None)}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_it_is_not_due_where_anything_does(change: dict[str, Any]) -> None:
    evidence: Evidence = replace(PENDING, **change)

    assert not is_due(evidence, {1})


def test_it_is_not_due_where_nothing_is_certain() -> None:
    assert not is_due(PENDING, set())


def test_a_part_that_was_rejected_early_never_passes() -> None:
    passed = Decision(Verdict.PASS, Reason.OK)
    stale = Decision(Verdict.REJECT, Reason.STALE, "link gap")

    assert after_early(passed).reason is Reason.INTERNAL
    assert after_early(passed).verdict is Verdict.REJECT
    assert after_early(stale) is stale

"""Bypass: a person's word replaces this inspection's opinion and nothing else: in time, in the journal, no longer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from structlog.testing import capture_logs

from edge_agent.domain import Inspection, Judgement, Outcome, Published, Reason, Verdict
from edge_agent.runtime.bypass import LONGEST_S, Bypass, BypassRefused, decide_in_bypass
from edge_agent.runtime.verdict import Decision, Evidence, decide_verdict
from edge_agent.store.journal import JournalError, JournalReader
from tests.unit.test_runtime_decision import CAPTURE, NG, OK, PROVEN, RESULT
from tests.unit.test_runtime_engine import line
from tests.unit.test_runtime_invariants import LineMachine

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.journal import PartRow

# --- the decision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "without"),
    [
        ({}, "PASS OK"),
        ({"inspections": {1: NG}}, "REJECT SCORE: camera 1: above the limit"),
        ({"inspections": {1: replace(NG, reason=Reason.ALIGN)}}, "REJECT ALIGN"),
        ({"inspections": {1: replace(NG, reason=Reason.LIGHT)}}, "REJECT LIGHT"),
        ({"inspections": {1: replace(NG, reason=Reason.FOCUS)}}, "REJECT FOCUS"),
        ({"inspections": {1: replace(NG, reason=Reason.INTERNAL)}}, "REJECT INTERNAL"),
        ({"inspections": {1: replace(OK, outcome=Outcome.REVIEW, reason=Reason.SCORE)}}, "REJECT SCORE"),
        ({"inspections": {}}, "REJECT LATE"),
        ({"captures": {}, "inspections": {}}, "REJECT NO_IMAGE"),
        ({"captures": {1: replace(CAPTURE, broken=Reason.IMAGE_BROKEN)}}, "REJECT IMAGE_BROKEN"),
        ({"captures": {1: replace(CAPTURE, broken=Reason.IMAGE_SIZE)}}, "REJECT IMAGE_SIZE"),
        ({"cameras": (1, 2)}, "REJECT NO_IMAGE"),
    ],
)
def test_the_inspections_own_opinion_is_set_aside_and_said(change: dict[str, object], without: str) -> None:
    decision = decide_in_bypass(replace(PROVEN, **change), "A. Rossi")

    assert (decision.verdict, decision.reason) == (Verdict.PASS, Reason.BYPASS)
    assert decision.detail.startswith("BYPASS by A. Rossi; without it ")
    assert without in decision.detail


@pytest.mark.parametrize(
    "seen", [PROVEN, replace(PROVEN, inspections={1: NG}), replace(PROVEN, captures={}, inspections={})]
)
@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({"not_ready": "output: gone"}, Verdict.FAULT, Reason.NOT_READY),
        ({"program_problem": "program 9 has no [[bundle]]"}, Verdict.FAULT, Reason.PROGRAM),
        ({"stale": "link gap"}, Verdict.REJECT, Reason.STALE),
        ({"deadline_passed": True}, Verdict.REJECT, Reason.LATE),
        ({"next_part_is_here": True}, Verdict.REJECT, Reason.OVERRUN),
        ({"result": replace(RESULT, judgement=Judgement.NG)}, Verdict.REJECT, Reason.CONTROLLER_NG),
        ({"result": replace(RESULT, judgement=None)}, Verdict.REJECT, Reason.CONTROLLER_NG),
        ({"captures": {1: replace(CAPTURE, broken=Reason.DISK)}}, Verdict.FAULT, Reason.DISK),
    ],
)
def test_nothing_else_is_set_aside(seen: Evidence, change: dict[str, object], verdict: Verdict, reason: Reason) -> None:
    decision = decide_in_bypass(replace(seen, **change), "A. Rossi")

    assert (decision.verdict, decision.reason) == (verdict, reason)
    assert "BYPASS by A. Rossi" in decision.detail


def test_a_part_without_a_live_result_and_one_that_was_judged_before_never_pass() -> None:
    unproven = decide_in_bypass(replace(PROVEN, result=None), "me")
    nothing = decide_in_bypass(replace(PROVEN, result=None, captures={}, inspections={}), "me")
    again = decide_in_bypass(replace(PROVEN, captures={}, inspections={}, repeats_count=True), "me")
    nameless = decide_in_bypass(replace(PROVEN, result=None, captures={1: replace(CAPTURE, count=None)}), "me")

    reasons = [decision.reason for decision in (unproven, nothing, again, nameless)]
    assert reasons == [Reason.NO_RESULT, Reason.NO_ANSWER, Reason.DUPLICATE, Reason.NO_RESULT]


def test_the_controllers_own_tools_may_be_left_out_by_the_line_as_ever() -> None:
    ng = replace(PROVEN, result=replace(RESULT, judgement=Judgement.NG), judgement_policy="agent")

    assert decide_in_bypass(ng, "me").reason is Reason.BYPASS


inspections = st.sampled_from([OK, NG, replace(OK, outcome=Outcome.REVIEW)])


@given(
    st.builds(
        Evidence,
        cameras=st.sampled_from([(1,), (1, 2)]),
        judgement_policy=st.sampled_from(["agent", "both"]),
        captures=st.dictionaries(
            st.integers(1, 2),
            st.sampled_from([CAPTURE, replace(CAPTURE, broken=Reason.IMAGE_BROKEN), replace(CAPTURE, count=None)]),
        ),
        inspections=st.dictionaries(st.integers(1, 2), inspections),
        result=st.sampled_from([None, RESULT, replace(RESULT, judgement=Judgement.NG)]),
        not_ready=st.sampled_from(["", "x"]),
        program_problem=st.sampled_from(["", "x"]),
        stale=st.sampled_from(["", "x"]),
        repeats_count=st.booleans(),
        deadline_passed=st.booleans(),
        next_part_is_here=st.booleans(),
        locked=st.sampled_from(["", "x"]),
    )
)
def test_a_pass_in_bypass_implies_every_proof_but_the_inspections(evidence: Evidence) -> None:
    usual, decision = decide_verdict(evidence), decide_in_bypass(evidence, "me")

    assert "BYPASS by me" in decision.detail
    if decision.verdict is not Verdict.PASS:
        assert usual.verdict is not Verdict.PASS, "bypass rejected what would have passed"
        return
    assert decision.reason is Reason.BYPASS
    assert not any((evidence.not_ready, evidence.program_problem, evidence.stale))
    assert not any((evidence.deadline_passed, evidence.next_part_is_here, evidence.locked))
    assert not (evidence.repeats_count and not evidence.captures)
    assert evidence.result is not None
    if evidence.judgement_policy == "both":
        assert evidence.result.judgement is Judgement.OK


class BypassedLine(LineMachine):
    """The line of the other invariants, where somebody begins and ends a bypass at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.is_bypassed = False

    @rule(on=st.booleans())
    def somebody_begins_or_ends_it(self, *, on: bool) -> None:
        self.is_bypassed = on

    def _decide(self, evidence: Evidence) -> Decision:
        return decide_in_bypass(evidence, "me") if self.is_bypassed else decide_verdict(evidence)

    @invariant()
    def no_stale_pass(self) -> None:
        """A PASS is of one part: of its own live result, and without a bypass of a good part."""
        for seq, judged in self.judged.items():
            if judged.decision.verdict is Verdict.PASS:
                assert len(judged.truths) == 1, f"part {seq} passed on messages of parts {set(judged.truths)}"
                part = self.imaged[next(iter(judged.truths))]
                assert part.is_good or judged.decision.reason is Reason.BYPASS


TestBypassedLine = BypassedLine.TestCase
TestBypassedLine.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


# --- its life -------------------------------------------------------------------------------------------------------


class Book:
    """Takes events, or refuses."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.refuses = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def note(self, kind: str, detail: str) -> None:
        await self.gate.wait()
        if self.refuses:
            raise JournalError("disk full")
        self.events.append(f"{kind} {detail}")


async def test_it_is_not_active_before_its_row_is_durable() -> None:
    book = Book()
    book.gate.clear()
    bypass = Bypass(book.note)
    beginning = asyncio.create_task(bypass.begin("A. Rossi", "lamp replaced"))
    await asyncio.sleep(0)
    before = bypass.is_active
    with pytest.raises(BypassRefused, match="has not ended"):
        await bypass.begin("B. Bianchi", "me too")
    book.gate.set()
    await beginning

    assert not before
    assert bypass.is_active
    assert book.events == ["BYPASS begins, by A. Rossi, for 900 s: lamp replaced"]
    assert bypass.words == "BYPASS by A. Rossi, 15 min left"


async def test_without_a_durable_row_there_is_none() -> None:
    book = Book()
    book.refuses = True
    bypass = Bypass(book.note)
    with pytest.raises(JournalError):
        await bypass.begin("A. Rossi", "lamp replaced")

    assert not bypass.is_active
    assert bypass.status() is None
    book.refuses = False
    await bypass.begin("A. Rossi", "lamp replaced")
    assert bypass.is_active


@pytest.mark.parametrize(
    ("by", "why", "for_s"),
    [
        ("", "w", 60.0),
        ("  ", "w", 60.0),
        ("a\nb", "w", 60.0),
        ("a" * 201, "w", 60.0),
        ("a", "", 60.0),
        ("a", "w\x1b[2J", 60.0),
        ("a", "w", 0.0),
        ("a", "w", -1.0),
        ("a", "w", LONGEST_S + 1),
        ("a", "w", float("nan")),
        ("a", "w", float("inf")),
    ],
)
async def test_one_without_a_name_a_reason_or_an_end_is_refused(by: str, why: str, for_s: float) -> None:
    book = Book()
    bypass = Bypass(book.note)
    with pytest.raises(BypassRefused):
        await bypass.begin(by, why, for_s)

    assert not bypass.is_active
    assert not book.events


async def test_it_is_over_after_15_minutes_even_if_nothing_here_gets_a_turn() -> None:
    now = 1000.0
    bypass = Bypass(Book().note, clock=lambda: now)
    await bypass.begin("A. Rossi", "lamp replaced")
    now += LONGEST_S - 0.001
    last_moment = bypass.decide(replace(PROVEN, inspections={1: NG}))
    now += 0.001
    after = bypass.decide(replace(PROVEN, inspections={1: NG}))

    assert last_moment.reason is Reason.BYPASS
    assert (after.verdict, after.reason) == (Verdict.REJECT, Reason.SCORE)
    assert (bypass.words, bypass.status(), bypass.left_s) == ("", None, 0.0)
    with pytest.raises(BypassRefused, match="has not ended"):  # its end is noted by the keeper, before another begins
        await bypass.begin("A. Rossi", "and again")


async def test_one_that_runs_is_not_made_longer() -> None:
    bypass = Bypass(Book().note)
    await bypass.begin("A. Rossi", "lamp replaced", 60.0)
    with pytest.raises(BypassRefused) as caught:
        await bypass.begin("A. Rossi", "lamp replaced")

    assert "bypass end" in caught.value.hint
    assert bypass.left_s <= 60.0


async def test_its_end_is_in_the_journal_whoever_ended_it() -> None:
    book = Book()
    bypass = Bypass(book.note)
    with capture_logs() as logs:
        async with bypass.kept():
            await bypass.begin("A. Rossi", "one", 0.05)
            async with asyncio.timeout(5):
                while len(book.events) < 2:
                    await asyncio.sleep(0.005)
            await bypass.begin("A. Rossi", "two")
            await bypass.end("B. Bianchi")
            with pytest.raises(BypassRefused, match="no bypass"):
                await bypass.end("B. Bianchi")
            await bypass.begin("A. Rossi", "three")
    ends = [event for event in book.events if "ends" in event]

    assert not bypass.is_active
    assert ends == [
        "BYPASS ends: its time is over; it was begun by A. Rossi",
        "BYPASS ends: by 'B. Bianchi'; it was begun by A. Rossi",
        "BYPASS ends: the agent stops; it was begun by A. Rossi",
    ]
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("bypass_begins", "warning"),
        ("bypass_ends", "warning"),
    ] * 3


async def test_it_ends_although_the_journal_refuses_to_note_it() -> None:
    book = Book()
    bypass = Bypass(book.note)
    await bypass.begin("A. Rossi", "lamp replaced")
    book.refuses = True
    with pytest.raises(JournalError):
        await bypass.end("A. Rossi")

    assert not bypass.is_active


# --- the engine -----------------------------------------------------------------------------------------------------


async def test_a_part_that_the_inspection_rejects_passes_after_its_row_and_its_image_is_kept(tmp_path: Path) -> None:
    async with line(tmp_path, keep="rejects") as at:
        await at.engine.bypass.begin("A. Rossi", "lamp replaced")
        at.image(1, b"bad")
        at.result(1)
        await at.rows(1)
        await at.engine.bypass.end("A. Rossi")
        at.image(2, b"bad")
        at.result(2)
        bypassed, rejected = await at.rows(2)
        async with asyncio.timeout(5):
            while len(kept := list((tmp_path / "archive").rglob("part_*"))) < 2:
                await asyncio.sleep(0.005)
        with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
            events = [event.detail for event in journal.events() if event.kind == "BYPASS"]

    assert (bypassed.verdict, bypassed.reason, bypassed.score) == (Verdict.PASS, Reason.BYPASS, 3.0)
    assert "without it REJECT SCORE" in bypassed.detail
    assert (rejected.verdict, rejected.reason) == (Verdict.REJECT, Reason.SCORE)
    assert at.output.said == [("withdraw", 0), ("PASS", 1), ("withdraw", 0), ("withdraw", 0), ("REJECT", 2)]
    assert at.output.named[0][0] is Reason.BYPASS
    assert len(kept) == 2
    assert len(events) == 2


async def publication(folder: Path, part_seq: int) -> Published:
    """What became of a verdict; its record comes after the part is done."""
    async with asyncio.timeout(10):
        while True:
            with JournalReader.open(folder / "journal.sqlite3") as journal:
                if (found := journal.publications().get(part_seq)) is not None:
                    return found.published
            await asyncio.sleep(0.005)


async def test_a_pass_whose_row_is_being_written_does_not_leave_once_the_bypass_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(tmp_path, deadline_s=5.0) as at:
        append, is_writing, may_write = at.journal.append, asyncio.Event(), asyncio.Event()

        async def held(row: PartRow) -> None:
            is_writing.set()
            await may_write.wait()
            await append(row)

        monkeypatch.setattr(at.journal, "append", held)
        await at.engine.bypass.begin("A. Rossi", "lamp replaced")
        at.image(1, b"bad")
        at.result(1)
        await is_writing.wait()
        await at.engine.bypass.end("A. Rossi")
        may_write.set()
        (row,) = await at.rows(1)
        published = await publication(tmp_path, row.part_seq)

    assert row.reason is Reason.BYPASS, "the row was decided while it was on"
    assert published is Published.WITHHELD
    assert ("PASS", 1) not in at.output.said


async def test_a_pass_that_rests_on_it_is_taken_back_before_end_returns_and_another_is_not(tmp_path: Path) -> None:
    async with line(tmp_path) as at:
        at.image(1)
        at.result(1)
        await at.rows(1)
        await at.engine.bypass.begin("A. Rossi", "lamp replaced")
        await at.engine.bypass.end("A. Rossi")
        of_the_inspection = list(at.output.said)
        await at.engine.bypass.begin("A. Rossi", "lamp replaced")
        at.image(2, b"bad")
        at.result(2)
        await at.rows(2)
        before = list(at.output.said)
        await at.engine.bypass.end("A. Rossi")

    assert of_the_inspection[-1] == ("PASS", 1)
    assert before[-1] == ("PASS", 2)
    assert at.output.said[-1] == ("withdraw", 0)


async def test_the_output_asks_at_the_last_moment_whether_the_bypass_is_still_on(tmp_path: Path) -> None:
    """Its end meets a PASS that waits for the wire: what the output asks before it writes says no."""
    async with line(tmp_path) as at:
        await at.engine.bypass.begin("A. Rossi", "lamp replaced")
        at.image(1, b"bad")
        at.result(1)
        await at.rows(1)
        while_on = at.output.may_pass[-1]()
        await at.engine.bypass.end("A. Rossi")

    assert while_on
    assert not at.output.may_pass[-1]()


async def test_a_part_whose_image_does_not_come_passes_in_its_time(tmp_path: Path) -> None:
    async with line(tmp_path, deadline_s=2.0) as at:
        await at.engine.bypass.begin("A. Rossi", "the camera's FTP is down")
        at.result(1)
        (row,) = await at.rows(1)

    assert (row.verdict, row.reason) == (Verdict.PASS, Reason.BYPASS)
    assert "without it REJECT NO_IMAGE" in row.detail
    assert row.decided_mono_s < row.deadline_mono_s
    assert at.output.said[-1] == ("PASS", 1)


async def test_without_its_row_no_part_passes_in_bypass_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with line(tmp_path) as at:
        await at.engine.bypass.begin("A. Rossi", "lamp replaced")

        async def refuse(_row: object) -> None:
            raise JournalError("disk full")

        monkeypatch.setattr(at.journal, "append", refuse)
        at.image(1)
        at.result(1)
        async with asyncio.timeout(5):
            while not at.engine.is_idle or not at.output.named:
                await asyncio.sleep(0.005)

    assert "PASS" not in [said for said, _ in at.output.said]
    assert at.output.named[-1][0] is Reason.JOURNAL


def test_an_inspection_of_ok_is_no_row_of_its_own() -> None:
    """What stands in for the inspection while deciding is never what the row is made of."""
    evidence = replace(PROVEN, inspections={1: NG})
    decide_in_bypass(evidence, "me")

    assert evidence.inspections == {1: NG}
    assert isinstance(evidence.inspections[1], Inspection)

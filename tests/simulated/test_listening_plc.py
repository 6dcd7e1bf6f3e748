"""The check of what was told against the journal can fail: a row that is lost, or is another one, is noticed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from drivers.base import Published, Reason, Verdict
from drivers.modbus.register_output import RegisterOutput
from drivers.output.block import REASON_CODES
from drivers.simulated.remote_io import IoFault
from drivers.timing import Deadline, monotonic_s
from edge_agent.store.journal import PublicationRow
from tests.simulated.listening_plc import ListeningPlc, Told, every_told_verdict_has_its_row
from tests.simulated.simulated_wire import until
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge_agent.store.journal import PartRow

OK, SCORE, LATE, NOT_READY = (
    REASON_CODES[reason] for reason in (Reason.OK, Reason.SCORE, Reason.LATE, Reason.NOT_READY)
)


@asynccontextmanager
async def plc_and_output() -> AsyncIterator[tuple[ListeningPlc, RegisterOutput]]:
    peer = ListeningPlc()
    await peer.start()
    made = RegisterOutput("127.0.0.1", peer.port, pass_hold_s=0.1, refresh_s=0.02)
    task = asyncio.create_task(made.run(lambda: True))
    try:
        await until(lambda: bool(peer.block[4] & 1))
        yield peer, made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.stop()


async def judge(plc: ListeningPlc, output: RegisterOutput, verdict: Verdict, reason: Reason) -> None:
    part = plc.part_arrives()
    await output.begin_part(part.seq, monotonic_s())
    assert await output.publish(part.seq, verdict, Deadline.after(2.0), reason) is Published.PUBLISHED


def verdicts(plc: ListeningPlc) -> list[tuple[int, bool, int]]:
    return [(one.seq, one.is_pass, one.reason) for one in plc.told]


def row(count: int, verdict: Verdict, reason: Reason, *, decided_s: float) -> PartRow:
    return part_row(count, count=count, verdict=verdict, reason=reason, decided_mono_s=decided_s)


async def test_it_hears_each_verdict_once_and_the_end_of_a_pass() -> None:
    async with plc_and_output() as (plc, output):
        await judge(plc, output, Verdict.PASS, Reason.OK)
        await until(lambda: plc.block[1] == 0x00C3)
        await judge(plc, output, Verdict.REJECT, Reason.SCORE)
        await asyncio.sleep(0.1)

    assert verdicts(plc) == [(1, True, OK), (1, False, OK), (2, False, SCORE)]


async def test_a_part_that_is_at_the_gate_when_a_connection_is_new_was_told_nothing() -> None:
    async with plc_and_output() as (plc, output):
        await judge(plc, output, Verdict.REJECT, Reason.SCORE)
        await plc.misbehave(IoFault.DROP)
        await until(lambda: not output.is_confirmed)
        part = plc.part_arrives()
        await plc.misbehave(None)
        await until(lambda: part.is_decided)  # by what merely stands there: rejected
        told_reason = plc.block[3]

    assert not part.is_let_through
    assert told_reason == 0, "not that of the part before"
    assert verdicts(plc) == [(1, False, SCORE)]


TOLD = [Told(1.0, 1, True, OK), Told(1.1, 1, False, OK), Told(2.0, 2, False, SCORE)]
COUNTS = {1: 11, 2: 12, 3: 13}
ROWS = {
    11: row(11, Verdict.PASS, Reason.OK, decided_s=0.9),
    12: row(12, Verdict.REJECT, Reason.SCORE, decided_s=1.9),
}
AGENT_DOWN = row(12, Verdict.FAULT, Reason.NOT_READY, decided_s=9.0)


def test_what_was_told_is_found_in_its_row() -> None:
    every_told_verdict_has_its_row(TOLD, COUNTS, ROWS, {})


@pytest.mark.parametrize(
    "rows",
    [
        {11: ROWS[11]},
        ROWS | {12: AGENT_DOWN},
        ROWS | {12: replace(ROWS[12], reason=Reason.LATE)},
        ROWS | {12: replace(ROWS[12], decided_mono_s=2.1)},
        ROWS | {11: replace(AGENT_DOWN, count=11)},
        ROWS | {11: replace(ROWS[11], verdict=Verdict.REJECT)},
    ],
    ids=["lost", "comes back as AGENT_DOWN", "another reason", "written after", "PASS is AGENT_DOWN", "PASS is REJECT"],
)
def test_a_verdict_that_was_told_and_has_no_such_row_is_noticed(rows: dict[int, PartRow]) -> None:
    with pytest.raises(AssertionError, match="told without its row"):
        every_told_verdict_has_its_row(TOLD, COUNTS, rows, {})


def test_a_not_ready_that_was_told_is_not_taken_for_a_row_that_was_written_later() -> None:
    with pytest.raises(AssertionError, match="told without its row"):
        every_told_verdict_has_its_row([Told(2.0, 2, False, NOT_READY)], COUNTS, {12: AGENT_DOWN}, {})


def test_a_late_reject_may_name_the_next_part_but_accounts_for_one_only() -> None:
    late = row(11, Verdict.REJECT, Reason.LATE, decided_s=1.9)
    names_the_next = Told(2.0, 2, False, LATE)
    every_told_verdict_has_its_row([names_the_next], COUNTS, {11: late, 12: AGENT_DOWN}, {})

    with pytest.raises(AssertionError, match="seq=3"):
        every_told_verdict_has_its_row([names_the_next, Told(2.2, 3, False, LATE)], COUNTS, {11: late}, {})
    with pytest.raises(AssertionError, match="seq=2"):
        every_told_verdict_has_its_row([Told(1.95, 1, False, LATE), names_the_next], COUNTS, {11: late}, {})


@pytest.mark.parametrize(("published", "at_s"), [(Published.PUBLISHED, 2.1), (Published.WITHHELD, 1.95)])
def test_a_row_may_have_been_told_until_it_was_published(published: Published, at_s: float) -> None:
    rows = {11: row(11, Verdict.FAULT, Reason.NOT_READY, decided_s=1.9), 12: AGENT_DOWN}
    told = [Told(2.0, 2, False, NOT_READY)]
    every_told_verdict_has_its_row(told, COUNTS, rows, {11: PublicationRow(11, published, at_s, "")})

    with pytest.raises(AssertionError, match="seq=2"):
        every_told_verdict_has_its_row(told, COUNTS, rows, {11: PublicationRow(11, Published.PUBLISHED, 1.95, "")})


def test_a_pass_is_never_taken_for_that_of_the_part_before() -> None:
    with pytest.raises(AssertionError, match="told without its row"):
        every_told_verdict_has_its_row([Told(1.0, 2, True, OK)], COUNTS, {11: ROWS[11], 12: AGENT_DOWN}, {})


def test_a_reject_that_was_said_early_has_no_row_yet_or_one_that_did_not_pass() -> None:
    early = Told(1.0, 1, False, 0)
    for rows in ({}, {11: replace(ROWS[12], count=11)}, {11: replace(AGENT_DOWN, count=11)}):
        every_told_verdict_has_its_row([early], COUNTS, rows, {})

    with pytest.raises(AssertionError, match="rejected early and passed"):
        every_told_verdict_has_its_row([early], COUNTS, ROWS, {})

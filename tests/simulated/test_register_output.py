"""The register block against the simulated PLC: the gate opens for the part that a block names, or not at all."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from drivers.base import DriverError, LineNow, Published, Reason, Verdict
from drivers.modbus.fail_safe import write_reject_block
from drivers.modbus.register_output import RegisterOutput
from drivers.output.block import REASON_CODES, BlockState, Status, check_word, next_seq
from drivers.simulated.plc import SimulatedPlc
from drivers.simulated.remote_io import IoFault
from drivers.timing import Deadline, monotonic_s
from edge_agent.runtime.handshake import ERROR_CODES
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGE = Path(__file__).parents[2] / "drivers" / "modbus" / "PROTOCOL.md"


@asynccontextmanager
async def plc_and_output(
    *, is_ready: bool = True, plc: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[SimulatedPlc, RegisterOutput]]:
    peer = SimulatedPlc(**(plc or {}))
    await peer.start()
    usual = {"pass_hold_s": 5.0, "refresh_s": 0.02, "write_timeout_s": 0.5}
    made = RegisterOutput("127.0.0.1", peer.port, **(usual | options))
    task = asyncio.create_task(made.run(lambda: is_ready))
    try:
        await until(lambda: made.is_confirmed)
        await until(lambda: peer.block[4] & (Status.READY if is_ready else Status.FAULT))
        yield peer, made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.stop()


async def test_a_part_that_begins_while_no_pass_stands_waits_for_no_write() -> None:
    """The PLC's number for it has to be read at once; a PASS there opens for its own part and no other."""
    async with plc_and_output(refresh_s=1.0, plc_timeout_s=10.0) as (peer, output):
        refreshed = peer.writes
        await until(lambda: peer.writes > refreshed)
        refreshed = peer.writes
        peer.part_arrives()
        await output.begin_part(1, monotonic_s())
        assert peer.writes == refreshed
        assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED


async def gone_and_back(peer: SimulatedPlc, output: RegisterOutput) -> None:
    await peer.misbehave(IoFault.REFUSE)
    await until(lambda: not output.is_confirmed)
    seen = peer.writes
    await peer.misbehave(None)
    await until(lambda: peer.writes > seen + 3)


async def test_a_plc_that_comes_back_is_heard_anew_before_it_counts() -> None:
    assert RegisterOutput("127.0.0.1", 1, pass_hold_s=1.0).problem == "not connected yet"
    async with plc_and_output(plc_timeout_s=60.0) as (peer, output):
        peer.is_scanning = False
        await gone_and_back(peer, output)
        assert not output.is_confirmed
        assert "heartbeat stands still" in output.problem
        peer.is_scanning = True
        await until(lambda: output.is_confirmed)
        assert output.problem == ""


async def test_what_was_said_of_a_part_is_not_said_on_a_new_connection() -> None:
    async with plc_and_output() as (peer, output):
        peer.part_arrives()
        assert await judge(output, 1, Verdict.REJECT, Reason.SCORE, bundle=5) is Published.PUBLISHED
        assert (peer.block[3], peer.block[5]) == (REASON_CODES[Reason.SCORE], 5)
        peer.is_scanning = False  # it takes nothing more
        await gone_and_back(peer, output)
        peer.is_scanning = True
        await until(lambda: output.is_confirmed)
        assert (peer.block[3], peer.block[5]) == (0, 0)
        with capture_logs() as logs:
            peer.part_arrives()
            await judge(output, 2, Verdict.REJECT)
        assert "plc_did_not_take" not in [log["event"] for log in logs]


async def judge(
    output: RegisterOutput, part_seq: int, verdict: Verdict, reason: Reason | None = None, bundle: int = 0
) -> Published:
    """A part from its first sign to its verdict."""
    await output.begin_part(part_seq, monotonic_s())
    return await output.publish(part_seq, verdict, soon(), reason, bundle)


def soon() -> Deadline:
    return Deadline.after(2.0)


def test_the_check_is_the_crc_of_modbus_and_every_worked_word_is_as_printed() -> None:
    assert check_word((0x0103, 0x0000, 0x000A)) == 0xCDC5  # 01 03 00 00 00 0A C5 CD, the printed example
    assert BlockState().words[:6] == (0, 0x00C3, 0xFF3C, 0, 0, 0)
    assert BlockState(7, Verdict.PASS, 1, Status.READY, 0xBEEF, 9).words == (
        7, 0x005A, 0xFFA5, 1, 1, 0xBEEF, check_word((7, 0x5A, 0xFFA5, 1, 1, 0xBEEF)), 9,
    )  # fmt: skip
    assert BlockState(7, Verdict.FAULT).words[1] == 0x00C3


def test_the_page_shows_the_words_that_are_written_and_every_reason_code() -> None:
    page = PAGE.read_text()
    words = BlockState(7, Verdict.PASS, 1, Status.READY, 0xBEEF, 9).words

    assert "\n" + " ".join(f"{word:04X}" for word in words) + "\n" in page
    busy = BlockState(7, Verdict.PASS, 1, Status.READY | Status.BUSY, 0xBEEF, 9, program=12).words
    assert "\n" + " ".join(f"{word:04X}" for word in busy) + "\n" in page
    assert all(f"{code} {name}" in page for name, code in ERROR_CODES.items())
    assert ", ".join(f"{code} {reason}" for reason, code in REASON_CODES.items()) in page


def test_the_reason_words_are_pinned() -> None:
    assert {reason.value: code for reason, code in REASON_CODES.items()} == {
        "OK": 1, "SCORE": 2, "ALIGN": 3, "NOT_FINITE": 4, "CONTROLLER_NG": 5, "IMAGE_BROKEN": 6, "IMAGE_SIZE": 7,
        "NO_IMAGE": 8, "NO_RESULT": 9, "NO_ANSWER": 10, "LATE": 11, "OVERRUN": 12, "STALE": 13, "DUPLICATE": 14,
        "PROGRAM": 15, "NOT_READY": 16, "OUTPUT": 17, "JOURNAL": 18, "INTERNAL": 19, "BYPASS": 20,
        "LIGHT": 21, "FOCUS": 22, "DISK": 23, "LOCKED": 24,
    }  # fmt: skip


@given(st.integers(1, 65535))
def test_numbers_follow_each_other_and_are_never_0(seq: int) -> None:
    assert 1 <= next_seq(seq) <= 65535
    assert next_seq(seq) == (1 if seq == 65535 else seq + 1)


@given(st.tuples(*[st.integers(0, 65535)] * 6), st.integers(0, 95))
def test_a_single_bit_that_is_wrong_is_found_by_the_check(words: tuple[int, ...], bit: int) -> None:
    wrong = list(words)
    wrong[bit // 16] ^= 1 << bit % 16

    assert check_word(tuple(wrong)) != check_word(words)


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.REJECT, Verdict.FAULT])
async def test_each_part_gets_its_own_verdict_and_no_other(verdict: Verdict) -> None:
    async with plc_and_output() as (plc, output):
        for number in range(1, 4):
            part = plc.part_arrives()
            await output.withdraw()
            assert await judge(output, number, verdict, Reason.SCORE, 0x1BEEF) is Published.PUBLISHED
            await until(lambda part=part: part.is_decided)  # type: ignore[misc]
            assert part.is_let_through is (verdict is Verdict.PASS)
            assert plc.block[0] == number
            assert (plc.block[3], plc.block[5]) == (REASON_CODES[Reason.SCORE], 0xBEEF)


async def test_a_pass_that_stands_lets_no_other_part_through() -> None:
    async with plc_and_output() as (plc, output):
        first = plc.part_arrives()
        assert await judge(output, 1, Verdict.PASS) is Published.PUBLISHED
        await until(lambda: first.is_let_through)
        second = plc.part_arrives()  # the agent knows nothing of it, and its PASS stands
        await until(lambda: second.why == "the block is of part 1")
        assert plc.block[1] == 0x005A
        assert not second.is_let_through


async def test_verdicts_that_are_all_a_part_late_pass_nobody() -> None:
    """The number goes on by one from verdict to verdict, and each time it is the next part's."""
    async with plc_and_output() as (plc, output):
        parts = [plc.part_arrives()]
        for number in range(1, 5):
            await output.begin_part(number, monotonic_s())
            parts.append(plc.part_arrives())
            assert await output.publish(number, Verdict.PASS, soon()) is Published.WITHHELD

        assert not any(part.is_let_through for part in parts)


@pytest.mark.parametrize("is_counted", [True, False])
async def test_a_verdict_that_comes_after_the_next_part_began_passes_nobody(*, is_counted: bool) -> None:
    async with plc_and_output(plc={"is_counting": is_counted}, is_counted=is_counted) as (plc, output):
        first = plc.part_arrives()
        await output.begin_part(1, monotonic_s())
        second = plc.part_arrives()
        await output.begin_part(2, monotonic_s())
        assert await output.publish(1, Verdict.PASS, soon()) is Published.WITHHELD
        assert not first.is_let_through
        assert not second.is_let_through


async def test_a_part_whose_name_was_asked_too_late_gets_no_pass() -> None:
    """After a standstill the number may be the next part's."""
    async with plc_and_output() as (plc, output):
        plc.part_arrives()
        await output.begin_part(1, monotonic_s() - 0.2)
        assert await output.publish(1, Verdict.PASS, soon()) is Published.WITHHELD
        plc.part_arrives()
        assert await judge(output, 2, Verdict.PASS) is Published.PUBLISHED


async def test_a_part_that_never_began_gets_no_pass() -> None:
    async with plc_and_output() as (plc, output):
        plc.part_arrives()
        assert await output.publish(1, Verdict.PASS, soon()) is Published.WITHHELD


async def test_a_part_that_only_the_plc_saw_costs_one_part_and_no_wrong_pass() -> None:
    async with plc_and_output() as (plc, output):
        unseen, part = plc.part_arrives(), plc.part_arrives()
        assert await judge(output, 1, Verdict.PASS) is Published.WITHHELD
        later = plc.part_arrives()
        assert await judge(output, 2, Verdict.PASS) is Published.PUBLISHED
        await until(lambda: later.is_decided)

        assert (unseen.is_let_through, part.is_let_through, later.is_let_through) == (False, False, True)


async def test_a_part_that_only_the_agent_saw_costs_one_part_and_no_wrong_pass() -> None:
    async with plc_and_output() as (plc, output):
        assert await judge(output, 1, Verdict.PASS) is Published.WITHHELD
        part = plc.part_arrives()
        assert await judge(output, 2, Verdict.PASS) is Published.PUBLISHED
        await until(lambda: part.is_decided)
        assert part.is_let_through


async def test_what_stood_at_the_gate_when_the_connection_was_new_is_nobodys() -> None:
    async with plc_and_output() as (plc, output):
        part = plc.part_arrives()
        await plc.misbehave(IoFault.REFUSE)
        await until(lambda: not output.is_confirmed)
        await plc.misbehave(None)
        await until(lambda: output.is_confirmed)
        assert await judge(output, 1, Verdict.PASS) is Published.WITHHELD
        assert not part.is_let_through


async def test_a_plc_whose_program_stands_still_is_not_confirmed_and_comes_back() -> None:
    async with plc_and_output(plc_timeout_s=0.1) as (plc, output):
        plc.is_scanning = False
        await until(lambda: not output.is_confirmed)
        assert "heartbeat stands still" in output.problem
        plc.part_arrives()
        assert await judge(output, 1, Verdict.PASS) is Published.FAILED
        plc.is_scanning = True
        await until(lambda: output.is_confirmed)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({0: 2}, "the check does not agree"),
        ({1: 0x00C3}, "the check does not agree"),
        ({6: 0}, "the check does not agree"),
        ({2: 0, 6: check_word((1, 0x5A, 0, 0, 1, 0))}, "verdict and complement do not agree"),
        ({1: 0, 2: 0xFFFF, 6: check_word((1, 0, 0xFFFF, 0, 1, 0))}, "verdict and complement do not agree"),
        ({4: 2, 6: check_word((1, 0x5A, 0xFFA5, 0, 2, 0))}, "the agent is not READY"),
        ({0: 2, 6: check_word((2, 0x5A, 0xFFA5, 0, 1, 0))}, "the block is of part 2"),
    ],
)
def test_the_gate_opens_only_if_everything_agrees(change: dict[int, int], why: str) -> None:
    plc = SimulatedPlc()
    part = plc.part_arrives()
    words = dict(enumerate(BlockState(1, Verdict.PASS, 0, Status.READY, 0, 77).words)) | change
    plc.words |= words
    plc.scan(10.0)

    assert (part.why, part.is_let_through) == (why, not why)


def test_a_block_whose_heartbeat_stopped_half_a_second_ago_opens_for_nobody() -> None:
    plc = SimulatedPlc()
    plc.words |= dict(enumerate(BlockState(1, Verdict.PASS, 0, Status.READY, 0, 77).words))
    plc.scan(10.0)
    part = plc.part_arrives()
    plc.scan(10.6)

    assert (part.why, part.is_let_through) == ("the heartbeat is old", False)


@pytest.mark.parametrize("fill", [0x0000, 0xFFFF])
def test_registers_of_all_zeros_or_ones_open_for_nobody(fill: int) -> None:
    plc = SimulatedPlc()
    part = plc.part_arrives()
    plc.words |= dict.fromkeys(range(8), fill)
    plc.scan(10.0)

    assert not part.is_let_through


async def test_stopping_leaves_reject_and_not_ready() -> None:
    async with plc_and_output() as (plc, output):
        plc.part_arrives()
        await judge(output, 1, Verdict.PASS)
    assert plc.block[1] == 0x00C3
    assert plc.block[4] == Status.FAULT


async def test_a_bypass_is_a_bit_of_the_status_beside_ready() -> None:
    is_bypassed = True
    async with plc_and_output(line=lambda: LineNow(is_bypassed=is_bypassed)) as (plc, output):
        await until(lambda: plc.block[4] == Status.READY | Status.BYPASS)
        part = plc.part_arrives()
        assert await judge(output, 1, Verdict.PASS, Reason.BYPASS) is Published.PUBLISHED
        await until(lambda: part.is_let_through)
        assert plc.block[3] == 20
        is_bypassed = False
        await until(lambda: plc.block[4] == Status.READY)


async def test_the_status_word_says_busy_and_the_controllers_program() -> None:
    now = LineNow()
    async with plc_and_output(line=lambda: now) as (plc, _):
        assert plc.block[4] == Status.READY, "not known is 0, not program 0"
        for program in (0, 12, 999):
            now = LineNow(is_busy=True, program=program)
            await until(lambda: plc.block[4] >> 6 == program + 1)  # noqa: B023 - awaited in this turn
            assert plc.block[4] & 0x3F == Status.READY | Status.BUSY


async def test_an_error_of_the_line_has_its_code_and_asserts_reject() -> None:
    is_ready, now = True, LineNow()
    peer = SimulatedPlc()
    await peer.start()
    output = RegisterOutput("127.0.0.1", peer.port, pass_hold_s=5.0, refresh_s=0.02, line=lambda: now)
    task = asyncio.create_task(output.run(lambda: is_ready))
    try:
        await until(lambda: output.is_confirmed and peer.block[4] & Status.READY)
        peer.part_arrives()
        assert await judge(output, 1, Verdict.PASS, Reason.OK) is Published.PUBLISHED
        is_ready, now = False, LineNow(error=104)
        await until(lambda: peer.block[4] & Status.FAULT)
        assert (peer.block[1], peer.block[3], peer.block[0]) == (0x00C3, 104, 1)
        is_ready, now = True, LineNow()
        await until(lambda: peer.block[4] & Status.READY)
        assert peer.block[3] == 1, "the reason of part 1 again"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.stop()


async def test_a_verdict_that_the_plc_never_acknowledged_is_counted_and_said() -> None:
    with capture_logs() as logs:
        async with plc_and_output() as (plc, output):
            for number in (1, 2):
                part = plc.part_arrives()
                await judge(output, number, Verdict.REJECT, Reason.SCORE)
                await until(lambda: part.is_decided)  # noqa: B023 - awaited in this turn
            assert output.untaken == 0
            plc.words[9] = 7  # another program of the PLC writes there
            plc.part_arrives()
            await judge(output, 3, Verdict.REJECT, Reason.SCORE)
            assert output.untaken == 1

    said = [(entry["seq"], entry["ack_seq"]) for entry in logs if entry["event"] == "plc_did_not_take"]
    assert said == [(2, 7)]


async def test_the_program_that_the_plc_wants_is_known_while_it_is_heard() -> None:
    async with plc_and_output(plc={"program": 12}) as (plc, output):
        assert output.wanted_program == 12
        plc.is_scanning = False
        await until(lambda: not output.is_confirmed)
        assert output.wanted_program is None


async def test_a_plcs_count_is_a_sensor_that_sees_each_part_once_and_none_behind_a_gap() -> None:
    async with plc_and_output(is_counter_the_sensor=True, write_timeout_s=0.1) as (plc, output):
        seen = [await output.read_part_present()]
        plc.part_arrives()
        seen += [await output.read_part_present() for _ in range(2)]
        plc.part_arrives()
        seen += [await output.read_part_present() for _ in range(2)]
        await plc.misbehave(IoFault.REFUSE)
        plc.part_arrives()
        with pytest.raises(DriverError):
            await output.read_part_present()
        await plc.misbehave(None)
        await until(lambda: output.is_confirmed)
        seen += [await output.read_part_present() for _ in range(2)]

    assert seen == [False, True, False, True, False, False, False]


async def test_a_plc_that_starts_again_is_no_part() -> None:
    async with plc_and_output(is_counter_the_sensor=True) as (plc, output):
        plc.part_arrives()
        seen = [await output.read_part_present()]
        plc.words[8] = 0  # its program begins anew, and counts from there
        seen += [await output.read_part_present()]
        plc.words[8] = 1
        seen += [await output.read_part_present() for _ in range(2)]

    assert seen == [False, False, True, False]


async def test_a_plc_that_does_not_count_is_given_numbers_of_ours() -> None:
    async with plc_and_output(plc={"is_counting": False}, is_counted=False) as (plc, output):
        for part_seq, seq in ((65534, 65535), (65535, 1), (65536, 2)):
            part = plc.part_arrives()
            assert await judge(output, part_seq, Verdict.PASS) is Published.PUBLISHED
            await until(lambda part=part: part.is_decided)  # type: ignore[misc]
            assert (plc.block[0], part.is_let_through) == (seq, True)


@pytest.mark.parametrize(
    "fault", [IoFault.MUTE, IoFault.UNANSWERED, IoFault.WRONG_ECHO, IoFault.EXCEPTION, IoFault.DROP, IoFault.LATE]
)
async def test_a_plc_that_misbehaves_is_never_published_to_and_recovers(fault: IoFault) -> None:
    async with plc_and_output() as (plc, output):
        plc.part_arrives()
        await plc.misbehave(fault)
        assert await judge(output, 1, Verdict.PASS) is not Published.PUBLISHED
        await plc.misbehave(None)
        await until(lambda: output.is_confirmed)
        part = plc.part_arrives()
        assert await judge(output, 2, Verdict.PASS) is Published.PUBLISHED
        await until(lambda: part.is_let_through)


async def test_not_ready_passes_nothing() -> None:
    async with plc_and_output(is_ready=False) as (plc, output):
        part = plc.part_arrives()
        assert await judge(output, 1, Verdict.PASS) is Published.WITHHELD
        assert not part.is_let_through


async def test_reject_can_be_written_from_outside() -> None:
    plc = SimulatedPlc()
    await plc.start()
    await write_reject_block("127.0.0.1", plc.port, unit=1, first_register=0, timeout_s=1.0)
    await plc.stop()

    assert plc.block == BlockState().words


@pytest.mark.parametrize("places", [(0, 7), (65530, 0), (0, 65533), (4, 0), (-1, 20)])
def test_places_that_lie_over_each_other_or_outside_are_refused(places: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="register"):
        RegisterOutput("x", 502, first_register=places[0], plc_register=places[1], pass_hold_s=1.0)

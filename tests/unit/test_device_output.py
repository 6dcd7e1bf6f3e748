"""What an output does with its wire: a new one each time, prepared before it is written to, given up when it fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from structlog.testing import capture_logs

from drivers.base import DriverError, NotConnected, ProtocolViolation, Published, Verdict
from drivers.output import BlockState, BlockWire, LevelOutput
from drivers.output.outage import Outage
from drivers.timing import Backoff, Deadline, monotonic_s
from tests.unit.output_wires import Wire, Wires, ended, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from drivers.output import CoilState, DeviceWire, OnLost


@pytest.fixture
def wires() -> Wires:
    return Wires()


def output_over(wires: Wires, **options: float) -> LevelOutput:
    return LevelOutput("a wire of a test", wires, pass_hold_s=5.0, write_timeout_s=0.1, **{"refresh_s": 0.01} | options)  # type: ignore[arg-type]


async def test_a_new_wire_is_opened_prepared_and_told_reject_in_this_order(wires: Wires) -> None:
    output = output_over(wires)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: output.is_confirmed)
    await ended(task)

    (wire,) = wires.made
    assert wire.did[:4] == ["open", "prepare", "write", "read back"]
    assert wire.did[-1] == "close"


@pytest.mark.parametrize("what", ["open", "prepare", "write", "read back", "write PASS", "read inputs"])
async def test_whatever_fails_ends_the_wire_and_a_new_one_begins_with_reject(wires: Wires, what: str) -> None:
    output = output_over(wires)
    failed: list[str] = []

    def once(doing: str) -> bool:
        is_now = doing == what and not failed
        failed.extend([doing] if is_now else [])
        return is_now

    wires.fails = once
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: output.is_confirmed)
    if what == "write PASS":
        assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.FAILED
    if what == "read inputs":
        with pytest.raises(DriverError, match="asked to fail"):
            await output.read_inputs((1,))
    await until(lambda: len(wires.made) == 2 and output.is_confirmed)
    before, after = wires.made
    assert before.did[-1] == "abort"
    assert after.did[:4] == ["open", "prepare", "write", "read back"]
    assert "write PASS" not in after.did
    await ended(task)


async def test_a_wire_that_is_cancelled_while_it_opens_is_given_up(wires: Wires) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    def opens(*, on_lost: OnLost) -> Wire:
        wire = wires(on_lost=on_lost)
        wire.open = for_ever  # type: ignore[method-assign]
        return wire

    output = LevelOutput("a wire of a test", opens, pass_hold_s=5.0, write_timeout_s=0.01)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: wires.made)
    with capture_logs() as logs:
        await ended(task)
    assert task.cancelled()
    assert all(wire.is_ended for wire in wires.made)
    (unproven,) = [log for log in logs if log["log_level"] != "debug"]
    assert (unproven["event"], unproven["log_level"]) == ("output_left_unproven", "warning")


async def test_levels_that_read_back_otherwise_end_the_wire(wires: Wires) -> None:
    output = output_over(wires)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: output.is_confirmed)
    wires.made[0].read_levels = answers_reject  # type: ignore[method-assign]
    assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.FAILED
    assert wires.made[0].did[-1] == "abort"
    await ended(task)


async def answers_reject() -> tuple[bool, ...]:
    return (False, True, True, False)


async def test_a_wire_compares_what_it_reads(wires: Wires) -> None:
    wire = wires(on_lost=lambda: None)
    await wire.open()
    wire.levels = (True, False, False, False)
    found, at_rest = "PASS=1 REJECT=0 READY=0 HEARTBEAT=0", "PASS=0 REJECT=1 READY=0 HEARTBEAT=0"
    with pytest.raises(ProtocolViolation, match=f"a wire of a test reads back {found} after {at_rest} was written"):
        await wire.read_back(output_over(wires)._state(is_pass=False))


async def test_a_wire_that_is_lost_between_two_refreshes_is_noticed_at_once(wires: Wires) -> None:
    output = output_over(wires, refresh_s=60.0)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: output.is_confirmed)
    wires.made[0].abort()
    wires.made[0].lose()
    await until(lambda: len(wires.made) == 2 and output.is_confirmed)
    await ended(task)


async def test_a_wire_that_fails_a_question_is_replaced_at_once(wires: Wires) -> None:
    output = output_over(wires, refresh_s=60.0)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: output.is_confirmed)
    wires.fails = lambda what: what == "read inputs"
    with pytest.raises(DriverError, match="asked to fail"):
        await output.read_inputs((1,))
    await until(lambda: len(wires.made) == 2 and output.is_confirmed)
    await ended(task)


async def test_a_device_that_is_away_from_the_start_is_said_once_and_so_is_its_coming(wires: Wires) -> None:
    wires.fails = lambda what: what == "open"
    output = output_over(wires)
    with capture_logs() as logs:
        task = asyncio.create_task(output.run(lambda: True))
        await until(lambda: len(wires.made) >= 3)
        wires.fails = lambda _what: False
        await until(lambda: output.is_confirmed)
        await ended(task)
    loud = [log for log in logs if log["log_level"] != "debug"]
    assert [(log["event"], log["log_level"]) for log in loud] == [
        ("output_lost", "warning"),
        ("output_confirmed", "info"),
    ]
    assert loud[0]["problem"] == "open was asked to fail"
    assert loud[1]["tries"] == len(wires.made) - 1


async def test_a_wire_that_is_lost_counts_once_however_long_the_device_is_away(wires: Wires) -> None:
    output = output_over(wires)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: output.is_confirmed)
    with capture_logs() as logs:
        wires.fails = lambda what: what in ("open", "write")
        await until(lambda: len(wires.made) >= 3)
        wires.fails = lambda _what: False
        await until(lambda: output.is_confirmed)
    (confirmed,) = [log for log in logs if log["event"] == "output_confirmed"]
    assert confirmed["tries"] == len(wires.made) - 1
    await ended(task)


def test_the_length_and_the_tries_of_an_outage_are_its_own() -> None:
    outage = Outage()
    with capture_logs() as logs:
        outage.begins()
        begun_mono_s = monotonic_s()
        while monotonic_s() - begun_mono_s < 0.05:
            pass
        outage.goes_on(NotConnected("not there"), is_loud=True)
        outage.ends("a device")
        lost_mono_s = monotonic_s()
        outage.goes_on(NotConnected("gone"), is_loud=True)
        outage.ends("a device")
        second_s = monotonic_s() - lost_mono_s
    first, second = (log for log in logs if log["event"] == "output_confirmed")
    assert first["outage_s"] >= 0.05
    assert second["outage_s"] <= round(second_s, 3)
    assert (first["tries"], second["tries"]) == (1, 1)


class Clock:
    """A clock that is set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("drivers.output.outage.monotonic_s", made)
    return made


def said_of(logs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(log["event"], log["log_level"]) for log in logs]


def test_an_outage_is_said_once_and_so_is_its_end_and_the_next_ones_are_quiet_for_a_time(clock: Clock) -> None:
    outage = Outage()
    assert outage.problem == "not connected yet"

    def said(*, tries: int) -> list[tuple[str, str]]:
        with capture_logs() as logs:
            for _ in range(tries):
                outage.goes_on(NotConnected("gone"), is_loud=True)
            outage.ends("a device")
        return said_of(logs)

    lost, lost_quietly = ("output_lost", "warning"), ("output_lost", "debug")
    assert said(tries=0) == [("output_confirmed", "info")], "that it is there at all is worth a line"
    assert said(tries=2) == [lost, lost_quietly, ("output_confirmed", "info")]
    clock.now_s += 4.9
    assert said(tries=1) == [lost_quietly, ("output_confirmed", "debug")]
    clock.now_s += 0.1
    assert said(tries=2) == [lost, lost_quietly, ("output_confirmed", "info")]


def test_a_loss_on_which_nobody_relies_is_not_said_loudly(clock: Clock) -> None:
    outage = Outage()
    with capture_logs() as logs:
        outage.goes_on(NotConnected("gone"), is_loud=False)
        clock.now_s += 10
        outage.goes_on(NotConnected("gone"), is_loud=True)
    assert said_of(logs) == [("output_lost", "debug"), ("output_lost", "warning")]


def test_an_outage_lasts_from_its_first_loss(clock: Clock) -> None:
    outage = Outage()
    outage.ends("a device")
    clock.now_s += 60
    with capture_logs() as logs:
        for _ in range(3):
            outage.goes_on(NotConnected("gone"), is_loud=True)
            clock.now_s += 2.5
        outage.ends("a device")
    assert (logs[-1]["outage_s"], logs[-1]["tries"]) == (7.5, 3)


class Waits(Backoff):
    """Waits for nothing, and counts how often the waits were made short again."""

    made_short = 0

    async def sleep(self) -> None:
        await asyncio.sleep(0)

    def reset(self) -> None:
        Waits.made_short += 1


async def test_a_connection_that_lasted_a_moment_is_no_sign_that_the_device_is_well(
    wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waits between two tries stay long: the device may have only so many connections."""
    monkeypatch.setattr("drivers.output.device_output.Backoff", Waits)
    monkeypatch.setattr(Waits, "made_short", 0)
    output = output_over(wires)
    wires.fails = lambda what: what == "write" and wires.made[-1].did.count("write") > 2
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: len(wires.made) > 4)
    assert Waits.made_short == 0
    await ended(task)


class Held(Backoff):
    """A wait that has no end: what is done all the same was not waited for."""

    begun = 0

    async def sleep(self) -> None:
        Held.begun += 1
        await asyncio.Event().wait()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> type[Held]:
    monkeypatch.setattr("drivers.output.device_output.Backoff", Held)
    monkeypatch.setattr(Held, "begun", 0)
    return Held


def steady_after(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr("drivers.output.device_output._RECONNECT_CAP_S", seconds)


async def nobody_dials(wires: Wires, output: LevelOutput) -> None:
    made = len(wires.made)
    await output.withdraw()
    await output.begin_part(2, 0.0)
    assert await output.publish(2, Verdict.REJECT, Deadline.after(5)) is Published.FAILED
    assert await output.publish(2, Verdict.PASS, Deadline.after(5)) is Published.FAILED
    assert len(wires.made) == made


async def test_while_a_device_is_away_no_part_waits_for_it(wires: Wires, held: type[Held]) -> None:
    wires.fails = lambda what: what == "open"
    output = output_over(wires)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: held.begun)
    await nobody_dials(wires, output)
    await ended(task)


async def test_a_pass_that_was_taken_back_is_no_reason_to_dial(wires: Wires, held: type[Held]) -> None:
    line = Line(wires)
    await line.passes()
    await line.output.withdraw()
    wires.fails = lambda what: what in ("open", "write")
    await until(lambda: held.begun)
    assert len(wires.made) == 2
    await nobody_dials(wires, line.output)
    await ended(line.task)


async def test_after_the_end_nobody_dials_even_where_a_pass_may_still_stand(wires: Wires) -> None:
    line = Line(wires)
    await line.passes()
    wires.fails = lambda _what: True
    await ended(line.task)
    await nobody_dials(wires, line.output)


async def test_a_reject_behind_a_pass_that_may_still_stand_dials_a_device_that_is_lost(wires: Wires) -> None:
    line = Line(wires, refresh_s=60.0)
    await line.passes()
    wires.made[0].abort()
    assert not line.output.is_confirmed
    assert await line.output.publish(2, Verdict.REJECT, Deadline.after(5)) is Published.PUBLISHED
    assert wires.made[1].did[:4] == ["open", "prepare", "write", "read back"]
    await ended(line.task)


async def test_a_pass_is_not_tried_again_on_a_wire_that_was_lost(wires: Wires) -> None:
    line = Line(wires, refresh_s=60.0)
    await line.passes()
    wires.made[0].tried.clear()
    wires.made[0].abort()
    wires.made[0].lose()
    await until(lambda: len(wires.made) == 2 and line.output.is_confirmed)
    assert "write PASS" not in wires.made[0].tried + wires.made[1].tried
    await ended(line.task)


@pytest.mark.parametrize("is_pass", [True, False])
async def test_a_wire_that_fails_once_in_a_refresh_is_not_used_again(wires: Wires, *, is_pass: bool) -> None:
    line = Line(wires)
    await until(lambda: line.output.is_confirmed)
    if is_pass:
        await line.passes()
    what = "write PASS" if is_pass else "write"
    wires.fails = lambda doing: doing == what and len(wires.made) == 1
    await until(lambda: wires.made[0].is_ended)
    wires.fails = lambda _what: False
    await until(lambda: len(wires.made) == 2 and wires.made[1].did.count("write") >= 3)
    assert wires.made[0].did[-2:] == [what, "abort"]
    assert "write PASS" not in wires.made[1].did
    await ended(line.task)


class Asking(LevelOutput):
    """Asks the device something with each refresh, and before each verdict."""

    async def _watch(self, link: DeviceWire[CoilState]) -> None:
        await link.read_inputs(1, 1)

    async def _name_part(self, link: DeviceWire[CoilState], part_seq: int, about: object) -> bool:
        del part_seq, about
        return (await link.read_inputs(2, 1))[0]


async def test_a_wire_that_fails_after_a_refresh_is_replaced_at_once(wires: Wires, held: type[Held]) -> None:
    output = Asking("a wire of a test", wires, pass_hold_s=5.0, refresh_s=0.01)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: wires.made and wires.made[0].inputs_asked)
    wires.fails = lambda what: what == "read inputs" and len(wires.made) == 1
    await until(lambda: len(wires.made) == 2 and output.is_confirmed)
    assert wires.made[0].did[-2:] == ["read inputs", "abort"]
    assert not held.begun
    await ended(task)


@pytest.mark.parametrize(("verdict", "told"), [(Verdict.REJECT, Published.PUBLISHED), (Verdict.PASS, Published.FAILED)])
async def test_a_wire_that_fails_to_name_a_part_is_given_up_and_with_it_the_pass_that_stands(
    wires: Wires, verdict: Verdict, told: Published
) -> None:
    output = Asking("a wire of a test", wires, pass_hold_s=5.0, refresh_s=60.0)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: output.is_confirmed)
    assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED
    wires.fails = lambda what: what == "read inputs" and len(wires.made) == 1
    with capture_logs() as logs:
        assert await output.publish(2, verdict, Deadline.after(5)) is told
    assert [log["why"] for log in logs if log["event"] == "output_window_ended"] == ["lost"]
    assert wires.made[0].did[-2:] == ["read inputs", "abort"]
    await until(lambda: len(wires.made) == 2 and output.is_confirmed)
    assert "write PASS" not in wires.made[1].did
    await ended(task)


def lost_as_soon_as_it_is_there(wires: Wires) -> Callable[[str], bool]:
    def loses(what: str) -> bool:
        if what == "read back":
            wires.made[-1].abort()
        return False

    return loses


@pytest.mark.parametrize("was_steady", [False, True])
async def test_a_device_that_is_lost_as_soon_as_it_is_there_is_dialled_with_pauses(
    wires: Wires, held: type[Held], monkeypatch: pytest.MonkeyPatch, *, was_steady: bool
) -> None:
    """Only a connection that was steady is made anew at once."""
    steady_after(monkeypatch, 0.0 if was_steady else 60.0)
    output = output_over(wires)
    if not was_steady:
        wires.fails = lost_as_soon_as_it_is_there(wires)
    task = asyncio.create_task(output.run(lambda: True))
    if was_steady:
        await until(lambda: wires.made and wires.made[0].did.count("write") >= 3)
        wires.fails = lost_as_soon_as_it_is_there(wires)
    await until(lambda: held.begun or len(wires.made) > 5)
    assert len(wires.made) == (2 if was_steady else 1)
    await ended(task)


async def test_where_a_pass_may_still_stand_nothing_is_waited_for(
    wires: Wires, held: type[Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    steady_after(monkeypatch, 60.0)
    line = Line(wires, refresh_s=60.0)
    await line.passes()
    wires.made[0].abort()
    wires.made[0].lose()
    await until(lambda: held.begun or len(wires.made) == 2)
    assert not held.begun
    await ended(line.task)


async def test_a_device_that_does_not_come_back_at_once_is_not_dialled_twice_without_a_pause(
    wires: Wires, held: type[Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    steady_after(monkeypatch, 0.0)
    line = Line(wires)
    await until(lambda: wires.made and wires.made[0].did.count("write") >= 3)
    wires.fails = lambda _what: True
    await until(lambda: held.begun)
    assert len(wires.made) == 2
    await ended(line.task)


async def test_no_input_is_asked_for_that_is_not_needed(wires: Wires) -> None:
    """A device refuses a request that reaches beyond its last input."""
    output = output_over(wires)
    task = asyncio.create_task(output.run(lambda: True))
    await until(lambda: output.is_confirmed)
    assert await output.read_inputs((7, 5)) == (True, True)
    assert await output.read_inputs((7,)) == (True,)
    assert wires.made[0].inputs_asked == [(5, 3), (7, 1)]
    await ended(task)


class Line:
    """An output at work whose PASS of part 1 stands, and what decides whether it may."""

    def __init__(self, wires: Wires, **options: float) -> None:
        self.wires = wires
        self.is_ready = self.may_pass = True
        self.output = output_over(wires, **options)
        self.task = asyncio.create_task(self.output.run(lambda: self.is_ready))

    async def passes(self) -> None:
        await until(lambda: self.output.is_confirmed)
        assert await self.output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED

    async def is_withdrawn(self) -> None:
        await self.output.withdraw()

    async def is_followed_by_a_reject(self) -> None:
        await self.output.publish(2, Verdict.REJECT, Deadline.after(5))

    async def is_followed_by_a_part_that_may_not_pass(self) -> None:
        def falls(what: str) -> bool:
            self.may_pass = what != "write PASS"
            return False

        self.wires.fails = falls
        said = await self.output.publish(2, Verdict.PASS, Deadline.after(5), may_pass=lambda: self.may_pass)
        assert said is Published.WITHHELD

    async def is_no_longer_ready(self) -> None:
        self.is_ready = False

    async def is_lost(self) -> None:
        self.wires.fails = lambda what: what == "read back"
        await until(lambda: len(self.wires.made) > 1)

    async def is_stopped(self) -> None:
        await ended(self.task)


@pytest.mark.parametrize(
    ("why", "ends"),
    [
        ("withdrawn", Line.is_withdrawn),
        ("rejected", Line.is_followed_by_a_reject),
        ("spoiled", Line.is_followed_by_a_part_that_may_not_pass),
        ("not ready", Line.is_no_longer_ready),
        ("lost", Line.is_lost),
        ("stopped", Line.is_stopped),
    ],
)
async def test_the_log_says_why_a_pass_ended(
    wires: Wires, why: str, ends: Callable[[Line], Coroutine[object, object, None]]
) -> None:
    line = Line(wires)
    await line.passes()
    with capture_logs() as logs:
        await ends(line)
        await until(lambda: any(log["event"] == "output_window_ended" for log in logs))
    assert [log["why"] for log in logs if log["event"] == "output_window_ended"] == [why]
    await ended(line.task)


class Words(BlockWire):
    """Answers what it is given."""

    peer, block_key, is_up = "a PLC of a test", "output.first_word", True

    def __init__(self, *words: int) -> None:
        self._words = words

    async def open(self) -> None: ...

    async def write_words(self, words: tuple[int, ...]) -> None: ...

    async def read_words(self, count: int) -> tuple[int, ...]:
        return self._words[:count]

    async def read_plc_words(self) -> tuple[int, ...]:
        return self._words

    async def read_inputs(self, first: int, count: int) -> tuple[bool, ...]:
        raise AssertionError("not asked")

    def fail(self, err: DriverError) -> NoReturn:
        raise err

    def abort(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("count", [0, 4, 6])
async def test_so_many_words_are_not_what_a_plc_gives_back(count: int) -> None:
    assert (await Words(1, 2, 3, 4, 5).read_plc()).heartbeat == 3
    with pytest.raises(ProtocolViolation, match=f"a PLC of a test gave back {count} words instead of 5"):
        await Words(*range(count)).read_plc()


async def test_a_block_that_is_shorter_or_another_one_is_not_what_was_written() -> None:
    said = BlockState(7)
    await Words(*said.words).read_back(said)
    for words in (said.words[:7], BlockState(8).words):
        with pytest.raises(ProtocolViolation, match=r"or output\.first_word is a place that the PLC's program writes"):
            await Words(*words).read_back(said)

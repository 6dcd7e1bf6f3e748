"""What an output does with its wire: a new one each time, prepared before it is written to, given up when it fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import pytest
from structlog.testing import capture_logs

from drivers.base import DriverError, NotConnected, ProtocolViolation, Published, Verdict
from drivers.output import BlockState, BlockWire, CoilWire, LevelOutput
from drivers.output.outage import Outage
from drivers.timing import Backoff, Deadline, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from drivers.output import OnLost


class Wires:
    """Wires that keep what was done with them, and fail when asked, without ending by themselves."""

    def __init__(self) -> None:
        self.made: list[Wire] = []
        self.fails: Callable[[str], bool] = lambda _what: False

    def __call__(self, *, on_lost: OnLost) -> Wire:
        self.made.append(Wire(self, on_lost))
        return self.made[-1]


class Wire(CoilWire):
    peer = "a wire of a test"

    def __init__(self, wires: Wires, on_lost: OnLost) -> None:
        self.did: list[str] = []
        self.levels: tuple[bool, ...] = (False,) * 4
        self.inputs_asked: list[tuple[int, int]] = []
        self.is_ended = False
        self.lose = on_lost
        self._wires = wires

    def _do(self, what: str) -> None:
        if self.is_ended:
            raise NotConnected("it was ended")
        self.did.append(what)
        if self._wires.fails(what):
            raise DriverError(f"{what} was asked to fail")

    @property
    def is_up(self) -> bool:
        return "open" in self.did and not self.is_ended

    async def open(self) -> None:
        self._do("open")

    async def prepare(self) -> None:
        self._do("prepare")

    async def write_levels(self, levels: tuple[bool, bool, bool, bool]) -> None:
        self._do("write PASS" if levels[0] else "write")
        self.levels = levels

    async def read_levels(self) -> tuple[bool, ...]:
        self._do("read back")
        return self.levels

    async def read_inputs(self, first: int, count: int) -> tuple[bool, ...]:
        self._do("read inputs")
        self.inputs_asked.append((first, count))
        return (True,) * count

    def fail(self, err: DriverError) -> NoReturn:
        raise err

    def abort(self) -> None:
        self.is_ended = True
        self.did.append("abort")

    def close(self) -> None:
        self.is_ended = True
        self.did.append("close")


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.fixture
def wires() -> Wires:
    return Wires()


def output_over(wires: Wires, **options: float) -> LevelOutput:
    return LevelOutput("a wire of a test", wires, pass_hold_s=5.0, write_timeout_s=0.1, **{"refresh_s": 0.01} | options)  # type: ignore[arg-type]


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


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
    await ended(task)
    assert all(wire.is_ended for wire in wires.made)


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
    with pytest.raises(ProtocolViolation, match="a wire of a test reads back PASS=1 REJECT=0"):
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

    def __init__(self, wires: Wires) -> None:
        self.wires = wires
        self.is_ready = self.may_pass = True
        self.output = output_over(wires)
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

"""A rejected part that is not seen leaving is FAULT within one part; switch and button mean one thing each."""

from __future__ import annotations

import asyncio
import random

import pytest
from structlog.testing import capture_logs

from drivers.base import NotConnected
from edge_agent.runtime.background_tasks import beside
from edge_agent.runtime.inputs import InputPlan, LineInputs
from edge_agent.runtime.interlock import Health
from edge_agent.runtime.rejects import RejectWatch


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def watched() -> tuple[RejectWatch, Health, Clock]:
    clock, health = Clock(), Health()
    return RejectWatch(2.0, health, clock), health, clock


def test_a_reject_that_is_seen_in_time_is_nothing() -> None:
    watch, health, clock = watched()
    watch.decided(1, passed=False)
    clock.now += 1.9
    watch.seen()
    clock.now += 100
    watch.look()

    assert health.is_healthy
    assert (watch.confirmed, watch.missed) == (1, None)


def test_a_part_that_passed_is_awaited_by_nobody_and_one_too_many_in_the_chute_is_counted() -> None:
    watch, health, clock = watched()
    watch.decided(1, passed=True)
    watch.seen()
    clock.now += 100
    watch.look()

    assert health.is_healthy
    assert (watch.confirmed, watch.missed) == (1, None)


@pytest.mark.promise("T-05", "an ejector that misses 1 in 500", "FAULT before the second part after it")
@pytest.mark.parametrize("seed", range(5))
def test_an_ejector_that_misses_one_in_500_is_found_within_one_part(seed: int) -> None:
    watch, health, clock = watched()
    misses = random.Random(seed).randrange(1, 500)
    for part in range(1, 502):
        watch.decided(part, passed=False)
        clock.now += 1.0
        if part != misses:
            watch.seen()
        watch.look()
        clock.now += 1.5  # the next part comes later than a rejected one may take to the chute
        watch.look()
        if not health.is_healthy:
            break

    assert part == misses
    assert watch.missed == misses
    assert f"part {misses} was rejected and not seen leaving" in health.reasons["rejects"]


def test_it_stays_until_a_person_has_looked() -> None:
    watch, health, clock = watched()
    watch.decided(7, passed=False)
    clock.now += 2.0
    watch.look()
    watch.decided(8, passed=False)
    watch.seen()
    watch.decided(9, passed=False)
    clock.now += 2.0
    watch.look()
    is_healthy_before = health.is_healthy
    assert "part 7 was rejected and not seen leaving, nor 1 after it" in health.reasons["rejects"]
    acknowledged = watch.acknowledge()

    assert not is_healthy_before
    assert acknowledged == 7
    assert health.is_healthy
    assert watch.acknowledge() is None


@pytest.mark.parametrize(
    ("counts", "confirmed"),
    [
        ([None, 5], 0),
        ([5, 6, 6, 8], 3),
        ([65535, 1], 1),
        ([500, 3], 0),
        ([5, None, None, 7], 2),
    ],
    ids=["the first look", "steps", "wrap", "begun anew", "silence between"],
)
def test_a_plcs_own_count_is_followed(counts: list[int | None], confirmed: int) -> None:
    watch, _, _ = watched()
    for count in counts:
        watch.counter(count)

    assert watch.confirmed == confirmed


# --- wires ----------------------------------------------------------------------------------------------------------

MODE, BUTTON, CHUTE = 1, 2, 3


class Wires:
    """Inputs by address, as the remote I/O has them; or no remote I/O."""

    def __init__(self, *, mode: int | None = MODE) -> None:
        self.levels = {MODE: True, BUTTON: False, CHUTE: False}
        self.is_there = True
        self.notes: list[str] = []
        self.rejects, self.health, self.clock = watched()
        self.inputs = LineInputs(
            InputPlan(mode, BUTTON, CHUTE), self.read, self.health, self.rejects, self.note, lambda: None
        )

    async def read(self, addresses: tuple[int, ...]) -> tuple[bool, ...]:
        if not self.is_there:
            raise NotConnected("cable")
        return tuple(self.levels[address] for address in addresses)

    async def note(self, kind: str, detail: str) -> None:
        self.notes.append(f"{kind} {detail}")

    async def look(self, **levels: bool) -> None:
        names = {"mode": MODE, "button": BUTTON, "chute": CHUTE}
        self.levels |= {names[name]: level for name, level in levels.items()}
        await self.inputs._look()


async def test_the_mode_switch_is_fault_until_it_is_read_as_automatic() -> None:
    wires = Wires()
    unread = wires.health.reasons
    await wires.look(mode=False)
    manual = wires.health.reasons
    await wires.look(mode=True)
    automatic = wires.health.is_healthy
    wires.is_there = False
    await wires.look()

    assert "not been read" in unread["mode"]
    assert "not on automatic" in manual["mode"]
    assert automatic
    assert "cannot be read: cable" in wires.health.reasons["mode"]


async def test_without_a_mode_switch_there_is_no_such_condition() -> None:
    wires = Wires(mode=None)
    wires.is_there = False
    await wires.look()

    assert wires.health.is_healthy


async def test_each_rise_at_the_chute_is_one_part() -> None:
    wires = Wires()
    for level in (True, True, False, True, True, False, False, True):
        await wires.look(chute=level)

    assert wires.rejects.confirmed == 2, "what was up at the first look is no part"


async def test_what_rose_while_nobody_could_read_is_no_part() -> None:
    wires = Wires()
    await wires.look(chute=False)
    wires.is_there = False
    await wires.look()
    wires.is_there = True
    await wires.look(chute=True)

    assert wires.rejects.confirmed == 0


async def test_the_button_acknowledges_once_and_the_journal_has_it() -> None:
    wires = Wires()
    wires.rejects.decided(7, passed=False)
    wires.clock.now += 2.0
    wires.rejects.look()
    await wires.look(button=False)
    await wires.look(button=True)
    healthy = wires.health.is_healthy
    await wires.look(button=True)
    await wires.look(button=False)
    await wires.look(button=True)

    assert healthy
    assert wires.notes == ["ACKNOWLEDGE part 7, which was rejected and not seen leaving, by the button"]


async def test_a_button_that_is_stuck_acknowledges_nothing() -> None:
    wires = Wires()
    wires.rejects.decided(7, passed=False)
    wires.clock.now += 2.0
    for _ in range(3):
        await wires.look(button=True)
        wires.rejects.look()

    assert not wires.health.is_healthy


async def test_the_loop_reads_and_counts_until_it_is_stopped_and_ends_where_there_is_nothing() -> None:
    wires = Wires()
    wires.rejects.decided(7, passed=False)
    idle = LineInputs(InputPlan(), wires.read, wires.health, None, wires.note)
    await idle.run()
    async with beside(wires.inputs.run), asyncio.timeout(5):
        while "mode" in wires.health.reasons:
            await asyncio.sleep(0.005)
        wires.clock.now += 2.0
        while wires.health.is_healthy:
            await asyncio.sleep(0.005)

    assert wires.rejects.missed == 7


# --- the PLC's own count ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", range(65430, 65536))
@pytest.mark.parametrize("awaited", [1, 3, 100])
def test_a_plc_that_starts_again_has_confirmed_nothing(before: int, awaited: int) -> None:
    """The ejector is dead; from a count near its end to 0 is no row of confirmations."""
    watch, health, clock = watched()
    watch.counter(before)
    for part in range(1, awaited + 1):
        watch.decided(part, passed=False)
    with capture_logs() as logs:
        watch.counter(0)
    clock.now += 2.0
    watch.look()

    assert (watch.confirmed, watch.missed) == (0, 1)
    assert not health.is_healthy
    assert [log["event"] for log in logs] == ["reject_counter_began_anew"]


@pytest.mark.parametrize(("before", "now", "awaited"), [(65500, 40, 3), (3, 2, 3), (500, 490, 3), (7, 40000, 3)])
def test_a_count_that_no_decided_part_explains_confirms_nothing(before: int, now: int, awaited: int) -> None:
    """A PLC that goes on from a count that it had kept, an older one."""
    watch, _, _ = watched()
    watch.counter(before)
    for part in range(awaited):
        watch.decided(part, passed=False)
    watch.counter(now)

    assert watch.confirmed == 0


def test_every_start_of_a_plc_confirms_no_more_than_have_left_since() -> None:
    """Whatever it stood at, and however many have left before it is read again."""
    for before in range(65400, 65536):
        for left in range(4):
            watch, _, _ = watched()
            watch.counter(before)
            for part in range(5):
                watch.decided(part, passed=False)
            watch.counter(left)

            assert watch.confirmed <= left


def test_a_count_that_comes_round_goes_on_to_confirm() -> None:
    watch, health, clock = watched()
    count = 65533
    watch.counter(count)
    for part in range(1, 8):
        watch.decided(part, passed=False)
        count = count % 65535 + 1
        watch.counter(count)
        clock.now += 1.0
        watch.look()

    assert (watch.confirmed, health.is_healthy) == (7, True)


def test_several_that_leave_while_the_plc_is_not_heard_are_confirmed() -> None:
    watch, _, _ = watched()
    watch.counter(10)
    for part in range(3):
        watch.decided(part, passed=False)
    watch.counter(None)
    watch.counter(13)

    assert watch.confirmed == 3

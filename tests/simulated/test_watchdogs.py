"""The watchdog of the module at hand is armed and proven before its output counts; which module may carry PASS."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from drivers.base import Published, Verdict
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.modules import MODULES, unfit_for, unproven
from drivers.modbus.wires import CoilConnection
from drivers.output.coils import CoilState
from drivers.simulated.remote_io import IoFault, SimulatedRemoteIo, _reset
from drivers.simulated.wago import SimulatedWago
from drivers.timing import Deadline
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PEERS = {"wago-750": SimulatedWago, "beckhoff-bk9000": SimulatedRemoteIo}


@asynccontextmanager
async def armed(name: str, peer: SimulatedRemoteIo, watchdog_ms: int = 300) -> AsyncIterator[CoilOutput]:
    await peer.start()
    output = CoilOutput(
        "127.0.0.1",
        peer.port,
        first_coil=MODULES[name].first_coil,
        pass_hold_s=5.0,
        refresh_s=0.05,
        module=MODULES[name],
        watchdog_ms=watchdog_ms,
    )
    task = asyncio.create_task(output.run(lambda: True))
    try:
        yield output
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.stop()


@pytest.mark.parametrize("name", PEERS)
async def test_the_watchdog_is_armed_and_ends_a_pass_whose_agent_hangs(name: str) -> None:
    peer = PEERS[name](watchdog_s=60.0)
    async with armed(name, peer) as output:
        await until(lambda: output.is_confirmed and peer.coils[2])
        assert peer.watchdog_s == 0.3
        assert await output.publish(1, Verdict.PASS, Deadline.after(2)) is Published.PUBLISHED
        assert peer.coils[0]
    # Stopping wrote REJECT. A PASS that a hung agent would have left is ended by the module alone:
    assert peer.watchdog_trips == 0


@pytest.mark.parametrize("name", PEERS)
async def test_a_pass_that_is_no_longer_fed_drops_and_stays_down(name: str) -> None:
    peer = PEERS[name](watchdog_s=60.0)
    async with armed(name, peer, watchdog_ms=200) as output:
        await until(lambda: output.is_confirmed and peer.coils[2])
        assert await output.publish(1, Verdict.PASS, Deadline.after(2)) is Published.PUBLISHED
        async with output._lock:  # nothing is written while somebody else holds the wire: a hung agent
            await until(lambda: peer.watchdog_trips == 1)
            assert not peer.coils[0]


async def test_a_trip_is_cleared_on_purpose_and_said() -> None:
    peer = SimulatedWago(watchdog_s=60.0)
    with capture_logs() as logs:
        async with armed("wago-750", peer, watchdog_ms=200) as output:
            await until(lambda: output.is_confirmed and peer.coils[2])
            async with output._lock:  # a hung agent
                await until(lambda: peer.state == 2)
            await until(lambda: output.is_confirmed and peer.state == 1)
            assert not peer.coils[0]

    assert [entry["module"] for entry in logs if entry["event"] == "watchdog_had_tripped"] == ["wago-750"]


class CutWago(SimulatedWago):
    """One that nobody can talk to any more once ``words_left`` words were written: the cable is gone, or the agent."""

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self.words: list[int] = []
        self.words_left: int | None = None

    def _write_word(self, address: int, word: int) -> None:
        super()._write_word(address, word)
        self.words.append(address)
        if self.words_left is not None and len(self.words) == self.words_left:
            self.fault = IoFault.MUTE


async def test_a_watchdog_that_runs_as_it_should_is_left_alone_when_the_connection_comes_back() -> None:
    peer = CutWago(watchdog_s=60.0)
    async with armed("wago-750", peer) as output:
        await until(lambda: output.is_confirmed and peer.coils[2])
        armed_with = list(peer.words)
        assert await output.publish(1, Verdict.PASS, Deadline.after(2)) is Published.PUBLISHED
        for writer in list(peer._talks):
            _reset(writer)
        await until(lambda: not peer.coils[0])

        assert peer.words == armed_with
        assert peer.state == 1


@pytest.mark.parametrize("words", range(1, 7))
async def test_no_pass_outlives_an_agent_that_dies_while_it_arms(words: int) -> None:
    """The module runs with another time, and PASS stands: to stop its watchdog first would leave PASS for good."""
    peer = CutWago(watchdog_s=60.0)
    await peer.start()
    before = CoilConnection(
        "127.0.0.1",
        peer.port,
        unit=1,
        timeout_s=1.0,
        on_lost=lambda: None,
        first_coil=512,
        module=MODULES["wago-750"],
        watchdog_ms=1000,
    )
    await before.open()
    await before.prepare()
    await before.write_proven(CoilState(is_pass=True, is_ready=True))
    before.abort()
    peer.words_left = len(peer.words) + words
    output = CoilOutput(
        "127.0.0.1",
        peer.port,
        first_coil=512,
        pass_hold_s=5.0,
        write_timeout_s=0.05,
        module=MODULES["wago-750"],
        watchdog_ms=300,
    )
    task = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: peer.fault is IoFault.MUTE)

        assert not peer.coils[0]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.stop()


async def test_a_wago_whose_outputs_are_read_where_its_inputs_are_is_never_confirmed() -> None:
    """What a write to address 0 did, a read of address 0 does not show: there stand the inputs."""
    peer = SimulatedWago()
    await peer.start()
    output = CoilOutput("127.0.0.1", peer.port, first_coil=0, pass_hold_s=5.0, refresh_s=0.05)
    task = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: "reads back PASS=0 REJECT=0" in output.problem)
        assert peer.coils[1], "the write itself was done"
        assert not output.is_confirmed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.stop()


async def test_an_alternative_mode_that_any_request_feeds_is_never_confirmed() -> None:
    peer = SimulatedWago(is_alternative=True)
    async with armed("wago-750", peer) as output:
        await until(lambda: "0x100a" in output.problem)
        assert not output.is_confirmed
        assert peer.coils[:2] == (False, True), "REJECT, before its watchdog was touched"


async def test_a_module_of_another_family_is_never_confirmed() -> None:
    peer = SimulatedRemoteIo()
    async with armed("wago-750", peer) as output:
        await until(lambda: "illegal data address" in output.problem)
        assert not output.is_confirmed


def test_a_time_that_the_module_cannot_keep_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="100 ms at least"):
        CoilOutput("x", 502, pass_hold_s=1.0, module=MODULES["wago-750"], watchdog_ms=50)


@pytest.mark.parametrize(
    ("name", "spacing_ms", "word"),
    [
        ("wago-750", 1000, ""),
        ("beckhoff-bk9000", 1000, ""),
        ("wago-750", 200, "shortest watchdog"),
        ("moxa-e1200", 1000, "shortest watchdog"),
        ("adam-6000", 600_000, "any packet of any client"),
        ("moxa-e1200", 2000, ""),
        ("icp-et7000", 2000, "shortest watchdog"),
    ],
)
def test_a_plain_word_says_which_module_cannot_carry_pass(name: str, spacing_ms: int, word: str) -> None:
    said = unfit_for(MODULES[name], spacing_ms, 150)

    assert word in said
    assert bool(said) is bool(word)


def test_a_plain_word_says_whose_watchdog_only_a_person_can_prove() -> None:
    assert {name for name, module in MODULES.items() if not unproven(module)} == set(PEERS)
    assert "pull the agent's plug" in unproven(MODULES["adam-6000"])

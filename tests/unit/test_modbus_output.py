"""CoilOutput against a remote I/O that behaves: the window, its ends, the races around it."""

from __future__ import annotations

import asyncio
import itertools
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from drivers.base import DeadlineMissed, DriverError, NotConnected, Published, Verdict
from drivers.modbus import CoilOutput, write_reject
from drivers.timing import Deadline, monotonic_s
from tests.fault.modbus_peer import READ_COILS, WRITE_COILS, Peer, Talk, mute, running_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from drivers.base import VerdictOutput

REJECTED = (False, True)
PASSED = (True, False)


@dataclass
class Health:
    is_ready: bool = True

    def __call__(self) -> bool:
        return self.is_ready


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with running_peer() as running:
        yield running


def output_to(peer: Peer, **options: Any) -> CoilOutput:
    return CoilOutput(
        peer.host, peer.port, **{"pass_hold_s": 5.0, "refresh_s": 0.02, "write_timeout_s": 0.25} | options
    )


@asynccontextmanager
async def running(output: CoilOutput, peer: Peer, health: Health | None = None) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(output.run(health or Health()))
    try:
        await peer.until(lambda: output.is_confirmed)
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def soon() -> Deadline:
    return Deadline.after(5)


class Gate:
    """Holds the answer to a request back until it is opened; the request is carried out at once."""

    def __init__(self) -> None:
        self.is_reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, talk: Talk) -> None:
        reply = talk.honest_reply()
        self.is_reached.set()
        await self.opened.wait()
        await talk.send(reply)


async def stays_rejected(peer: Peer) -> None:
    """The refreshes that follow bring no PASS back."""
    assert peer.verdict_bits == REJECTED
    seen = len(peer.writes)
    await peer.until(lambda: len(peer.writes) >= seen + 3)
    assert not any(bits[0] for _, bits in peer.writes[seen:])


def hold_pass_writes(peer: Peer) -> Gate:
    gate = Gate()
    peer.is_faulty_for = lambda request: request.is_pass_write
    peer.fault = gate
    return gate


def hold_read_backs_of_pass(peer: Peer) -> Gate:
    gate = Gate()
    peer.is_faulty_for = lambda request: request.function == READ_COILS and peer.verdict_bits == PASSED
    peer.fault = gate
    return gate


class TestResting:
    async def test_the_first_thing_on_the_wire_is_reject_and_it_is_read_back(self, peer: Peer) -> None:
        async with running(output_to(peer), peer):
            assert peer.writes[0] == (0, (False, True, False, False))
            assert [request.function for request in peer.requests[:2]] == [WRITE_COILS, READ_COILS]

    async def test_it_is_a_verdict_output(self, peer: Peer) -> None:
        output: VerdictOutput = output_to(peer)

        assert not output.is_confirmed

    async def test_every_write_carries_all_four_coils_and_reject_is_the_opposite_of_pass(self, peer: Peer) -> None:
        async with running(output_to(peer, first_coil=16, unit=7), peer):
            await peer.until(lambda: len(peer.writes) > 3)
            assert peer.connections == 1

        assert {address for address, _ in peer.writes} == {16}
        assert {len(bits) for _, bits in peer.writes} == {4}
        assert all(bits[0] is not bits[1] for _, bits in peer.writes)
        assert {request.unit for request in peer.requests} == {7}

    async def test_what_is_inverted_is_written_and_read_back_inverted_also_from_outside(self, peer: Peer) -> None:
        output = CoilOutput(peer.host, peer.port, pass_hold_s=5, refresh_s=0.02, invert=("REJECT",))
        task = asyncio.create_task(output.run(lambda: True))
        await peer.until(lambda: output.is_confirmed)
        assert peer.verdict_bits == (False, False)
        assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED
        assert peer.verdict_bits == (True, True)
        task.cancel()
        await asyncio.wait([task])
        assert peer.verdict_bits == (False, False)
        await write_reject(peer.host, peer.port, unit=1, first_coil=0, timeout_s=1.0, invert=("REJECT",))
        assert peer.verdict_bits == (False, False)
        with pytest.raises(ValueError, match="never PASS"):
            CoilOutput("x", 502, pass_hold_s=1.0, invert=("PASS",))

    async def test_heartbeat_toggles_with_each_refresh_only_while_ready(self, peer: Peer) -> None:
        health = Health()
        async with running(output_to(peer), peer, health):
            await peer.until(lambda: len(peer.writes) >= 8)
            beats = [bits[3] for _, bits in peer.writes[1:8]]
            assert all(one is not other for one, other in itertools.pairwise(beats))
            assert all(bits[2] for _, bits in peer.writes[1:8])

            health.is_ready = False
            await peer.until(lambda: not peer.coils[2])
            still_from = len(peer.writes)
            await peer.until(lambda: len(peer.writes) >= still_from + 4)
            assert len({bits[3] for _, bits in peer.writes[still_from - 1 :]}) == 1

    async def test_small_requests_are_not_held_back_by_the_network_stack(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            assert output._link is not None
            wire = output._link._socket()
            assert wire is not None
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    @pytest.mark.parametrize(
        "options",
        [{"first_coil": -1}, {"first_coil": 65533}, {"pass_hold_s": 0}, {"refresh_s": 0}, {"write_timeout_s": 0}],
    )
    async def test_options_that_cannot_be_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"first_coil|above 0"):
            CoilOutput("127.0.0.1", 502, **{"pass_hold_s": 1.0} | options)

    async def test_the_time_until_it_is_confirmed_first_is_told(self, peer: Peer) -> None:
        gate = Gate()
        peer.fault = gate
        output, task = output_to(peer), None
        with capture_logs() as logs:
            task = asyncio.create_task(output.run(Health()))
            await gate.is_reached.wait()
            reached_mono_s = monotonic_s()
            while monotonic_s() - reached_mono_s < 0.005:  # long enough for a log that tells milliseconds
                await asyncio.sleep(0)
            peer.fault = None
            gate.opened.set()
            await peer.until(lambda: output.is_confirmed)
            task.cancel()
            await asyncio.wait([task])
        (confirmed,) = [log for log in logs if log["event"] == "output_confirmed"]
        assert confirmed["outage_s"] >= 0.005
        assert confirmed["tries"] == 0

    async def test_a_second_run_is_refused_and_does_no_harm(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            with pytest.raises(RuntimeError):
                await output.run(Health())

            assert output.is_confirmed


class TestWindow:
    async def test_a_published_pass_stands_proven_on_the_wire(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            assert peer.verdict_bits == PASSED
            assert [request.function for request in peer.requests[-2:]] == [WRITE_COILS, READ_COILS]
            refreshed = len(peer.writes)
            await peer.until(lambda: len(peer.writes) > refreshed + 2)
            assert peer.verdict_bits == PASSED, "a refresh keeps the window open"

    async def test_it_ends_by_itself(self, peer: Peer) -> None:
        output = output_to(peer, pass_hold_s=0.05, refresh_s=60)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            await peer.until(lambda: peer.verdict_bits == REJECTED)

    async def test_it_ends_at_withdraw(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            await output.withdraw()
            await stays_rejected(peer)

    async def test_it_ends_when_another_part_begins(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            await output.begin_part(2, 0.0)
            await stays_rejected(peer)

    async def test_it_ends_with_the_connection(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            peer.drop_connections()
            await peer.until(lambda: peer.connections == 2 and output.is_confirmed)
            await stays_rejected(peer)

    async def test_it_ends_when_the_line_is_no_longer_ready(self, peer: Peer) -> None:
        output, health = output_to(peer), Health()
        async with running(output, peer, health):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            health.is_ready = False
            await peer.until(lambda: peer.verdict_bits == REJECTED)
            health.is_ready = True
            await peer.until(lambda: peer.coils[2])
            assert peer.verdict_bits == REJECTED, "ready again does not bring it back"

    async def test_it_ends_when_the_agent_stops(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
        assert peer.verdict_bits == REJECTED
        assert peer.writes[-1] == (0, (False, True, False, False))
        assert not output.is_confirmed

    async def test_an_agent_that_stops_between_two_refreshes_takes_ready_with_it(self, peer: Peer) -> None:
        async with running(output_to(peer, refresh_s=1.0), peer):
            await peer.until(lambda: peer.coils[2] and peer.requests[-1].function == READ_COILS)
            await asyncio.sleep(0.1)  # what was read back is here, and the next refresh is not due yet
        assert peer.writes[-1] == (0, (False, True, False, False))
        assert peer.connections == 1

    async def test_it_ends_when_the_health_check_itself_breaks(self, peer: Peer) -> None:
        output = output_to(peer)
        calls = 0

        def breaks() -> bool:
            nonlocal calls
            calls += 1
            if calls > 4:
                raise ArithmeticError("a bug")
            return True

        task = asyncio.create_task(output.run(breaks))
        await peer.until(lambda: output.is_confirmed)
        await output.publish(1, Verdict.PASS, soon())
        with pytest.raises(ArithmeticError):
            await task
        assert peer.verdict_bits == REJECTED

    @pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.FAULT])
    async def test_it_ends_at_another_verdict(self, peer: Peer, verdict: Verdict) -> None:
        output = output_to(peer)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            assert await output.publish(2, verdict, soon()) is Published.PUBLISHED
            await stays_rejected(peer)

    async def test_a_reject_that_does_not_arrive_is_not_published(self, peer: Peer) -> None:
        output = output_to(peer, refresh_s=60, write_timeout_s=0.05)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            peer.is_faulty_for = lambda _request: True
            peer.fault = mute
            assert await output.publish(2, Verdict.REJECT, soon()) is Published.FAILED
            peer.fault = None

    async def test_a_reject_that_needs_a_new_connection_is_published(self, peer: Peer) -> None:
        output = output_to(peer, refresh_s=60)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            peer.drop_connections()
            assert await output.publish(2, Verdict.REJECT, soon()) is Published.PUBLISHED
            assert peer.verdict_bits == REJECTED

    async def test_a_reject_after_its_deadline_is_written_all_the_same_and_late(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            await output.publish(1, Verdict.PASS, soon())
            assert await output.publish(2, Verdict.REJECT, Deadline.after(-1)) is Published.LATE
            assert peer.verdict_bits == REJECTED

    async def test_stopping_says_nothing_unless_something_is_wrong(self, peer: Peer) -> None:
        with capture_logs() as logs:
            for _ in range(5):
                async with running(output_to(peer, refresh_s=0.0001), peer):
                    await asyncio.sleep(0)
        assert {log["event"] for log in logs if log["log_level"] != "debug"} == {"output_confirmed"}

    @pytest.mark.parametrize("begins", ["part", "withdraw"])
    async def test_a_pass_that_the_output_knows_nothing_of_ends_with_the_next_part(
        self, peer: Peer, begins: str
    ) -> None:
        """Written by another client, or carried out late: it would stand until the next refresh."""
        output = output_to(peer, refresh_s=60)
        async with running(output, peer):
            peer.coils.update({0: True, 1: False})
            await (output.begin_part(2, 0.0) if begins == "part" else output.withdraw())
            assert peer.verdict_bits == REJECTED

    async def test_a_late_pass_of_a_connection_that_was_given_up_ends_with_the_next_part(self, peer: Peer) -> None:
        output = output_to(peer, refresh_s=60, write_timeout_s=0.05)
        given_up: list[Talk] = []

        async def keep(talk: Talk) -> None:
            given_up.append(talk)

        async with running(output, peer):
            peer.is_faulty_for = lambda request: request.is_pass_write
            peer.fault = keep
            assert await output.publish(1, Verdict.PASS, soon()) is Published.FAILED
            await peer.until(lambda: output.is_confirmed)
            assert peer.verdict_bits == REJECTED
            given_up[0].honest_reply()
            assert peer.verdict_bits == PASSED
            await output.withdraw()
            assert peer.verdict_bits == REJECTED

    async def test_withdraw_from_a_peer_that_is_gone_waits_for_nobody(self, peer: Peer) -> None:
        output = output_to(peer, refresh_s=0.02)
        async with running(output, peer):
            await peer.stop()
            await peer.until(lambda: not output.is_confirmed)
            writes = len(peer.writes)
            await output.withdraw()
            assert len(peer.writes) == writes


class TestNeverWritten:
    async def assert_no_pass(self, peer: Peer) -> None:
        assert not any(bits[0] for _, bits in peer.writes)

    async def test_before_and_after_the_output_runs(self, peer: Peer) -> None:
        output = output_to(peer)
        assert await output.publish(1, Verdict.PASS, soon()) is Published.FAILED
        async with running(output, peer):
            pass
        assert await output.publish(2, Verdict.PASS, soon()) is Published.FAILED
        await self.assert_no_pass(peer)

    async def test_after_the_deadline(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, Deadline.after(0)) is Published.LATE
            await self.assert_no_pass(peer)

    async def test_while_not_ready(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer, Health(is_ready=False)):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.WITHHELD
            await self.assert_no_pass(peer)

    async def test_when_withdrawn_before_its_task_got_a_turn(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await output.withdraw()
            assert await waiting is Published.WITHHELD
            await self.assert_no_pass(peer)

    async def test_for_a_part_older_than_one_that_passed(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            assert await output.publish(8, Verdict.PASS, soon()) is Published.PUBLISHED
            await output.withdraw()
            assert await output.publish(7, Verdict.PASS, soon()) is Published.WITHHELD
            assert peer.verdict_bits == REJECTED

    async def test_for_a_part_older_than_the_one_that_began_last(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            await output.begin_part(8, 0.0)
            assert await output.publish(7, Verdict.PASS, soon()) is Published.WITHHELD
            await self.assert_no_pass(peer)


class TestRaces:
    @pytest.mark.parametrize("hold", [hold_pass_writes, hold_read_backs_of_pass])
    async def test_withdrawn_while_the_write_or_its_read_back_is_on_the_wire(
        self, peer: Peer, hold: Callable[[Peer], Gate]
    ) -> None:
        output = output_to(peer)
        async with running(output, peer):
            gate = hold(peer)
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await gate.is_reached.wait()
            withdrawing = asyncio.create_task(output.withdraw())
            await asyncio.sleep(0)
            gate.opened.set()
            await withdrawing
            assert peer.verdict_bits == REJECTED
            assert await waiting is Published.WITHHELD
            await stays_rejected(peer)

    async def test_the_deadline_passes_while_the_write_is_on_the_wire(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            gate = hold_pass_writes(peer)
            by = soon()
            waiting = asyncio.create_task(output.publish(2, Verdict.PASS, by))
            await gate.is_reached.wait()
            object.__setattr__(by, "at_mono_s", monotonic_s())  # now, however long the write took
            gate.opened.set()
            assert await waiting is Published.LATE
            await stays_rejected(peer)
            assert peer.connections == 1, "an answer that comes is better than a new connection"

    async def test_the_line_becomes_unready_while_the_write_is_on_the_wire(self, peer: Peer) -> None:
        output, health = output_to(peer), Health()
        async with running(output, peer, health):
            gate = hold_pass_writes(peer)
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await gate.is_reached.wait()
            health.is_ready = False
            gate.opened.set()
            assert await waiting is Published.WITHHELD
            assert peer.verdict_bits == REJECTED

    async def test_the_agent_stops_while_the_write_is_on_the_wire(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer) as task:
            gate = hold_pass_writes(peer)
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await gate.is_reached.wait()
            task.cancel()
            await asyncio.sleep(0)
            gate.opened.set()
            assert await waiting is not Published.PUBLISHED
            await asyncio.wait([task])
            assert peer.verdict_bits == REJECTED

    async def test_a_cancel_is_heeded_at_every_turn_of_the_event_loop(self, peer: Peer) -> None:
        """The library loses one that meets the end of a connect or a reply; a lost one would hang the shutdown."""
        for turns in range(80):
            output = output_to(peer, refresh_s=0.001)
            task = asyncio.create_task(output.run(Health()))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=5)
            assert done, f"still running after a cancel at turn {turns}"
            assert not peer.writes or peer.verdict_bits == REJECTED

    async def test_the_publisher_is_cancelled_while_the_write_is_on_the_wire(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            gate = hold_pass_writes(peer)
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await gate.is_reached.wait()
            waiting.cancel()
            await asyncio.wait([waiting])
            gate.opened.set()
            await peer.until(lambda: peer.verdict_bits == REJECTED and output.is_confirmed)
            assert peer.connections == 2

    async def test_withdrawn_when_the_connection_broke_under_a_standing_pass(self, peer: Peer) -> None:
        output = output_to(peer, refresh_s=60)
        async with running(output, peer):
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            peer.drop_connections()
            await output.withdraw()
            assert peer.verdict_bits == REJECTED, "on a new connection, before withdraw returned"


class TestPartPresent:
    async def test_the_input_is_read(self, peer: Peer) -> None:
        output = output_to(peer, part_present_input=5)
        async with running(output, peer):
            assert await output.read_part_present() is False
            peer.inputs[5] = True
            assert await output.read_part_present() is True

    async def test_without_an_address_it_says_what_to_set(self, peer: Peer) -> None:
        output = output_to(peer)
        async with running(output, peer):
            with pytest.raises(DriverError, match=r"set output\.part_present_input"):
                await output.read_part_present()

    async def test_without_a_connection_it_is_not_connected(self, peer: Peer) -> None:
        with pytest.raises(NotConnected, match="not connected yet"):
            await output_to(peer, part_present_input=0).read_part_present()

    async def test_silence_is_an_error_and_the_output_comes_back_with_reject(self, peer: Peer) -> None:
        output = output_to(peer, part_present_input=0, write_timeout_s=0.05)
        async with running(output, peer):
            await output.publish(1, Verdict.PASS, soon())
            peer.is_faulty_for = lambda request: request.function not in (READ_COILS, WRITE_COILS)
            peer.fault = mute
            with pytest.raises(DeadlineMissed):
                await output.read_part_present()
            await peer.until(lambda: output.is_confirmed and peer.verdict_bits == REJECTED)


class TestAnotherServer:
    async def test_the_librarys_own_server_understands_it(self) -> None:
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        coils = [SimData(0, count=32, values=False, datatype=DataType.BITS)]
        inputs = [SimData(0, count=8, values=True, datatype=DataType.BITS)]
        registers = [SimData(0, values=0, datatype=DataType.REGISTERS)]
        server = ModbusTcpServer(SimDevice(1, simdata=(coils, inputs, registers, registers)), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        try:
            listening: Any = server.transport
            port = listening.sockets[0].getsockname()[1]
            output = CoilOutput("127.0.0.1", port, first_coil=3, part_present_input=2, pass_hold_s=5, write_timeout_s=1)
            task = asyncio.create_task(output.run(Health()))
            async with asyncio.timeout(5):
                while not output.is_confirmed:
                    await asyncio.sleep(0.005)
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            assert await output.read_part_present() is True
            task.cancel()
            await asyncio.wait([task])
            await write_reject("127.0.0.1", port, unit=1, first_coil=3, timeout_s=1)
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]


STEPS = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([-1.0, 0.0005, 0.003, 5.0])),
    st.tuples(st.just("reject"), st.just(5.0)),
    st.tuples(st.just("withdraw"), st.just(0)),
    st.tuples(st.just("turns"), st.integers(1, 12)),
    st.tuples(st.just("ready"), st.booleans()),
    st.tuples(st.just("refresh"), st.just(0)),
    st.tuples(st.just("fault"), st.sampled_from(["none", "mute", "reset", "slow", "wrong echo"])),
    st.tuples(st.just("drop"), st.just(0)),
)


class Interleaving:
    """Carries steps out and checks after each that no PASS was written behind a withdraw that had returned."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.health = Health()
        self.output = output_to(peer, pass_hold_s=0.01, refresh_s=0.004, write_timeout_s=0.04)
        self.tasks: list[asyncio.Task[Published]] = []
        self.quiet_from: int | None = None
        self.seq = 0

    def check(self) -> None:
        if self.quiet_from is not None:
            assert not any(bits[0] for _, bits in self.peer.writes[self.quiet_from :])
        assert all(bits[0] is not bits[1] for _, bits in self.peer.writes)

    async def publish(self, verdict: Verdict, seconds: float) -> None:
        self.seq += 1
        self.check()
        self.quiet_from = None
        self.tasks.append(asyncio.create_task(self.output.publish(self.seq, verdict, Deadline.after(seconds))))

    async def step(self, kind: str, value: Any) -> None:
        match kind:
            case "pass":
                await self.publish(Verdict.PASS, value)
            case "reject":
                await self.publish(Verdict.REJECT, value)
            case "withdraw":
                await self.output.withdraw()
                assert self.peer.verdict_bits == REJECTED
                self.quiet_from = len(self.peer.writes)
            case "turns":
                for _ in range(value):
                    await asyncio.sleep(0)
            case "ready":
                self.health.is_ready = value
            case "refresh":
                seen = len(self.peer.writes)
                await self.peer.until(lambda: len(self.peer.writes) > seen)
            case "fault":
                self.peer.fault = None if value == "none" else lambda talk: self.misbehave(value, talk)
            case "drop":
                self.peer.drop_connections()
        self.check()

    async def misbehave(self, kind: str, talk: Talk) -> None:
        """Only PASS is answered badly, so that the peer can always be brought to REJECT. PASS is carried out."""
        reply = bytearray(talk.honest_reply())
        if kind == "reset":
            talk.reset()
        elif kind == "slow":
            await asyncio.sleep(0.005)
            await talk.send(bytes(reply))
        elif kind == "wrong echo":
            reply[9] ^= 1
            await talk.send(bytes(reply))

    async def play(self, steps: list[tuple[str, Any]]) -> None:
        self.peer.is_faulty_for = lambda request: request.is_pass_write
        async with running(self.output, self.peer, self.health):
            for kind, value in steps:
                await self.step(kind, value)
            results = await asyncio.gather(*self.tasks)
            assert set(results) <= set(Published)
            self.peer.fault = None
            await self.output.withdraw()
            assert self.peer.verdict_bits == REJECTED
        assert self.peer.verdict_bits == REJECTED


@given(st.lists(STEPS, min_size=2, max_size=14))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_pass_stands_or_comes_behind_a_withdraw_that_returned(steps: list[tuple[str, Any]]) -> None:
    async def play() -> None:
        async with running_peer() as peer:
            await Interleaving(peer).play(steps)

    asyncio.run(play())

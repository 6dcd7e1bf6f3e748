"""What every output promises, held against a device over a real socket or pty: silence is reject, PASS is a window."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from drivers.base import DriverError, NotConnected, Published, Reason, Verdict
from drivers.output import BlockOutput
from drivers.timing import Deadline, monotonic_s
from tests.contract.output_devices import DEVICES, Device
from tests.contract.word_devices import WORD_DEVICES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from drivers.base import LineDevice


ALL_DEVICES = DEVICES | WORD_DEVICES


@pytest.fixture(params=list(ALL_DEVICES))
async def device(request: pytest.FixtureRequest) -> AsyncIterator[Device]:
    made = ALL_DEVICES[request.param]()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


class Ready:
    """Whether the line is READY, and whether asking for it breaks."""

    def __init__(self, *, is_ready: bool = True) -> None:
        self.is_ready = is_ready
        self.is_broken = False

    def __call__(self) -> bool:
        if self.is_broken:
            raise ArithmeticError("a bug")
        return self.is_ready


@asynccontextmanager
async def running(device: Device, ready: Ready | None = None, **options: Any) -> AsyncIterator[LineDevice]:
    output = device.output(**options)
    task = asyncio.create_task(output.run(ready or Ready()))
    try:
        await device.until(lambda: output.is_confirmed)
        yield output
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.done()


def soon() -> Deadline:
    return Deadline.after(10)


async def begins(device: Device, output: LineDevice, part_seq: int) -> None:
    """A part is at the gate, and the agent has its first sign."""
    device.number += 1
    await output.begin_part(part_seq, monotonic_s())


async def passes(device: Device, output: LineDevice, part_seq: int = 1) -> None:
    await begins(device, output, part_seq)
    assert await output.publish(part_seq, Verdict.PASS, soon()) is Published.PUBLISHED
    assert device.stands.is_pass


class Gate:
    """Holds the answer to requests of one sort back; each is carried out at once."""

    def __init__(self, device: Device, holds: Callable[[bytes], bool]) -> None:
        self.is_reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._device, self._holds = device, holds
        device.answer = self._answer

    async def _answer(self, request: bytes) -> bytes | None:
        reply = await self._device.honest(request)
        if self._holds(request):
            self.is_reached.set()
            await self.opened.wait()
        return reply


def held_write(device: Device) -> Gate:
    return Gate(device, device.says_pass)


def held_read_back(device: Device) -> Gate:
    return Gate(device, lambda request: device.is_read_back(request) and device.stands.is_pass)


class TestAtRest:
    async def test_reject_is_the_first_thing_said_and_it_is_read_back_before_the_output_counts(
        self, device: Device
    ) -> None:
        output = device.output()
        gate = Gate(device, device.is_read_back)
        task = asyncio.create_task(output.run(Ready()))
        await gate.is_reached.wait()

        assert not output.is_confirmed
        assert device.is_at_rest
        assert not device.writes[0].is_ready
        gate.opened.set()
        await device.until(lambda: output.is_confirmed)
        task.cancel()
        await asyncio.wait([task])
        assert not any(said.is_pass for said in device.writes)

    async def test_ready_is_told_and_the_heartbeat_goes_on_only_while_the_line_is_ready(self, device: Device) -> None:
        ready = Ready()
        async with running(device, ready):
            await device.until(lambda: device.stands.is_ready)
            said = await device.writes_on(6)
            assert all(one.beat != other.beat for one, other in itertools.pairwise(said))
            ready.is_ready = False
            await device.until(lambda: not device.stands.is_ready)
            said = await device.writes_on(4)
            assert len({one.beat for one in said}) == 1
            assert all(one.is_reject and not one.is_ready for one in said)

    async def test_what_is_said_is_never_both_and_never_neither(self, device: Device) -> None:
        async with running(device) as output:
            await passes(device, output)
            await output.withdraw()
        assert all(said.is_pass is not said.is_reject for said in device.writes)

    async def test_the_fail_safe_writes_reject_over_whatever_stands(self, device: Device) -> None:
        device.overwrite_with_pass()
        await device.fail_safe()
        assert device.is_at_rest
        assert not device.stands.is_ready
        assert device.is_read_back(device.asked[-1])

    async def test_a_peer_that_is_not_admitted_is_never_written_to(self, device: Device) -> None:
        asked: list[tuple[str, int]] = []

        def admit(address: str, port: int) -> str:
            asked.append((address, port))
            return "it is another line's"

        output = device.output(admit=admit)
        task = asyncio.create_task(output.run(Ready()))
        await device.until(lambda: len(asked) >= 2)
        task.cancel()
        await asyncio.wait([task])
        assert not output.is_confirmed
        assert device.asked == []

    async def test_it_runs_once(self, device: Device) -> None:
        async with running(device) as output:
            with pytest.raises(RuntimeError):
                await output.run(Ready())
            assert output.is_confirmed

    async def test_it_is_refreshed_at_its_period_and_does_not_slow_down(self, device: Device) -> None:
        async with running(device):
            async with asyncio.timeout(5):  # with the pauses of a lost connection these would take a minute
                await device.writes_on(60)

    async def test_before_it_runs_nothing_is_written(self, device: Device) -> None:
        output = device.output()
        await output.withdraw()
        await output.begin_part(1, monotonic_s())
        assert await output.publish(1, Verdict.REJECT, soon()) is Published.FAILED
        assert device.asked == []


class TestWindow:
    async def test_a_pass_that_is_published_was_read_back_and_stands_on(self, device: Device) -> None:
        async with running(device) as output:
            await passes(device, output)
            at = max(at for at, request in enumerate(device.asked) if device.says_pass(request))
            assert any(map(device.is_read_back, device.asked[at + 1 :]))
            assert all(said.is_pass and said.is_ready for said in await device.writes_on())

    async def test_it_ends_by_itself_after_its_time_and_not_before(self, device: Device) -> None:
        async with running(device, pass_hold_s=0.2) as output:
            await begins(device, output, 1)
            began_mono_s = monotonic_s()
            assert await output.publish(1, Verdict.PASS, soon()) is Published.PUBLISHED
            await device.until(lambda: device.is_at_rest)
            assert monotonic_s() - began_mono_s >= 0.2
            assert not any(said.is_pass for said in await device.writes_on())

    async def test_it_ends_between_two_refreshes(self, device: Device) -> None:
        async with running(device, pass_hold_s=0.02, refresh_s=1.0) as output:
            await passes(device, output)
            writes = len(device.writes)
            await device.until(lambda: device.is_at_rest)
            assert len(device.writes) == writes + 1

    @pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.FAULT])
    async def test_it_ends_at_another_verdict(self, device: Device, verdict: Verdict) -> None:
        async with running(device) as output:
            await passes(device, output)
            assert await output.publish(2, verdict, soon(), Reason.SCORE) is Published.PUBLISHED
            assert device.is_at_rest
            assert not any(said.is_pass for said in await device.writes_on())

    async def test_it_ends_with_withdraw_which_returns_when_reject_stands(self, device: Device) -> None:
        async with running(device) as output:
            await passes(device, output)
            await output.withdraw()
            assert device.is_at_rest
            assert not any(said.is_pass for said in await device.writes_on())

    async def test_it_ends_when_the_next_part_begins(self, device: Device) -> None:
        async with running(device) as output:
            await passes(device, output)
            await begins(device, output, 2)
            assert device.is_at_rest

    async def test_it_ends_when_the_line_is_not_ready_and_does_not_come_back(self, device: Device) -> None:
        ready = Ready()
        async with running(device, ready) as output:
            await passes(device, output)
            ready.is_ready = False
            await device.until(lambda: device.is_at_rest)
            ready.is_ready = True
            await device.until(lambda: device.stands.is_ready)
            assert not any(said.is_pass for said in await device.writes_on())

    async def test_an_agent_that_starts_in_the_middle_of_a_shift_passes_the_next_part(self, device: Device) -> None:
        device.number = 40
        async with running(device) as output:
            await passes(device, output)

    async def test_one_passes_after_another(self, device: Device) -> None:
        async with running(device) as output:
            for part_seq in range(1, 5):
                await passes(device, output, part_seq)


class TestNeverWritten:
    """Why no PASS leaves at all."""

    async def test_before_and_after_it_runs(self, device: Device) -> None:
        output = device.output()
        assert await output.publish(1, Verdict.PASS, soon()) is Published.FAILED
        async with running(device) as output:
            await begins(device, output, 1)
        assert await output.publish(1, Verdict.PASS, soon()) is Published.FAILED
        assert not any(said.is_pass for said in device.writes)

    async def test_after_the_deadline(self, device: Device) -> None:
        async with running(device) as output:
            await begins(device, output, 1)
            assert await output.publish(1, Verdict.PASS, Deadline.after(0)) is Published.LATE
        assert not any(said.is_pass for said in device.writes)

    async def test_while_the_line_is_not_ready(self, device: Device) -> None:
        async with running(device, Ready(is_ready=False)) as output:
            await begins(device, output, 1)
            assert await output.publish(1, Verdict.PASS, soon()) is Published.WITHHELD
        assert not any(said.is_pass for said in device.writes)

    async def test_when_it_was_withdrawn_before_its_task_had_a_turn(self, device: Device) -> None:
        async with running(device) as output:
            await begins(device, output, 1)
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await output.withdraw()
            assert await waiting is Published.WITHHELD
        assert not any(said.is_pass for said in device.writes)

    async def test_for_a_part_before_the_one_that_began_last(self, device: Device) -> None:
        async with running(device) as output:
            await begins(device, output, 8)
            assert await output.publish(7, Verdict.PASS, soon()) is Published.WITHHELD
        assert not any(said.is_pass for said in device.writes)

    async def test_where_the_device_has_another_part_at_its_gate(self, device: Device) -> None:
        """Of a device whose PASS names its part; the others have a window that ends before the next part comes."""
        async with running(device) as output:
            if not isinstance(output, BlockOutput):
                pytest.skip("it opens for whoever is at the gate")
            await passes(device, output, 1)
            seen = len(device.writes)
            await begins(device, output, 2)
            device.number += 1
            assert await output.publish(2, Verdict.PASS, soon()) is Published.WITHHELD
            assert device.is_at_rest
            device.number += 1  # one that the agent never saw
            await begins(device, output, 3)
            assert await output.publish(3, Verdict.PASS, soon()) is Published.WITHHELD
            assert await output.publish(3, Verdict.PASS, soon()) is Published.WITHHELD
            assert not any(said.is_pass for said in device.writes[seen + 1 :])
            await passes(device, output, 4)

    async def test_where_what_it_rests_on_does_not_hold(self, device: Device) -> None:
        async with running(device) as output:
            await begins(device, output, 1)
            assert await output.publish(1, Verdict.PASS, soon(), may_pass=lambda: False) is Published.WITHHELD
        assert not any(said.is_pass for said in device.writes)


class TestOvertaken:
    """What happens while PASS is on its way."""

    @pytest.mark.parametrize("hold", [held_write, held_read_back])
    async def test_withdraw_overtakes(self, device: Device, hold: Callable[[Device], Gate]) -> None:
        async with running(device, write_timeout_s=0.8) as output:
            await begins(device, output, 1)
            gate = hold(device)
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await gate.is_reached.wait()
            withdrawing = asyncio.create_task(output.withdraw())
            await asyncio.sleep(0)
            gate.opened.set()
            await withdrawing
            assert device.is_at_rest
            assert await waiting is Published.WITHHELD
            assert not any(said.is_pass for said in await device.writes_on())

    @pytest.mark.parametrize("hold", [held_write, held_read_back])
    async def test_the_deadline_passes(self, device: Device, hold: Callable[[Device], Gate]) -> None:
        async with running(device, write_timeout_s=0.8) as output:
            await begins(device, output, 1)
            gate, by = hold(device), soon()
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, by))
            await gate.is_reached.wait()
            object.__setattr__(by, "at_mono_s", monotonic_s())  # now, however long the write took
            gate.opened.set()
            assert await waiting is Published.LATE
            assert device.is_at_rest

    @pytest.mark.parametrize("hold", [held_write, held_read_back])
    async def test_the_line_falls(self, device: Device, hold: Callable[[Device], Gate]) -> None:
        ready = Ready()
        async with running(device, ready, write_timeout_s=0.8) as output:
            await begins(device, output, 1)
            gate = hold(device)
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await gate.is_reached.wait()
            ready.is_ready = False
            gate.opened.set()
            assert await waiting is Published.WITHHELD
            assert device.is_at_rest

    @pytest.mark.parametrize("hold", [held_write, held_read_back])
    async def test_what_it_rests_on_ends(self, device: Device, hold: Callable[[Device], Gate]) -> None:
        async with running(device, write_timeout_s=0.8) as output:
            await begins(device, output, 1)
            gate = hold(device)
            is_allowed = [True]
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon(), may_pass=lambda: is_allowed[0]))
            await gate.is_reached.wait()
            is_allowed[0] = False
            gate.opened.set()
            assert await waiting is Published.WITHHELD
            assert device.is_at_rest

    async def test_who_publishes_is_cancelled(self, device: Device) -> None:
        async with running(device) as output:
            await begins(device, output, 1)
            gate = held_write(device)
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await gate.is_reached.wait()
            waiting.cancel()
            await asyncio.wait([waiting])
            device.answer = device.honest
            gate.opened.set()
            await device.until(lambda: device.is_at_rest and output.is_confirmed)
            assert not any(said.is_pass for said in await device.writes_on())


class TestDeviceThatFails:
    async def test_a_write_that_was_not_carried_out_is_no_pass(self, device: Device) -> None:
        async def stuck(request: bytes) -> bytes | None:
            return device.echo_of(request) if device.says_pass(request) else await device.honest(request)

        async with running(device) as output:
            await begins(device, output, 1)
            device.answer = stuck
            assert await output.publish(1, Verdict.PASS, soon()) is Published.FAILED
            device.answer = device.honest
            await device.until(lambda: output.is_confirmed and device.is_at_rest)

    async def test_a_pass_that_reads_back_as_something_else_is_none_and_is_taken_back(self, device: Device) -> None:
        async def liar(request: bytes) -> bytes | None:
            reply = await device.honest(request)
            if device.is_read_back(request) and device.stands.is_pass and reply is not None:
                return device.bent(reply)
            return reply

        async with running(device) as output:
            await begins(device, output, 1)
            device.answer = liar
            assert await output.publish(1, Verdict.PASS, soon()) is Published.FAILED
            assert device.is_at_rest, "on a new connection, before the caller is told"
            await device.until(lambda: output.is_confirmed)

    async def test_a_pass_that_is_not_answered_is_none_and_what_is_carried_out_late_does_not_stay(
        self, device: Device
    ) -> None:
        late: list[bytes] = []

        async def keeps(request: bytes) -> bytes | None:
            if device.says_pass(request):
                late.append(request)
                return None
            return await device.honest(request)

        async with running(device) as output:
            await begins(device, output, 1)
            device.answer = keeps
            assert await output.publish(1, Verdict.PASS, soon()) is Published.FAILED
            assert device.is_at_rest
            device.answer = device.honest
            await device.until(lambda: output.is_confirmed)
            device.carry_out(late[0])
            assert device.stands.is_pass
            await device.until(lambda: device.is_at_rest)
            assert not any(said.is_pass for said in await device.writes_on())

    async def test_what_another_client_writes_is_found_and_ends_with_the_next_refresh(self, device: Device) -> None:
        async with running(device) as output:
            device.overwrite_with_pass()
            await device.until(lambda: device.is_at_rest)
            await device.until(lambda: output.is_confirmed)

    async def test_it_comes_back_by_itself_and_begins_with_reject(self, device: Device) -> None:
        async with running(device) as output:
            await passes(device, output)
            await device.go_away()
            await device.until(lambda: not output.is_confirmed)
            assert await output.publish(1, Verdict.PASS, soon()) is Published.FAILED
            await output.withdraw()
            with pytest.raises(NotConnected):
                await output.read_inputs((1,))
            seen = len(device.writes)
            await device.come_back()
            await device.until(lambda: output.is_confirmed)
            assert device.writes[seen].is_reject
            assert not device.writes[seen].is_ready
            assert not any(said.is_pass for said in device.writes[seen:])
            await passes(device, output, 2)

    async def test_a_reject_that_does_not_arrive_is_not_published(self, device: Device) -> None:
        async with running(device, write_timeout_s=0.1) as output:
            await begins(device, output, 1)
            await device.go_away()
            assert await output.publish(1, Verdict.REJECT, soon()) is Published.FAILED
            await device.come_back()

    async def test_a_reject_after_its_deadline_is_written_all_the_same_and_late(self, device: Device) -> None:
        async with running(device) as output:
            await passes(device, output)
            assert await output.publish(2, Verdict.REJECT, Deadline.after(-1)) is Published.LATE
            assert device.is_at_rest


class TestTheEnd:
    async def test_stopping_takes_pass_back_and_is_the_last_word(self, device: Device) -> None:
        async with running(device) as output:
            await passes(device, output)
        assert device.is_at_rest
        assert not device.stands.is_ready
        assert not output.is_confirmed
        assert device.is_read_back(device.asked[-1])

    async def test_stopping_while_pass_is_on_its_way(self, device: Device) -> None:
        async with running(device, write_timeout_s=0.8) as output:
            await begins(device, output, 1)
            gate = held_write(device)
            waiting = asyncio.create_task(output.publish(1, Verdict.PASS, soon()))
            await gate.is_reached.wait()
            asyncio.get_running_loop().call_soon(gate.opened.set)
        assert await waiting is not Published.PUBLISHED
        assert device.is_at_rest

    async def test_a_fault_of_the_agent_itself_takes_pass_back(self, device: Device) -> None:
        ready = Ready()
        output = device.output()
        task = asyncio.create_task(output.run(ready))
        await device.until(lambda: output.is_confirmed)
        await passes(device, output)
        ready.is_broken = True
        with pytest.raises(ArithmeticError):
            await task
        assert device.is_at_rest
        assert not output.is_confirmed

    async def test_stopping_while_the_device_is_away_is_bounded(self, device: Device) -> None:
        async with running(device, write_timeout_s=0.05) as output:
            await device.go_away()
            await device.until(lambda: not output.is_confirmed)
        await device.come_back()


class TestInputs:
    async def test_levels_come_in_the_order_asked(self, device: Device) -> None:
        device.inputs = {3: True, 5: True}
        async with running(device, part_present_input=5) as output:
            assert await output.read_inputs((5, 4, 3)) == (True, False, True)
            assert await output.read_part_present() is True
            device.inputs[5] = False
            assert await output.read_part_present() is False

    async def test_without_a_connection_and_without_an_address_it_says_so(self, device: Device) -> None:
        with pytest.raises(NotConnected, match="not connected yet"):
            await device.output(part_present_input=0).read_part_present()
        with pytest.raises(DriverError, match=r"output\.part_present_input"):
            await device.output().read_part_present()

    async def test_what_the_device_counts_and_wants_is_told_only_while_it_is_heard(self, device: Device) -> None:
        assert (device.output().wanted_program, device.output().reject_count) == (None, None)
        async with running(device) as output:
            assert (output.wanted_program, output.reject_count) in {(7, 3), (None, None)}
        assert (output.wanted_program, output.reject_count) == (None, None)

"""A PLC with a gate, whatever it speaks: it opens for the part that a block names, or not at all."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from drivers.base import DriverError, Published, Reason, Verdict
from drivers.ethernet_ip import EthernetIpConnection, Tags
from drivers.kv_hostlink import HostLinkConnection
from drivers.output import BlockOutput, BlockState, BlockWalker, WordPlaces, write_resting
from drivers.s7 import S7Connection
from drivers.simulated.remote_io import IoFault
from drivers.simulated.tag_plc import SimulatedLogixPlc
from drivers.simulated.word_plc import SimulatedHostLinkPlc, SimulatedS7Plc, SimulatedSlmpPlc
from drivers.slmp import SlmpConnection
from drivers.timing import Deadline, monotonic_s
from tests.byte_proxy import Bend, ByteProxy, Trouble, Way
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from drivers.output import PlcConnection

    AnyPlc = SimulatedSlmpPlc | SimulatedHostLinkPlc | SimulatedS7Plc | SimulatedLogixPlc

PLACES = WordPlaces(100, 120, 140)
READY, FAULT = 1, 2
PASS_WORD = 0x005A


ELSEWHERE = WordPlaces(500, 520)
TAGS = Tags("AgentToPlc", "PlcToAgent", "Line1.Inputs")


@dataclass(frozen=True)
class Kind:
    """A PLC, and connections to it: to its words, without inputs, and to words that it does not have."""

    plc: Callable[..., AnyPlc]
    wire: Callable[..., PlcConnection]
    without_inputs: Callable[..., PlcConnection]
    elsewhere: Callable[..., PlcConnection]
    block_key: str = "output.first_register"
    inputs_key: str = "output.inputs_register"

    def new_wire(self, port: int, timeout_s: float = 0.3) -> partial[PlcConnection]:
        return partial(self.wire, "127.0.0.1", port, timeout_s=timeout_s)

    def output(self, port: int, **options: Any) -> BlockOutput:
        options = {"pass_hold_s": 5.0, "refresh_s": 0.02, "write_timeout_s": 0.3} | options
        return BlockOutput("the PLC", self.new_wire(port, options["write_timeout_s"]), plc_place="120", **options)


def numbered(plc: Callable[..., AnyPlc], wire: Callable[..., PlcConnection], *keys: str) -> Kind:
    """A PLC whose words have numbers."""
    made = partial(plc, first_register=PLACES.first, plc_register=PLACES.plc, inputs_register=PLACES.inputs)
    return Kind(made, *(partial(wire, places=places) for places in (PLACES, WordPlaces(100, 120), ELSEWHERE)), *keys)


KINDS = {
    "slmp": numbered(SimulatedSlmpPlc, SlmpConnection),
    "kv-hostlink": numbered(SimulatedHostLinkPlc, HostLinkConnection),
    "s7": numbered(
        partial(SimulatedS7Plc, db=7), partial(S7Connection, db=7, slot=2), "output.first_byte", "output.inputs_byte"
    ),
    "ethernet-ip": Kind(
        partial(SimulatedLogixPlc, inputs_tag=TAGS.inputs, slot=2),
        *(
            partial(EthernetIpConnection, tags=tags, slot=2)
            for tags in (TAGS, Tags(TAGS.agent, TAGS.plc), Tags("Another", "Other"))
        ),
        "output.tag",
        "output.inputs_tag",
    ),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@asynccontextmanager
async def started(kind: Kind, **options: Any) -> AsyncIterator[AnyPlc]:
    peer = kind.plc(**options)
    await peer.start()
    try:
        yield peer
    finally:
        await peer.stop()


@asynccontextmanager
async def plc_and_output(kind: Kind, **options: Any) -> AsyncIterator[tuple[AnyPlc, BlockOutput]]:
    async with started(kind) as peer, running(kind, peer.port, **options) as output:
        await until(lambda: peer.block[4] & READY)
        yield peer, output


@asynccontextmanager
async def running(kind: Kind, port: int, **options: Any) -> AsyncIterator[BlockOutput]:
    output = kind.output(port, **options)
    task = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: output.is_confirmed)
        yield output
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def judge(output: BlockOutput, part_seq: int, verdict: Verdict) -> Published:
    await output.begin_part(part_seq, monotonic_s())
    return await output.publish(part_seq, verdict, Deadline.after(2.0), Reason.SCORE, 0x1BEEF)


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.REJECT, Verdict.FAULT])
async def test_each_part_gets_its_own_verdict_and_no_other(kind: Kind, verdict: Verdict) -> None:
    async with plc_and_output(kind) as (plc, output):
        for number in range(1, 4):
            part = plc.part_arrives()
            await output.withdraw()
            assert await judge(output, number, verdict) is Published.PUBLISHED
            await until(lambda part=part: part.is_decided)  # type: ignore[misc]
            assert part.is_let_through is (verdict is Verdict.PASS)
            assert (plc.block[0], plc.block[3], plc.block[5]) == (number, 2, 0xBEEF)


async def test_a_pass_that_stands_lets_no_other_part_through(kind: Kind) -> None:
    async with plc_and_output(kind) as (plc, output):
        first = plc.part_arrives()
        assert await judge(output, 1, Verdict.PASS) is Published.PUBLISHED
        await until(lambda: first.is_let_through)
        second = plc.part_arrives()  # the agent knows nothing of it, and its PASS stands
        await until(lambda: second.why == "the block is of part 1")
        assert plc.block[1] == PASS_WORD
        assert not second.is_let_through


async def test_a_verdict_that_comes_after_the_next_part_began_passes_nobody(kind: Kind) -> None:
    async with plc_and_output(kind) as (plc, output):
        first = plc.part_arrives()
        await output.begin_part(1, monotonic_s())
        second = plc.part_arrives()
        await output.begin_part(2, monotonic_s())
        assert await output.publish(1, Verdict.PASS, Deadline.after(2.0)) is Published.WITHHELD
        assert not first.is_let_through
        assert not second.is_let_through


async def test_what_stood_at_the_gate_when_the_connection_was_new_is_nobodys(kind: Kind) -> None:
    async with plc_and_output(kind) as (plc, output):
        part = plc.part_arrives()
        await plc.misbehave(IoFault.REFUSE)
        await until(lambda: not output.is_confirmed)
        await plc.misbehave(None)
        await until(lambda: output.is_confirmed)
        assert await judge(output, 1, Verdict.PASS) is Published.WITHHELD
        assert not part.is_let_through


async def test_a_plc_whose_program_stands_still_is_not_confirmed_and_comes_back(kind: Kind) -> None:
    async with plc_and_output(kind, plc_timeout_s=0.1) as (plc, output):
        plc.is_scanning = False
        await until(lambda: not output.is_confirmed)
        assert "heartbeat stands still" in output.problem
        plc.part_arrives()
        assert await judge(output, 1, Verdict.PASS) is Published.FAILED
        plc.is_scanning = True
        await until(lambda: output.is_confirmed)


@pytest.mark.parametrize("fault", [fault for fault in IoFault if fault is not IoFault.UNANSWERED])
async def test_a_plc_that_misbehaves_opens_for_nobody_and_the_next_part_passes(kind: Kind, fault: IoFault) -> None:
    async with plc_and_output(kind, write_timeout_s=0.1) as (plc, output):
        part = plc.part_arrives()
        await output.begin_part(1, monotonic_s())
        await plc.misbehave(fault)
        published = await output.publish(1, Verdict.PASS, Deadline.after(2.0))
        assert published in (Published.FAILED, Published.WITHHELD)
        await plc.misbehave(None)
        await until(lambda: output.is_confirmed and plc.block[4] & READY)
        assert not part.is_let_through
        later = plc.part_arrives()
        assert await judge(output, 2, Verdict.PASS) is Published.PUBLISHED
        await until(lambda: later.is_decided)
        assert later.is_let_through


async def test_a_pass_that_was_carried_out_and_not_answered_opens_for_its_own_part_alone(kind: Kind) -> None:
    async with plc_and_output(kind, write_timeout_s=0.1) as (plc, output):
        part = plc.part_arrives()
        await output.begin_part(1, monotonic_s())
        await plc.misbehave(IoFault.UNANSWERED)
        assert await output.publish(1, Verdict.PASS, Deadline.after(2.0)) is not Published.PUBLISHED
        second = plc.part_arrives()
        await plc.misbehave(None)
        await until(lambda: output.is_confirmed and plc.block[1] != PASS_WORD)
        assert not second.is_let_through
        assert part.is_decided in (False, part.is_let_through)


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("bend", [Bend.DELAYED, Bend.SPLIT, Bend.MERGED, Bend.REPEATED, Bend.CUT, Bend.HALF_OPEN])
async def test_whatever_a_wire_does_a_part_passes_by_its_own_verdict_or_not_at_all(
    kind: Kind, bend: Bend, way: Way
) -> None:
    async with started(kind) as plc, ByteProxy((plc.host, plc.port)) as proxy:
        async with running(kind, proxy.port, write_timeout_s=0.1) as output:
            await until(lambda: plc.block[4] & READY)
            shown = []
            for number in range(1, 9):
                await until(lambda: output.is_confirmed and plc.block[4] & READY, within_s=10.0)
                part, verdict = plc.part_arrives(), Verdict.PASS if number % 2 else Verdict.REJECT
                if number == 3:
                    proxy.arm(Trouble(bend, way, after_bytes=20, for_s=0.3))
                published = await judge(output, number, verdict)
                shown.append((part, verdict, published))
                await asyncio.sleep(0.02)
        assert plc.block[1] != PASS_WORD
    for part, verdict, _ in shown:
        assert not part.is_let_through or verdict is Verdict.PASS
    assert any(part.is_let_through for part, _, _ in shown)


async def test_no_part_passes_later_by_a_cable_that_was_pulled_while_its_pass_was_on_its_way(kind: Kind) -> None:
    async with (
        started(kind) as plc,
        ByteProxy((plc.host, plc.port)) as proxy,
        running(kind, proxy.port, write_timeout_s=0.1) as output,
    ):
        await until(lambda: plc.block[4] & READY)
        first = plc.part_arrives()
        await output.begin_part(1, monotonic_s())
        proxy.hold()
        assert await output.publish(1, Verdict.PASS, Deadline.after(2.0)) is Published.FAILED
        second = plc.part_arrives()
        proxy.go_on()
        await until(lambda: output.is_confirmed and plc.block[4] & READY)
        assert not first.is_let_through
        assert not second.is_let_through
        third = plc.part_arrives()
        assert await judge(output, 3, Verdict.PASS) is Published.PUBLISHED
        await until(lambda: third.is_decided)
        assert third.is_let_through


async def test_stopping_and_the_fail_safe_leave_reject_and_not_ready(kind: Kind) -> None:
    async with started(kind) as plc:
        async with running(kind, plc.port) as output:
            plc.part_arrives()
            await judge(output, 1, Verdict.PASS)
        assert plc.block[1] == 0x00C3
        assert plc.block[4] == FAULT
        plc.words |= dict(zip(plc.words, BlockState(1, Verdict.PASS).words, strict=False))
        await write_resting(kind.new_wire(plc.port), BlockState())
        assert plc.block == BlockState().words


async def test_inputs_are_bits_of_the_plcs_words(kind: Kind) -> None:
    async with started(kind, inputs=40) as plc, running(kind, plc.port, part_present_input=35) as output:
        for address in (1, 17, 35):
            plc.set_input(address, True)
        assert await output.read_inputs((1, 2, 17, 35, 36)) == (True, False, True, True, False)
        assert await output.read_part_present() is True
        plc.set_input(35, False)
        assert await output.read_part_present() is False
    wire = kind.without_inputs("127.0.0.1", plc.port, timeout_s=0.1, on_lost=lambda: None)
    with pytest.raises(DriverError, match=kind.inputs_key):
        await wire.read_inputs(0, 1)


async def test_words_that_are_not_there_are_refused_in_words(kind: Kind) -> None:
    async with started(kind) as plc:
        elsewhere = partial(kind.elsewhere, "127.0.0.1", plc.port, timeout_s=0.3)
        with pytest.raises(DriverError, match=f"look at {kind.block_key}"):
            await write_resting(elsewhere, BlockState())


async def test_the_walk_opens_for_the_part_at_the_gate_and_for_no_other_block(kind: Kind) -> None:
    async with started(kind) as plc:
        part = plc.part_arrives()
        walk = await BlockWalker(kind.new_wire(plc.port), 0.3, 0.02).walk(2.0)
        assert plc.block == BlockState().words

    assert walk.is_good, walk
    assert part.is_let_through

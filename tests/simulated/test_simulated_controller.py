"""The simulated controller on a real socket: what is answered when, what a trigger leads to, what a fault does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from drivers.base import ControllerClock, ControllerResult, ControllerUp
from drivers.keyence.link import CvxLink
from drivers.simulated.command_port import ConnectionPolicy
from drivers.simulated.controller import ControllerTiming, Part, SimulatedController
from drivers.simulated.faults import Fault, FaultPlan
from drivers.timing import monotonic_s
from drivers.transport import open_tcp
from tests.fault.keyence_peer import soon
from tests.simulated.simulated_wire import RawClient, connected, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.simulated.result_output import SkippedAs

QUICK = ControllerTiming(
    exposure_s=0.005,
    processing_s=0.01,
    mode_change_s=0.03,
    program_switch_s=0.05,
    ready_after_switch_s=0.05,
    reboot_s=0.1,
    late_s=0.15,
    mute_s=0.15,
    split_pause_s=0.01,
)


@asynccontextmanager
async def controller(**options: Any) -> AsyncIterator[SimulatedController]:
    made = SimulatedController(**{"timing": QUICK, **options})
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def talking(**options: Any) -> AsyncIterator[tuple[SimulatedController, RawClient]]:
    async with controller(**options) as peer, connected(peer.port) as client:
        await until(lambda: peer.connections == 1)
        yield peer, client


async def ready(peer: SimulatedController) -> None:
    await until(lambda: peer.is_ready)


async def test_a_trigger_is_echoed_at_once_and_its_result_follows() -> None:
    async with talking() as (peer, client):
        peer.put_part(b"image", judgement="NG")

        assert [await client.ask("T1"), await client.line()] == ["T1", "0000000001,1"]
        await ready(peer)
        peer.put_part(b"image")
        assert [await client.ask("TA"), await client.line()] == ["TA", "0000000002,0"]
        assert [shot.trigger for shot in peer.imaged] == ["T1", "TA"]


async def test_a_wired_trigger_gives_a_result_without_an_echo() -> None:
    async with talking(result_items=("program", "count", "judgement", "skip"), program=22) as (peer, client):
        assert await peer.wire_trigger(b"image") == 1
        assert await client.line() == "022,0000000001,0,00004001"


async def test_a_trigger_while_ready_is_off_images_nothing() -> None:
    async with talking() as (peer, client):
        assert await peer.wire_trigger(b"first") == 1
        assert await peer.wire_trigger(b"second") is None
        assert await client.ask("T1") == "ER,T1,03"
        assert await client.line() == "0000000001,0"
        assert (peer.refused_triggers, len(peer.imaged)) == (2, 1)


@pytest.mark.parametrize("delimiter", ["\r", "\n", "\r\n"])
async def test_commands_may_end_with_cr_lf_or_both_and_arrive_in_any_pieces(delimiter: str) -> None:
    async with talking() as (_, client):
        for byte in f"RM{delimiter}EC,a b{delimiter}".encode():
            await client.send(bytes((byte,)))

        assert [await client.line(), await client.line()] == ["RM,1", "EC,a b"]
        await client.send(f"PR{delimiter}RM{delimiter}XX{delimiter}".encode())
        assert [await client.line() for _ in range(3)] == ["PR,1,001", "RM,1", "ER,XX,02"]


async def test_a_controller_set_to_cr_lf_says_so() -> None:
    async with talking(delimiter="\r\n") as (_, client):
        await client.send(b"RM\r")

        assert await client.reader.readexactly(6) == b"RM,1\r\n"


async def test_a_line_without_end_costs_the_connection() -> None:
    async with talking() as (_, client):
        await client.send(b"A" * 3000)

        assert await client.ended()


async def test_r0_is_answered_before_run_mode_begins() -> None:
    async with talking(starts_in_run_mode=False) as (peer, client):
        assert await client.ask("RM") == "RM,0"
        assert await client.ask("T1") == "ER,T1,03"
        assert await client.ask("R0") == "R0"
        assert await client.ask("RM") == "RM,0"
        await ready(peer)
        assert await client.ask("RM") == "RM,1"


async def test_s0_waits_for_the_running_tools_and_ends_ready() -> None:
    async with talking() as (peer, client):
        await peer.wire_trigger(b"image")
        await until(lambda: peer.is_ready)
        assert await client.ask("S0") == "0000000001,0"
        assert await client.line() == "S0"
        assert not peer.is_ready
        assert await client.ask("RM") == "RM,0"


async def test_te_0_blocks_every_trigger() -> None:
    async with talking() as (peer, client):
        assert await client.ask("TE,0") == "TE"
        assert await client.ask("T1") == "ER,T1,03"
        assert await peer.wire_trigger(b"image") is None
        assert await client.ask("TE,1") == "TE"
        assert await peer.wire_trigger(b"image") == 1


async def test_oe_0_suppresses_and_clears_output() -> None:
    plan = FaultPlan.of({1: Fault.LATE_RESULT})
    async with talking(faults=plan) as (peer, client):
        await peer.wire_trigger(b"late")
        await until(lambda: peer.is_idle)
        assert await client.ask("OE,0") == "OE"
        await ready(peer)
        await peer.wire_trigger(b"suppressed")
        await until(lambda: peer.is_idle)
        assert await client.ask("OE,1") == "OE"
        await peer.wire_trigger(b"put out")
        await asyncio.sleep(2 * QUICK.late_s)  # what was late would have come by now

        assert await client.ask("RM") == "0000000003,0"
        assert await client.line() == "RM,1"


async def test_a_program_change_takes_time_resets_the_count_and_leaves_ready_off_for_a_while() -> None:
    async with talking() as (peer, client):
        await peer.wire_trigger(b"image")
        assert await client.line() == "0000000001,0"
        session = peer.state.session
        begin = monotonic_s()
        assert await client.ask("PW,1,007") == "PW"
        assert monotonic_s() - begin >= QUICK.program_switch_s
        assert await client.ask("T1") == "ER,T1,03"
        assert await client.ask("PR") == "PR,1,007"
        await ready(peer)
        assert await peer.wire_trigger(b"image") == 1
        assert peer.imaged[-1].program == 7
        assert peer.state.session != session


async def test_rs_restarts_the_count_in_a_new_folder() -> None:
    async with talking() as (peer, client):
        await peer.wire_trigger(b"image")
        assert await client.line() == "0000000001,0"
        session = peer.state.session
        assert await client.ask("RS") == "RS"
        await ready(peer)
        assert await peer.wire_trigger(b"image") == 1
        assert peer.state.session != session


async def test_a_new_connection_replaces_the_old_one() -> None:
    async with talking() as (peer, old), connected(peer.port) as new:
        assert await old.ended()
        assert await new.ask("RM") == "RM,1"


async def test_other_policies_refuse_the_second_connection_or_serve_both() -> None:
    async with talking(policy=ConnectionPolicy.REFUSE) as (peer, old), connected(peer.port) as new:
        assert await new.ended()
        assert await old.ask("RM") == "RM,1"
    async with talking(policy=ConnectionPolicy.MANY) as (peer, one), connected(peer.port) as other:
        assert await other.ask("RM") == "RM,1"
        await peer.wire_trigger(b"image")
        assert [await one.line(), await other.line()] == 2 * ["0000000001,0"]


async def test_rb_is_answered_and_the_controller_comes_back_on_its_port_with_counts_from_1() -> None:
    async with controller() as peer:
        port = peer.port
        async with connected(port) as client:
            await peer.wire_trigger(b"image")
            assert await client.line() == "0000000001,0"
            assert await client.ask("RB") == "RB"
            assert await client.ended()
        with pytest.raises(OSError, match=r"111|refused|Connect"):
            async with connected(port):
                pass
        await ready(peer)
        async with connected(port) as client:
            assert await client.ask("RM") == "RM,1"
            assert await peer.wire_trigger(b"image") == 1


# faults by name


async def test_a_refused_trigger_images_nothing() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.REFUSED_TRIGGER})) as (peer, client):
        assert await client.ask("T1") == "ER,T1,03"
        assert [await client.ask("T1"), await client.line()] == ["T1", "0000000001,0"]
        assert len(peer.imaged) == 1


async def test_a_lost_result_never_comes_and_the_next_one_does() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.LOST_RESULT})) as (peer, client):
        await peer.wire_trigger(b"image")
        await until(lambda: peer.is_idle)
        await peer.wire_trigger(b"image")

        assert await client.line() == "0000000002,0"


async def test_a_late_result_comes_after_the_next_one() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.LATE_RESULT})) as (peer, client):
        await peer.wire_trigger(b"image")
        await until(lambda: peer.is_idle)
        await peer.wire_trigger(b"image")

        assert [await client.line(), await client.line()] == ["0000000002,0", "0000000001,0"]


async def test_glued_results_come_in_one_segment() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.RESULTS_GLUED})) as (peer, client):
        await peer.wire_trigger(b"image")
        await until(lambda: peer.is_idle)
        await peer.wire_trigger(b"image")

        async with asyncio.timeout(3):
            assert await client.reader.read(100) == b"0000000001,0\r0000000002,0\r"


async def test_a_split_result_comes_in_several_segments() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.RESULT_SPLIT})) as (peer, client):
        await peer.wire_trigger(b"image")
        async with asyncio.timeout(3):
            first = await client.reader.read(100)
        assert b"\r" not in first
        assert first.decode() + await client.line() == "0000000001,0"


async def test_a_result_comes_between_a_command_and_its_reply() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.RESULT_BEFORE_REPLY})) as (peer, client):
        await peer.wire_trigger(b"image")
        await until(lambda: peer.is_idle)

        assert [await client.ask("RM"), await client.line()] == ["0000000001,0", "RM,1"]


async def test_a_duplicate_count_names_two_parts() -> None:
    async with talking(faults=FaultPlan.of({2: Fault.DUPLICATE_COUNT})) as (peer, client):
        for _ in range(3):
            await ready(peer)
            await peer.wire_trigger(b"image")
            await until(lambda: peer.is_idle)

        assert [await client.line() for _ in range(3)] == ["0000000001,0", "0000000001,0", "0000000002,0"]


async def test_a_dropped_connection_takes_the_result_with_it() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.CONNECTION_DROP})) as (peer, client):
        await peer.wire_trigger(b"image")
        assert await client.ended()
        async with connected(peer.port) as again:
            await peer.wire_trigger(b"image")
            assert await again.line() == "0000000002,0"


async def test_a_mute_controller_answers_nothing_for_a_while() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.CONNECTION_MUTE})) as (peer, client):
        await peer.wire_trigger(b"image")
        await until(lambda: peer.is_idle)
        await client.send(b"RM\r")
        with pytest.raises(TimeoutError):
            await client.line(within_s=QUICK.mute_s / 3)
        await asyncio.sleep(QUICK.mute_s)
        assert await client.ask("PR") == "PR,1,001"


async def test_a_reboot_at_a_part_loses_it_and_restarts_the_count() -> None:
    async with talking(faults=FaultPlan.of({2: Fault.REBOOT})) as (peer, client):
        await peer.wire_trigger(b"image")
        assert await client.line() == "0000000001,0"
        await ready(peer)
        await peer.wire_trigger(b"image")
        assert await client.ended()
        await until(lambda: peer.is_ready)
        assert await peer.wire_trigger(b"image") == 1


async def test_noise_without_a_delimiter_spoils_the_result_behind_it_and_no_other() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.NOISE_ON_THE_WIRE, 2: Fault.UNREADABLE_RESULT})) as (peer, client):
        lines = []
        for _ in range(3):
            await ready(peer)
            await peer.wire_trigger(b"image")
            lines.append(await client.line())

    assert (len(lines[0]), lines[0][-12:]) == (4096 + 12, "0000000001,0")
    assert lines[1:] == ["0000000002,0,0000000", "0000000003,0"]


async def test_somebody_at_the_screen_chooses_setup_mode_or_another_program() -> None:
    plan = FaultPlan.of({1: Fault.SETUP_MODE, 2: Fault.PROGRAM_CHANGED})
    async with talking(faults=plan, program=7) as (peer, client):
        await peer.wire_trigger(b"image")
        assert await client.line() == "0000000001,0"
        assert await client.ask("RM") == "RM,0"
        await ready(peer)  # and back, after a while
        await peer.wire_trigger(b"image")
        assert await client.line() == "0000000002,0"
        await until(lambda: peer.state.program == 8)
        await ready(peer)
        await peer.wire_trigger(b"image")
        assert await client.line() == "0000000001,0"


async def test_a_clock_that_falls_back_names_the_year_2000() -> None:
    async with talking(faults=FaultPlan.of({1: Fault.CLOCK_JUMP})) as (peer, client):
        await peer.wire_trigger(b"image")

        assert peer.imaged[0].taken.year == 2000
        assert (await client.line(), (await client.ask("TR"))[:9]) == ("0000000001,0", "TR,00,01,")


# bad use


MEASURING = ("count", "value:pitch:+3", "value:area:0", "judgement:edge", "text:lot", "rest", "judgement")


@pytest.mark.parametrize(
    ("skipped_as", "line"),
    [
        ("zero", "0000000001,0,0004422,1,AB-7,1"),
        ("empty", "0000000001,,0004422,1,AB-7,1"),
        ("nothing", "0000000001,0004422,1,AB-7,1"),
    ],
)
async def test_the_output_list_has_width_decimals_sign_and_a_setting_for_skipped_tools(
    skipped_as: SkippedAs, line: str
) -> None:
    async with talking(result_items=MEASURING, skipped_as=skipped_as) as (peer, client):
        assert await client.ask("STW,1,AB-7") == "STW"
        measured = Part(((1, b"image"),), judgement="NG", values={"pitch": -0.0034, "area": 4422})
        peer.put(measured)
        peer.trigger("TRG1")
        assert await client.line() == "0000000001,-0000000.003,0004422,1,AB-7,1"
        peer.state.count = 0
        await until(lambda: peer.is_ready)
        peer.put(replace(measured, skipped=frozenset({"pitch"})))
        peer.trigger("TRG1")
        assert await client.line() == line


@pytest.mark.parametrize("skipped_as", ["zero", "empty"])
async def test_what_the_controller_measures_arrives_at_the_link_by_name(skipped_as: SkippedAs) -> None:
    peer = SimulatedController(result_items=MEASURING, skipped_as=skipped_as)
    await peer.start()
    dial = partial(open_tcp, "127.0.0.1", peer.port, timeout_s=1.0)
    link = CvxLink(dial, "controller", result_items=MEASURING, reply_timeout_s=1.0)
    running = asyncio.create_task(link.run())
    try:
        assert isinstance(await soon(link.next()), ControllerUp)
        seen = []
        for skipped in (frozenset[str](), frozenset({"pitch"})):
            await until(lambda: peer.is_ready)
            peer.put(Part(((1, b"image"),), values={"pitch": 5.0472, "area": 4422}, skipped=skipped))
            peer.trigger("TRG1")
            while not isinstance(result := await soon(link.next()), ControllerResult):
                assert isinstance(result, ControllerClock)
            seen.append(result.values)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await peer.stop()

    rest = {"area": 4422.0, "edge": "OK", "lot": None}
    assert seen == [{"pitch": 5.047} | rest, {"pitch": None} | rest]


async def test_a_list_without_items_sends_no_line() -> None:
    async with talking(result_items=()) as (peer, client):
        await peer.wire_trigger(b"image")
        await until(lambda: peer.is_idle)
        assert await client.ask("EC,next") == "EC,next"


async def test_what_a_controller_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown result items"):
        SimulatedController(result_items=("count", "colour"))
    with pytest.raises(ValueError, match="CR or CR LF"):
        SimulatedController(delimiter=";")
    with pytest.raises(ValueError, match="OK or NG"):
        Part(((1, b""),), judgement="PASS")
    with pytest.raises(ValueError, match="1 to 4"):
        Part(((5, b""),))


async def test_stop_is_idempotent_and_ends_what_is_under_way() -> None:
    peer = SimulatedController(timing=ControllerTiming(processing_s=30.0))
    await peer.start()
    async with connected(peer.port) as client:
        await peer.wire_trigger(b"image")
        await client.send(b"PW,1,3\r")
        await until(lambda: "PW,1,3" in peer.commands)
        await peer.stop()
        await peer.stop()
        assert await client.ended()


async def test_two_cameras_give_one_result() -> None:
    async with talking() as (peer, client):
        peer.put(Part(((1, b"a"), (2, b"b"))))
        assert [await client.ask("T1"), await client.line()] == ["T1", "0000000001,0"]
        assert await client.ask("RM") == "RM,1"


async def test_a_fault_inside_the_simulation_is_not_kept_quiet() -> None:
    peer = SimulatedController(
        timing=QUICK, image_to="ftp", ftp=None, on_imaged=lambda _: None, faults=FaultPlan.of({1: Fault.LOST_RESULT})
    )
    await peer.start()
    peer.state.count = None  # type: ignore[assignment]
    async with connected(peer.port) as client:
        await client.send(b"T1\r")
        await client.ended()
    with pytest.raises(TypeError):
        await peer.stop()

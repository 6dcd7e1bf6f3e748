"""The simulated line: the truth about each part, and what the gate did with it, read off the wire."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from drivers.simulated.camera import Defect, DefectSpec, ZipperCamera, encode_bmp
from drivers.simulated.controller import ControllerTiming, SimulatedController
from drivers.simulated.faults import Fault, FaultPlan
from drivers.simulated.line import RecordedParts, RenderedParts, SimulatedLine, TruePart
from drivers.simulated.remote_io import SimulatedRemoteIo
from tests.simulated.simulated_wire import connected, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

QUICK = ControllerTiming(exposure_s=0.002, processing_s=0.005)
SPACING_S = 0.2
HALO = DefectSpec(Defect.HALO, 120.0, 0.3)


@pytest.fixture(scope="module")
def camera() -> ZipperCamera:
    return ZipperCamera(width=160, height=120)


@asynccontextmanager
async def line(
    camera: ZipperCamera, *, trigger: Literal["wired", "input", "agent"] = "wired", **options: Any
) -> AsyncIterator[tuple[SimulatedLine, SimulatedController, SimulatedRemoteIo]]:
    controller = SimulatedController(timing=QUICK, faults=options.pop("faults", None))
    remote_io = SimulatedRemoteIo(watchdog_s=30.0)
    source = RenderedParts(camera, defects=(None, HALO), seed=1)
    await remote_io.start()
    await controller.start()
    try:
        made = SimulatedLine(source, controller, remote_io, spacing_s=SPACING_S, trigger=trigger, **options)
        yield made, controller, remote_io
    finally:
        await controller.stop()
        await remote_io.stop()


@asynccontextmanager
async def agent(
    controller: SimulatedController, remote_io: SimulatedRemoteIo, verdict: Callable[[int], bytes]
) -> AsyncIterator[None]:
    """The simplest agent: at each result line it writes the coils that ``verdict`` gives for the count."""

    async def serve() -> None:
        async with connected(controller.port) as results, connected(remote_io.port) as coils:
            while True:
                fields = (await results.line(within_s=30)).split(",")
                await coils.modbus(bytes.fromhex("0F 0000 0004 01") + verdict(int(fields[0])))

    task = asyncio.create_task(serve())
    try:
        await until(lambda: controller.connections and remote_io.connections)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def taken(line: SimulatedLine, parts: int) -> list[TruePart]:
    return [part async for part in line.run(parts)]


async def test_the_truth_and_the_gate_agree_with_an_agent_that_knows(camera: ZipperCamera) -> None:
    seen: list[TruePart] = []
    async with (
        line(camera, on_part=seen.append) as (at, controller, remote_io),
        # Part k is good if k is odd; PASS stands until the next part is rejected.
        agent(controller, remote_io, lambda count: b"\x01" if count % 2 else b"\x02"),
    ):
        parts = await taken(at, 6)

    assert [part.index for part in parts] == [1, 2, 3, 4, 5, 6]
    assert [part.count for part in parts] == [1, 2, 3, 4, 5, 6]
    assert [part.defect for part in parts] == [None, HALO] * 3
    assert seen == parts == at.parts
    assert all(part.is_let_through for part in parts if part.defect is None)
    for part, after in pairwise(parts):
        assert part.ended_mono_s == after.triggered_mono_s
        assert after.triggered_mono_s - part.triggered_mono_s >= SPACING_S - 0.001


async def test_a_pass_that_stands_into_the_next_interval_lets_the_next_part_through(camera: ZipperCamera) -> None:
    async with (
        line(camera) as (at, controller, remote_io),
        agent(controller, remote_io, lambda count: b"\x01" if count == 1 else b"\x02"),
    ):
        parts = await taken(at, 3)

    assert [part.is_let_through for part in parts] == [True, True, False]
    assert [part.is_escape for part in parts] == [False, True, False]


async def test_an_agent_that_says_nothing_lets_nothing_through(camera: ZipperCamera) -> None:
    async with line(camera) as (at, _, __):
        parts = await taken(at, 3)

    assert not any(part.is_let_through for part in parts)


async def test_a_part_that_was_not_imaged_has_no_count_and_its_faults_are_named(camera: ZipperCamera) -> None:
    plan = FaultPlan.of({1: Fault.LOST_IMAGE, 2: Fault.REFUSED_TRIGGER})
    async with line(camera, faults=plan) as (at, _, __):
        parts = await taken(at, 3)

    assert [part.count for part in parts] == [1, None, 2]
    assert [part.faults for part in parts] == [frozenset((Fault.LOST_IMAGE,)), frozenset(), frozenset()]


async def test_the_part_present_input_rises_and_falls_with_each_part(camera: ZipperCamera) -> None:
    async with line(camera, trigger="input", part_present_input=2) as (at, controller, remote_io):

        async def trigger_on_rising_edge() -> None:
            async with connected(remote_io.port) as inputs, connected(controller.port) as commands:
                was_present = False
                while True:
                    is_present = await inputs.modbus(bytes.fromhex("02 0002 0001")) == bytes.fromhex("02 01 01")
                    if is_present and not was_present:
                        await commands.ask("T1")
                    was_present = is_present
                    await asyncio.sleep(0.002)

        task = asyncio.create_task(trigger_on_rising_edge())
        await until(lambda: controller.connections and remote_io.connections)
        parts = await taken(at, 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert [part.count for part in parts] == [1, 2, 3]
    assert {shot.trigger for shot in controller.imaged} == {"T1"}


async def test_an_agent_that_triggers_by_its_own_clock_finds_the_next_part_each_time(camera: ZipperCamera) -> None:
    async with line(camera, trigger="agent") as (at, controller, _):

        async def trigger_by_clock() -> None:
            async with connected(controller.port) as commands:
                while True:
                    await commands.ask("T1")
                    await asyncio.sleep(SPACING_S)

        task = asyncio.create_task(trigger_by_clock())
        parts = await taken(at, 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert [part.index for part in parts] == [1, 2, 3]
    assert all(part.count is not None for part in parts)


async def test_waiting_for_ready_ends_with_the_ready_output_or_in_time(camera: ZipperCamera) -> None:
    async with line(camera) as (at, _, remote_io):
        with pytest.raises(TimeoutError):
            await at.wait_ready(0.02)
        async with connected(remote_io.port) as coils:
            await coils.modbus(bytes.fromhex("0F 0000 0004 01 06"))
            await at.wait_ready(3.0)


def test_rendered_parts_depend_on_their_number_alone(camera: ZipperCamera) -> None:
    one, other = RenderedParts(camera, seed=4), RenderedParts(camera, seed=4)
    other.part(1)

    assert one.part(3) == other.part(3) != RenderedParts(camera, seed=5).part(3)
    assert one.part(3).defect is None
    with pytest.raises(ValueError, match="None is a good one"):
        RenderedParts(camera, defects=())


def test_recorded_parts_come_in_order_over_and_over(tmp_path: Path) -> None:
    files = [tmp_path / "a.bmp", tmp_path / "b.BMP"]
    for shade, file in enumerate(files, 1):
        file.write_bytes(encode_bmp(np.full((4, 4), shade, np.uint8)))
    source = RecordedParts(files)

    assert [source.part(index).name for index in (1, 2, 3)] == ["a.bmp", "b.BMP", "a.bmp"]
    assert source.part(2).image == files[1].read_bytes()
    with pytest.raises(ValueError, match="none"):
        RecordedParts([])
    with pytest.raises(ValueError, match=r"notes\.txt"):
        RecordedParts([tmp_path / "notes.txt"])


def test_parts_cannot_stand_on_top_of_each_other(camera: ZipperCamera) -> None:
    with pytest.raises(ValueError, match="one after the other"):
        SimulatedLine(RenderedParts(camera), SimulatedController(), SimulatedRemoteIo(), spacing_s=0.0)

"""Images one behind the other in two steps, cameras side by side, and the watch over each of them."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from typing import TYPE_CHECKING

import pytest

from drivers.base import Verdict
from drivers.timing import monotonic_s
from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.runtime.lanes import Lane
from tests.unit.test_runtime_engine import line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

WITHIN_S = 5.0


class Steps:
    """Notes each step of each image, and lets it end only when the test says so."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self._may: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def may(self, *steps: str) -> None:
        """Let these steps end."""
        for step in steps:
            self._event(step).set()

    def step(self, name: str) -> str:
        """A step of an image."""
        self.noted.append(name)
        assert self._event(name).wait(WITHIN_S), name
        return name

    def _event(self, name: str) -> threading.Event:
        with self._lock:
            return self._may.setdefault(name, threading.Event())

    async def until(self, *steps: str) -> None:
        """All of these have begun."""
        async with asyncio.timeout(WITHIN_S):
            while not set(steps) <= set(self.noted):
                await asyncio.sleep(0.002)


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    made = Lane("test")
    yield made
    made.close()


def put(
    lane: Lane, steps: Steps, name: str, is_worth_it: Callable[[], bool] = lambda: True
) -> asyncio.Task[str | None]:
    work = lane.inspect(
        is_worth_it, lambda: steps.step(f"prepare {name}"), lambda prepared: steps.step(f"judge {prepared[8:]}")
    )
    return asyncio.create_task(work)


async def test_the_next_image_is_prepared_while_this_one_is_judged_and_no_more_than_that_one(lane: Lane) -> None:
    steps = Steps()
    steps.may("prepare a", "prepare b", "prepare c")
    found = [put(lane, steps, name) for name in "abc"]
    await steps.until("judge a", "prepare b")
    await asyncio.sleep(0.05)
    assert set(steps.noted) == {"prepare a", "judge a", "prepare b"}, "the third would be one more in memory"
    steps.may("judge a")
    await steps.until("judge b", "prepare c")
    steps.may("judge b", "judge c")

    assert await asyncio.gather(*found) == ["judge a", "judge b", "judge c"]
    assert [step for step in steps.noted if step.startswith("judge")] == ["judge a", "judge b", "judge c"]


async def test_before_each_step_it_is_asked_whether_it_is_still_worth_it(lane: Lane) -> None:
    steps, is_worth_it = Steps(), True
    steps.may("prepare a", "prepare b")
    first = put(lane, steps, "a")
    await steps.until("judge a")
    second = put(lane, steps, "b", lambda: is_worth_it)
    third = put(lane, steps, "c", lambda: is_worth_it)
    await steps.until("prepare b")
    is_worth_it = False
    steps.may("judge a", "judge d", "prepare d")
    fourth = put(lane, steps, "d")

    assert await asyncio.gather(first, second, third, fourth) == ["judge a", None, None, "judge d"]
    assert sorted(steps.noted) == ["judge a", "judge d", "prepare a", "prepare b", "prepare d"]


@pytest.mark.parametrize("fails", ["prepare a", "judge a"])
async def test_a_step_that_fails_is_told_and_keeps_no_other_image_from_its_turn(lane: Lane, fails: str) -> None:
    steps = Steps()
    steps.may("prepare a", "judge a", "prepare b", "judge b")

    def step(name: str) -> str:
        if name == fails:
            raise ValueError(name)
        return steps.step(name)

    first = asyncio.create_task(lane.inspect(lambda: True, lambda: step("prepare a"), lambda _: step("judge a")))
    second = put(lane, steps, "b")
    with pytest.raises(ValueError, match=fails):
        await first

    assert await second == "judge b"


@pytest.mark.parametrize("at", ["prepare a", "judge a"])
async def test_an_image_that_is_given_up_keeps_no_other_from_its_turn(lane: Lane, at: str) -> None:
    steps = Steps()
    steps.may("prepare b", "judge b", *(["prepare a"] if at == "judge a" else []))
    first, second = put(lane, steps, "a"), put(lane, steps, "b")
    await steps.until(at)
    first.cancel()
    await asyncio.wait([first])
    steps.may(at)

    assert await second == "judge b"


@pytest.mark.parametrize("at", ["prepare a", "judge a"])
async def test_how_long_a_step_has_been_running_is_told_of_the_older_one(lane: Lane, at: str) -> None:
    steps = Steps()
    steps.may(*(["prepare a"] if at == "judge a" else []))
    assert lane.running_s == 0.0
    first = put(lane, steps, "a")
    await steps.until(at)
    begun_s = monotonic_s()
    await asyncio.sleep(0.05)
    assert 0.04 < lane.running_s < monotonic_s() - begun_s + 0.05
    steps.may("prepare a", "judge a")
    await first
    assert lane.running_s == 0.0


# --- in the engine ----------------------------------------------------------------------------------------


class Cameras:
    """Judges two cameras' images; each says when it is at it, and waits for the test."""

    def __init__(self) -> None:
        self.steps = Steps()

    def prepare(self, data: bytes) -> bytes:
        return data

    def judge(self, prepared: bytes, certain: Callable[[], None] | None = None) -> Inspection:
        self.steps.step(prepared.decode())
        return Inspection(Outcome.OK, Reason.OK, 1.0, 2.0, "c0de" + 60 * "0", hashlib.sha256(prepared).hexdigest())


@pytest.mark.parametrize("workers", [1, 2])
async def test_cameras_are_judged_side_by_side_where_there_are_workers_for_it(tmp_path: Path, workers: int) -> None:
    cameras = Cameras()
    async with line(tmp_path, inspector=cameras, cameras=(1, 2), workers=workers, deadline_s=WITHIN_S) as at:
        at.image(1, b"first", camera=1)
        at.image(1, b"second", camera=2)
        at.result(1)
        await cameras.steps.until(*(["first", "second"] if workers == 2 else ["first"]))
        await asyncio.sleep(0.05)
        assert len(cameras.steps.noted) == workers
        cameras.steps.may("first", "second")
        (row,) = await at.rows(1)

    assert row.verdict is Verdict.PASS
    assert [camera.outcome for camera in row.cameras] == [Outcome.OK, Outcome.OK]


@pytest.mark.parametrize("camera", [1, 2])
async def test_an_inspection_that_hangs_in_any_lane_is_noticed(tmp_path: Path, camera: int) -> None:
    cameras = Cameras()
    cameras.steps.may("good")
    async with line(tmp_path, inspector=cameras, cameras=(1, 2), workers=2, deadline_s=0.1) as at:
        at.image(1, b"hangs", camera=camera)
        at.image(1, b"good", camera=3 - camera)
        at.result(1)
        async with asyncio.timeout(WITHIN_S):
            while at.engine.is_ready():
                await asyncio.sleep(0.01)
                at.engine.check()
        cameras.steps.may("hangs")

    assert "does not come back" in str(at.health)

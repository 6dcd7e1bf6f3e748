"""What the page knows now: parts as they come in any order, counters of the shift, colours, pictures, texts."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from drivers.timing import monotonic_s
from edge_agent.domain import Published, Reason, Verdict
from edge_agent.errors import DataError
from edge_agent.feed import current as live_module
from edge_agent.feed.current import Live
from edge_agent.report.heat import heat_colours
from edge_agent.runtime.process import boot_id
from edge_agent.shifts import shift_start
from edge_agent.store.archived import archived_image
from edge_agent.store.journal import Journal
from edge_agent.web.pictures import Busy, Explainer
from edge_agent.web.rows import part_json
from tests.security.web_site import agent_state, part_row, reject_row, web_settings, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


async def until(condition: Callable[[], bool]) -> None:
    begin = monotonic_s()
    while not condition():
        assert monotonic_s() - begin < 10
        await asyncio.sleep(0.01)


@asynccontextmanager
async def following(path: Path) -> AsyncIterator[Live]:
    live = Live(path, ("00:00",))
    task = asyncio.create_task(live.follow())
    try:
        yield live
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_parts_are_counted_once_in_whatever_order_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    now = datetime.now(ZoneInfo("UTC")).isoformat(timespec="milliseconds")
    await written(path, [part_row(n) for n in range(1, 101)])
    journal = Journal.open(path)
    taken: list[int] = []
    async with following(path) as live:
        live.published = lambda part: taken.append(part.row.part_seq)
        await until(lambda: sum(live.total.values()) == 100)
        for number in (103, 101, 102):
            await journal.append(reject_row(number, decided_utc=now))
        await until(lambda: sum(live.total.values()) == 103)
        version, parts = live.newer_than(0)
        assert {101, 102, 103} <= {part.row.part_seq for part in parts}
        assert all(part.publication is None for part in parts if part.row.part_seq > 100)
        for number in (102, 103, 101):
            await journal.publication(number, Published.PUBLISHED, monotonic_s())
        await until(lambda: len(taken) == 3)
        assert sorted(taken) == [101, 102, 103]
        assert sorted(part.row.part_seq for part in live.newer_than(version)[1]) == [101, 102, 103]
        assert live.counters()["REJECT"] == 3
        assert live.counters()["yield"] == 0.0
    journal.close()


async def test_a_new_shift_counts_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.sqlite3"
    await written(path, [part_row(n) for n in range(1, 11)])
    since = "2026-11-23T10:00:06.000+00:00"
    monkeypatch.setattr(live_module, "shift_start", lambda *_: datetime.fromisoformat(since))
    async with following(path) as live:
        await until(lambda: sum(live.shift.values()) == 5)
        since = "2026-11-23T10:00:09.000+00:00"
        await until(lambda: sum(live.shift.values()) == 2)
        assert live.counters()["yield"] == 1.0
        assert sum(live.total.values()) == 10


async def test_an_agent_that_falls_silent_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(tmp_path / "journal.sqlite3", ("00:00",))
    assert "agent" in live.not_ready()
    live.hear(agent_state())
    assert live.not_ready() == {}
    live.hear(agent_state(controller="gone"))
    assert live.not_ready() == {"controller": "gone"}
    live.hear(agent_state().model_copy(update={"state": "FAULT"}))
    assert live.not_ready() == {"line": "FAULT"}
    monkeypatch.setattr(live_module, "_SILENT_AFTER_S", 0.0)
    assert "agent" in live.not_ready()


@pytest.mark.parametrize(
    ("changes", "least_s", "most_s"),
    [
        ({"boot_id": boot_id(), "decided_utc": "2099-01-01T00:00:00.000+00:00"}, 40.0, 60.0),
        ({"boot_id": "of before"}, 86_400.0, 1e10),
        ({"boot_id": "of before", "decided_utc": "2099-01-01T00:00:00.000+00:00"}, 0.0, 60.0),
    ],
)
async def test_a_part_is_as_old_as_the_steady_clock_says(
    tmp_path: Path, changes: dict[str, str], least_s: float, most_s: float
) -> None:
    """Whatever became of the date since then: a clock that was set must not make a verdict new."""
    path = tmp_path / "journal.sqlite3"
    await written(path, [part_row(7, decided_mono_s=monotonic_s() - 40.0, **changes)])
    async with following(path) as live:
        assert live.newest() is None
        await until(lambda: bool(live.parts))
        first, begin = live.newest(), monotonic_s()
        assert first is not None
        assert first["part_seq"] == 7
        assert least_s <= first["ago_s"] <= most_s
        await until(lambda: monotonic_s() - begin > 0.3)
        later = live.newest()
        assert later is not None
        assert later["ago_s"] > first["ago_s"], "it gets older"


async def test_how_long_ago_the_journal_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    await written(path, [part_row(1)])
    async with following(path) as live:
        await until(lambda: bool(live.parts))
        assert live.looked_ago_s < 1.0
    stopped = live.looked_ago_s
    await until(lambda: live.looked_ago_s > stopped + 0.2)


@pytest.mark.parametrize(
    ("verdict", "reason", "cameras", "decided_by"),
    [
        ("PASS", Reason.OK, {1: (Reason.OK, 0.2), 2: (Reason.OK, 0.9)}, 2),
        ("REJECT", Reason.SCORE, {1: (Reason.SCORE, 3.0), 2: (Reason.OK, 0.9)}, 1),
        ("REJECT", Reason.SCORE, {1: (Reason.SCORE, 1.6), 2: (Reason.SCORE, 4.0)}, 2),
        ("REJECT", Reason.ALIGN, {1: (Reason.SCORE, 9.0), 2: (Reason.ALIGN, None)}, 2),
        ("REJECT", Reason.LATE, {1: (Reason.OK, 0.2), 2: (Reason.OK, 0.9)}, 2),
        ("PASS", Reason.BYPASS, {1: (Reason.OK, 0.2), 2: (Reason.SCORE, 4.0)}, 2),
        ("FAULT", Reason.NO_ANSWER, {}, None),
    ],
)
def test_the_camera_that_decided(
    verdict: str, reason: Reason, cameras: dict[int, tuple[Reason, float | None]], decided_by: int | None
) -> None:
    (one,) = part_row().cameras
    rows = tuple(
        replace(one, camera=number, reason=why, score=score, shares={"native": number})
        for number, (why, score) in cameras.items()
    )
    told = part_json(part_row(verdict=Verdict(verdict), reason=reason, cameras=rows), None)

    assert told["decided_by"] == decided_by
    assert told["shares"] == ({} if decided_by is None else {"native": decided_by})
    assert [seen["camera"] for seen in told["seen_by"]] == list(cameras)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-24T05:59:59", "2026-11-23T21:00:00+00:00"),
        ("2026-11-24T06:00:00", "2026-11-24T05:00:00+00:00"),
        ("2026-11-24T23:30:00", "2026-11-24T21:00:00+00:00"),
        ("2026-11-24T00:10:00", "2026-11-23T21:00:00+00:00"),
        ("2026-10-25T05:00:00", "2026-10-24T20:00:00+00:00"),  # the clock went back in this shift
    ],
)
def test_a_shift_begins_by_the_clock_on_the_wall(monkeypatch: pytest.MonkeyPatch, now: str, expected: str) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        local = datetime.fromisoformat(now).astimezone()
        assert shift_start(local, ("06:00", "14:00", "22:00")).isoformat() == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_colour_depends_on_the_heat_there_alone() -> None:
    heat = np.array([[0.0, 0.5, 0.999, 1.0, 1.5, 9.0]], np.float32)
    whole = heat_colours(np.vstack([heat, heat * 0 + 50]))
    alone = heat_colours(heat)

    assert np.array_equal(whole[:1], alone)
    assert alone[0, 0, 3] == 0
    below, at = alone[0, 2].astype(int), alone[0, 3].astype(int)
    assert np.abs(at - alone[0, 4].astype(int)).max() > 0
    assert (np.diff(alone[0, :, 3].astype(int)) >= 0).all()
    assert np.abs(at - below).max() > 20  # the limit is an edge that is seen


def test_heat_that_is_no_number_is_shown_in_a_colour_of_its_own() -> None:
    heat = np.array([[np.nan, 0.0, 3.0]], np.float32)
    colours = heat_colours(heat)[0]

    assert colours[0].tolist() == [0, 200, 0, 200]
    assert colours[1].tolist() != colours[0].tolist() != colours[2].tolist()


async def test_an_image_is_found_by_what_the_journal_says_of_it_also_after_midnight(tmp_path: Path) -> None:
    row = part_row(7)
    camera = row.cameras[0]
    with pytest.raises(DataError, match="not in the archive"):
        archived_image(tmp_path, row, camera)
    folder = tmp_path / "2026-11-24"
    folder.mkdir()
    (folder / f"part_000000000007_CAM1_PASS_{camera.image_sha256[:8]}.bmp").write_bytes(b"x")
    (folder / "part_000000000007_CAM2_PASS_00000000.bmp").write_bytes(b"y")

    assert archived_image(tmp_path, row, camera).read_bytes() == b"x"


async def test_an_archived_file_that_was_changed_is_said(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    row = part_row(7)
    camera = replace(row.cameras[0], image_sha256=hashlib.sha256(b"judged").hexdigest())
    folder = settings.store.archive / "2026-11-23"
    folder.mkdir(parents=True)
    (folder / f"part_000000000007_CAM1_PASS_{camera.image_sha256[:8]}.bmp").write_bytes(b"changed")
    explainer = Explainer(settings)
    try:
        with pytest.raises(DataError, match="not the image that was judged"):
            await explainer.explain(row, camera)
    finally:
        explainer.close()


async def test_more_pictures_than_one_worker_makes_are_refused_and_not_queued(tmp_path: Path) -> None:
    explainer = Explainer(web_settings(tmp_path))
    rows = [part_row(n) for n in range(1, 30)]
    try:
        asked = await asyncio.gather(*(explainer.explain(r, r.cameras[0]) for r in rows), return_exceptions=True)
    finally:
        explainer.close()

    assert sum(isinstance(err, Busy) for err in asked) == 23
    assert sum(isinstance(err, DataError) for err in asked) == 6

"""The charts out of a real journal: the same after every restart, on the page, in the metrics, in the shift report."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.drift import from_journal
from edge_agent.drift.chart import Change
from edge_agent.drift.charts import LEARNED_FROM, Standing
from edge_agent.drift.from_journal import DriftWatch, known_of
from edge_agent.drift.traces import Bin, Trace, traces
from edge_agent.drift.usual import Usual
from edge_agent.errors import DataError
from edge_agent.inspection.bundle.manifest import MANIFEST as MANIFEST_FILE
from edge_agent.report.drift import began_in, drift_charts, drift_rows
from edge_agent.store.search import JournalSearch
from edge_agent.tools.line_status import line_status
from tests.security.web_site import served, web_settings, written
from tests.unit.drift_rows import drifting

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge_agent.settings import Settings
    from edge_agent.store.rows import PartRow

TOLD = {
    "state": "READY",
    "health": "healthy",
    "degraded": {},
    "bypass": None,
    "archive": {},
    "simulated": False,
    "dry_run": False,
}


def recent(rows: Iterable[PartRow]) -> list[PartRow]:
    """The same parts, the newest of them now."""
    found = list(rows)
    off = datetime.now(UTC) - datetime.fromisoformat(found[-1].decided_utc)
    return [
        replace(row, decided_utc=(datetime.fromisoformat(row.decided_utc) + off).isoformat(timespec="milliseconds"))
        for row in found
    ]


def line(folder: Path, rows: Iterable[PartRow]) -> Settings:
    settings = web_settings(folder)
    asyncio.run(written(settings.store.journal, list(rows)))
    return settings


def darker() -> list[PartRow]:
    return [*drifting(LEARNED_FROM + 40), *drifting(60, first=LEARNED_FROM + 41, brightness=-0.4)]


def test_a_journal_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        DriftWatch(web_settings(tmp_path)).look()


def test_a_line_without_a_part_has_no_charts(tmp_path: Path) -> None:
    watch = DriftWatch(line(tmp_path, []))
    watch.look()

    assert (watch.standing, watch.words) == ((), "")


def test_a_manifest_that_was_altered_says_nothing_and_stops_nobody(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    (tmp_path / "bundle").mkdir()
    for content in ("", "{", '{"id": "x"}', json.dumps({"schema_version": 2, "id": "bundle", "usual": {"score": 1}})):
        (tmp_path / "bundle" / MANIFEST_FILE).write_text(content)
        assert known_of(settings, 1, "bundle").usual == {}
    assert known_of(settings, 9, "bundle").usual == {}


def test_a_restart_finds_what_stood_before_it(tmp_path: Path) -> None:
    rows = darker()
    settings = web_settings(tmp_path)
    asyncio.run(written(settings.store.journal, rows[:280]))
    watch = DriftWatch(settings)
    assert watch.look()
    assert not watch.look()
    before = watch.words

    restarted = DriftWatch(settings)
    restarted.look()
    assert before == restarted.words
    assert "darker since" in before
    assert watch.standing == restarted.standing


def test_what_comes_is_taken_once_and_in_any_order(tmp_path: Path) -> None:
    rows = darker()
    settings = web_settings(tmp_path)
    asyncio.run(written(settings.store.journal, rows[:100]))
    watch = DriftWatch(settings)
    watch.look()
    late = [*rows[100:150], *rows[151:]]
    asyncio.run(written(settings.store.journal, late))
    watch.look()
    asyncio.run(written(settings.store.journal, []))
    all_at_once = web_settings(tmp_path / "other") if (tmp_path / "other").mkdir() is None else settings
    asyncio.run(written(all_at_once.store.journal, [*rows[:150], *rows[151:]]))
    whole = DriftWatch(all_at_once)
    whole.look()

    assert watch.standing == whole.standing


def test_what_is_usual_is_learned_from_the_first_parts_also_where_they_are_long_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = line(tmp_path, darker())
    whole = DriftWatch(settings)
    whole.look()
    monkeypatch.setattr(from_journal, "WARMED_BY", 80)
    newest = DriftWatch(settings)
    newest.look()

    usual = {one.quantity: one.usual for one in newest.standing}
    assert usual == {one.quantity: one.usual for one in whole.standing}
    assert "darker" in newest.words


def test_status_tells_the_change_and_is_not_well(tmp_path: Path) -> None:
    status = line_status(line(tmp_path, darker()), TOLD)

    assert "darker since" in status.degraded["drift"]
    assert not status.is_well


def test_the_charts_of_a_time_have_limits_a_mean_and_the_place_of_the_change(tmp_path: Path) -> None:
    settings = line(tmp_path, darker())
    with JournalSearch.open(settings.store.journal) as journal:
        found = {one.standing.quantity: one for one in traces(settings, journal, 1, journal.newest_seq())}
    light = found["brightness"]

    assert light.unit == "room"
    assert light.low is not None
    assert light.high is not None
    assert light.now is not None
    assert light.now < light.low < light.usual < light.high  # type: ignore[operator]
    assert light.bins[0].mean == pytest.approx(light.usual, abs=3)
    assert light.bins[-1].mean < light.low
    assert "darker" in light.words
    rows = drift_rows(list(found.values()))
    assert [row.has_changed for row in rows] == [True, *[False] * (len(rows) - 1)]
    assert drift_charts(list(found.values()))[0][1].light_uri.startswith("data:image/svg+xml")


@pytest.mark.parametrize(("utc", "number"), [("09", 1), ("10", 1), ("11", 1), ("12", 2), ("13", 2), ("19", 3)])
def test_a_change_stands_where_its_part_is_drawn(utc: str, number: int) -> None:
    def at(hour: str) -> str:
        return f"2026-11-24T{hour}:00:00.000+00:00"

    change = Change(at(utc), 1, is_sudden=True, rule="EWMA", told_utc=at("20"), told_seq=2)
    stands = Standing(1, "bundle", "brightness", Usual(0.0, 1.0, 40), 0, 1.0, 3.0, 1.0, change)
    bins = tuple(Bin(at(hour), 0.0, 1.0, 0.5, 0) for hour in ("10", "12", "14"))

    assert began_in(Trace(stands, "room", 0.0, -1.0, 1.0, 1.0, bins)) == number
    assert began_in(Trace(replace(stands, change=None), "room", 0.0, -1.0, 1.0, 1.0, bins)) is None


async def test_the_page_and_the_metrics_show_it_and_it_goes_when_it_is_back(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    rows = recent([*darker(), *drifting(100, first=301)])
    await written(settings.store.journal, rows[:300])
    async with served(settings) as at:
        await _until(at, lambda degraded: "darker" in degraded.get("drift", ""))
        answer = await at.ask("/api/drift?hours=1")
        assert answer.status == 200
        light = next(one for one in answer.json["charts"] if one["quantity"] == "brightness")
        assert light["title"] == "Brightness"
        assert light["change"]["since_seq"] in range(238, 245)
        assert "darker" in light["change"]["words"]
        assert 60 <= len(light["bins"]) <= 120
        german = await at.ask("/api/drift?hours=1", headers={"cookie": "language=de"})
        assert "dunkler" in german.body.decode()
        text = (await at.ask("/metrics")).body.decode()
        assert 'edge_agent_drift_alarm{camera="1",quantity="brightness"} 1.0' in text
        assert 'edge_agent_drift_alarm{camera="1",quantity="score"} 0.0' in text
        assert 'edge_agent_degraded{reason="drift"} 1.0' in text
        await written(settings.store.journal, rows[300:])
        await _until(at, lambda degraded: "drift" not in degraded)


@pytest.mark.parametrize("query", ["hours=0", "hours=-1", "hours=nan", "hours=1e9", "hours=x", "days=1"])
async def test_a_time_that_cannot_be_is_refused_in_words(tmp_path: Path, query: str) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, list(drifting(3)))
    async with served(settings) as at:
        answer = await at.ask(f"/api/drift?{query}")

    assert answer.status == 400
    assert answer.body.startswith((b"hours: ", b"days: "))


async def _until(at: Any, holds: Any) -> None:
    async with asyncio.timeout(30):
        while not holds(at.site.measured.degraded()):
            await asyncio.sleep(0.05)

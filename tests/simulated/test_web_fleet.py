"""The fleet's page in a real Chromium: what the wall says of each line, narrow and wide, and a server that is gone."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.fleet.database import open_database
from edge_agent.fleet.promoting import Wish, begin
from edge_agent.fleet.serving import wall_key
from edge_agent.fleet_line.messages import JudgingBundle, KnownParts, OfferTaken, ShadowCounts
from tests.fleet import AnyLine, Fleet
from tests.simulated.browser import CHROMIUM, browser

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
OLD, NEW = "ab12cd34" * 8, "b0b0cafe" * 8
TEXT = "document.body.innerText"
NO_WORDS_FROM_LINES = "<b>not bold</b>"

_NONE = KnownParts(of=0, wrong=0, wrong_before=0)
_SHADOW = ShadowCounts(
    bundle_id=NEW, program=1, camera=1, parts=131, to_reject=2, to_pass=1, not_comparable=0, good=_NONE, bad=_NONE
)
_REFUSED = OfferTaken(promotion_id=1, stage="shadow", how="refused", why="signed by nobody whom this line trusts")
SAYS: dict[int, dict[str, Any]] = {
    1: {"shadow": _SHADOW},
    2: {"state": "FAULT", "why_not": {"controller": f"no link to 192.168.10.10:8500 {NO_WORDS_FROM_LINES}"}},
    3: {"drift": "camera 1: the images have become darker, 71 % of the way to where every part is rejected"},
    4: {"bypass": "A. Weber answers for the parts until 14:30: the lamp is being exchanged"},
    5: {"at_utc": "2026-11-29T09:00:00.000+00:00"},
    6: {"simulated": True, "dry_run": True},
    7: {"offers": (_REFUSED,), "aside": 3, "behind": 4000},
}


def tell(lines: list[AnyLine]) -> None:
    """Every line but the eighth says how it stands."""
    for number, line in enumerate(lines, 1):
        if number != 8:
            place = JudgingBundle(program=1, camera=1, bundle_id=OLD, chosen_id=NEW if number == 9 else OLD)
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line.tell(**({"at_utc": now, "bundles": (place,)} | SAYS.get(number, {})))


def filled(folder: Path, fleet: Fleet, number: int) -> list[AnyLine]:
    """So many lines with parts, two of them with words of people, and a bundle that is promoted."""
    lines = []
    for one in range(1, number + 1):
        line = AnyLine(folder / f"line-{one}", fleet, f"Line {one}")
        line.join()
        lines.append(line)
        if one != 8:
            assert fleet.post("/line/rows", json.dumps(_rows(one)).encode(), line.secret) == 204
    tell(lines)
    engine = open_database(fleet.folder)
    with engine.begin() as connection:
        begin(connection, Wish(NEW, "zipper cursor", 1, 1, "Line 1", False), by="A. Weber (engineer)", why="a new lot")
    engine.dispose()
    tell(lines)
    return lines


def _rows(number: int) -> dict[str, Any]:
    parts = [
        {
            "journal": "0" * 32,
            "part_seq": seq,
            "decided_utc": "2026-11-30T10:00:00.000+00:00",
            "verdict": "REJECT" if seq % (20 + number) == 3 else "PASS",
            "reason": "SCORE",
            "bundle_id": OLD,
        }
        for seq in range(1, 300 + 13 * number)
    ]
    said = json.dumps({"part_seq": 3, "says": "ESCAPE" if number % 2 else "OVERTURNED"})
    review = {"journal": "0" * 32, "event_id": 1, "kind": "REVIEW", "detail": said, "at_utc": "x"}
    return {"schema_version": 1, "parts": parts[:1000], "events": [review] if number in (9, 10) else []}


async def test_the_wall_says_of_each_line_how_it_stands(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet")
    await asyncio.to_thread(fleet.start)
    try:
        lines = await asyncio.to_thread(filled, tmp_path, fleet, 12)
        async with browser(f"{fleet.url}/?key={wall_key(fleet.folder)}") as tab:
            await tab.until(f"{TEXT}.includes('in shadow on the first line')")
            await asyncio.to_thread(tell, lines)
            await tab.until(f"{TEXT}.includes('10 ready')")
            text = str(await tab.evaluate(TEXT))
            for words in (
                "1 not ready",
                "1 silent",
                NO_WORDS_FROM_LINES,
                "A person answers for the parts: A. Weber",
                "Clock is off",
                "simulated · dry run",
                "Offered bundle not taken: signed by nobody",
                "candidate b0b0cafe: 131 parts, rejects 2 more, passes 1 less".replace("1 less", "1 more"),
                "ab12cd34 → b0b0cafe",
            ):
                assert words in text, (words, text)
            for width in (1280, 1024, 390):
                await tab.resize(width, 900)
                assert await tab.evaluate(
                    "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
                )
            assert fleet.post("/", b"", "") == 405, "the page is only read"
            assert not tab.said
            fleet.kill()
            await tab.until("!document.getElementById('lost').hidden")
    finally:
        if fleet.process is not None and fleet.process.poll() is None:
            fleet.kill()


async def test_a_part_is_on_the_page_within_a_second(tmp_path: Path) -> None:
    """On a machine with nothing else to do; here it is asked that it comes, and how soon is the benchmark's matter."""
    fleet = Fleet(tmp_path / "fleet")
    await asyncio.to_thread(fleet.start)
    try:
        line = AnyLine(tmp_path / "line-1", fleet, "Line 1")
        await asyncio.to_thread(line.join)
        await asyncio.to_thread(line.tell)
        async with browser(f"{fleet.url}/?key={wall_key(fleet.folder)}") as tab:
            await tab.until("document.querySelectorAll('.line').length === 1")
            await asyncio.to_thread(fleet.post, "/line/rows", json.dumps(_rows(1)).encode(), line.secret)
            await tab.until("document.querySelector('.numbers dd').textContent.startsWith('312')")
    finally:
        fleet.kill()

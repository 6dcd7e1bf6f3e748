"""The page's view of a candidate bundle, in a real Chromium: counts, known parts, flips, and no candidate at all."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Outcome
from edge_agent.store.position import Position
from edge_agent.store.reader import JournalReader
from edge_agent.store.shadow import Candidate, ShadowFile, ShadowResult, What, now_utc
from tests.security.web_site import served, web_settings
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.looking_back_site import CONFIRMED, ESCAPE, OVERTURNED, looked_back, write_line
from tests.simulated.test_web_access import _AXE, _WIDER_THAN_THE_SCREEN, SCREENS

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.rows import PartRow

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
TEXT = "document.getElementById('shadow').innerText"


def judged(row: PartRow) -> ShadowResult:
    """The candidate lets every third reject pass, and rejects every seventh pass; part 33 was left out."""
    camera = row.cameras[0]
    would = camera.score or 0.0
    if camera.outcome is not Outcome.OK and row.part_seq % 3 == 2:
        would = 0.9
    elif row.part_seq % 7 == 0:
        would = 1.8
    result = ShadowResult(
        row.part_seq, What.JUDGED, row.decided_utc, now_utc(), "bundle", camera.score, camera.limit, camera.outcome
    )
    if row.part_seq == 33:
        return replace(result, what=What.SKIPPED)
    outcome = Outcome.OK if would < 1.5 else Outcome.NG
    reason = "OK" if outcome is Outcome.OK else "SCORE"
    return replace(result, score=would, limit=1.5, outcome=outcome, reason=reason, took_ms=61.5)


def write_shadow(journal: Path) -> None:
    """What a candidate said of all parts of that line."""
    file = ShadowFile.open(journal, to_write=True)
    assert file is not None
    with file, JournalReader.open(journal) as reader:
        shadow = file.begin(Candidate(3, 1, "/b/new", "c0ffee" * 10, 1.5, "Ada", "a <b>new</b> lot"), Position("", 0))
        file.add(shadow, [judged(row) for row in reader.rows() if row.cameras], Position("", 1))
        file.say_problem(shadow, "")


async def test_the_view_says_where_the_two_differ_and_who_was_right(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await write_line(settings)
    write_shadow(settings.store.journal)
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/#shadow") as tab:
        await tab.until("document.querySelectorAll('#flips li').length > 3")
        text = str(await tab.evaluate(TEXT))
        assert "128 parts compared" in text
        assert "a <b>new</b> lot" in text, "whatever a person wrote is text"
        assert "left out: the candidate is slower than the line" in text
        assert "good parts: the candidate rejects 1 of 1 (1 today)" in text
        assert await tab.evaluate("document.querySelectorAll('#scatter circle').length") > 90
        assert await tab.evaluate("document.querySelectorAll('#scatter path').length") > 3
        assert await tab.evaluate("document.querySelector('#flips a').hash.startsWith('#part/')")
        shown = str(await tab.evaluate("document.getElementById('shadow').innerHTML"))
        assert all(f'href="#part/{seq}"' in shown for seq in (CONFIRMED, ESCAPE, OVERTURNED))
        assert "2 known defects would pass by the candidate." in text
        assert "defective parts: the candidate passes 2 of 2 (1 today)" in text
        await tab.evaluate(f"{files('axe_core_python').joinpath('axe.min.js').read_text(encoding='utf-8')}; undefined")
        for width, height in SCREENS:
            await tab.resize(width, height)
            for dark in (False, True):
                await tab.look(dark=dark)
                assert await tab.evaluate(_AXE) == [], f"{width} px, dark: {dark}"
                assert not await tab.evaluate(_WIDER_THAN_THE_SCREEN)
        # Images of some of these parts are not in the archive any more.
        assert [one for one in tab.said if "/thumbnail" not in one] == []


async def test_without_a_candidate_it_says_how_to_begin_one(tmp_path: Path) -> None:
    async with looked_back(tmp_path, "#shadow", parts=3) as (tab, at):
        await tab.until(f"{TEXT}.includes('edge-agent shadow begin FOLDER')")
        assert (await at.ask("/api/shadow")).json == {"schema_version": 1, "shadow": None}

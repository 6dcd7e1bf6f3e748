"""The view of what a line learned in a real browser: what is worse stands out, and nothing from outside is markup."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.store.journal import Journal
from tests.security.web_site import served, web_settings
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.test_web_samples import looked_at

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings
    from tests.simulated.browser import Browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

HOSTILE = "<img src=x onerror=alert(1)>"
PLACE = {"schema_version": 1, "program": 1, "camera": 1, "parent": "ab" * 32, "by": "Quinn", "why": HOSTILE}
BEGUN = {**PLACE, "what": "begun", "added": 12, "defects": 3}
FIGURES = [
    {"name": "score of the weakest known defect, times the limit", "before": "2.744", "after": "1.81", "worse": True},
    {"name": "limit", "before": "1.5", "after": "1.62", "worse": True},
    {"name": "known defects found", "before": "3 / 3", "after": "3 / 3", "worse": False},
    {"name": HOSTILE, "before": "1", "after": "1", "worse": False},
]
ENDED = {
    "added": 12,
    "defects": 3,
    "own_good": [11, 12],
    "people": {"A. Weber": 8, "B. Roth": 4},
    "figures": FIGURES,
    "hours": 24.0,
    "sides": {"both_pass": 940, "both_reject": 31, "to_reject": 2, "to_pass": 12},
}
OFFERED = {**PLACE, **ENDED, "what": "offered", "bundle_id": "cd" * 32, "worse": ["limit", "x"], "lost": []}
REFUSED = {**PLACE, **ENDED, "what": "refused", "bundle_id": "", "worse": ["limit", "x"], "lost": [45, 71]}
BROKEN_OFF = {**PLACE, "what": "broken off", "problem": "No space left on device"}
OLDER = {**PLACE, "what": "offered", "bundle_id": "cd" * 32, "worse": ["limit"], "lost": []}
_TEXT = "document.getElementById('learning').innerText"


async def line_that_learned(folder: Path, *told: dict[str, Any] | str) -> Settings:
    """A journal with these records of learning, oldest first."""
    settings = web_settings(folder)
    journal = Journal.open(settings.store.journal)
    try:
        for one in told:
            await journal.event("LEARN", one if isinstance(one, str) else json.dumps(one))
    finally:
        journal.close()
    return settings


async def shown(tab: Browser) -> str:
    """The view's text once it is there."""
    await tab.until(f"!document.getElementById('learning').hidden && !{_TEXT}.includes('Searching')")
    text: str = await tab.evaluate(_TEXT)
    return text


async def test_what_is_worse_stands_on_top_and_nothing_outside_is_markup(tmp_path: Path) -> None:
    settings = await line_that_learned(tmp_path, BEGUN, REFUSED, BEGUN, OFFERED)
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/#learning", width=1280) as tab:
        text = await shown(tab)

        assert "The new bundle is offered, and 2 figures are worse." in text
        assert "bundle activate --why" in text
        rows = "[...document.querySelectorAll('#learning tbody tr')]"
        assert await tab.evaluate(f"{rows}.map((row) => row.className)") == ["worse", "worse", "", ""]
        assert await tab.evaluate(f"{rows}.map((row) => row.cells[2].textContent)") == ["1.81", "1.62", "3 / 3", "1"]
        assert await tab.evaluate("document.querySelectorAll('#learning img').length") == 0
        assert text.count(HOSTILE) == 2
        assert "called good by A. Weber" in text
        assert "Of the 12 added parts 11 pass by the score of an inspection that had not learned them." in text
        assert await tab.evaluate("document.querySelector('nav a[aria-current]').hash") == "#learning"
        await looked_at(tab, "learning")
        assert tab.said == []


@pytest.mark.parametrize(
    ("told", "says", "not_said"),
    [
        ((), "No bundle learned from this line yet: edge-agent learn propose", "Before and after"),
        ((BEGUN,), "A learning goes on since ", "Before and after"),
        ((OFFERED, BEGUN), "A learning goes on since ", "No bundle learned"),
        ((REFUSED,), "Part 71 is a known defect, is found today and would pass by the new bundle.", "is offered, and"),
        ((BROKEN_OFF,), "broken off: No space left on device", "Before and after"),
        ((OLDER,), "Worse than today:", "Before and after"),
        (("[]", '{"what": 7, "figures": {"name": 1}, "own_good": 3, "sides": []}'), "About it", "Before and after"),
    ],
    ids=["none", "the first goes on", "another goes on", "refused", "broken off", "of a version before", "nonsense"],
)
async def test_what_came_of_it_is_said(
    tmp_path: Path, told: tuple[dict[str, Any] | str, ...], says: str, not_said: str
) -> None:
    settings = await line_that_learned(tmp_path, *told)
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/#learning", width=1280) as tab:
        text = await shown(tab)

        assert says.casefold() in text.casefold()
        assert not_said.casefold() not in text.casefold()
        if told == (REFUSED,):
            await looked_at(tab, "learning-refused")
        assert tab.said == []

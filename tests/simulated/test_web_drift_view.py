"""The drift view in a real browser: charts, what has changed first, at every width and in both lights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.security.web_site import served, web_settings, written
from tests.simulated.browser import CHROMIUM, browser
from tests.unit.drift_rows import drifting
from tests.unit.test_drift_journal import recent

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.rows import PartRow

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

_CARDS = "document.querySelectorAll('#driftcharts section')"


def darker() -> list[PartRow]:
    rows = [*drifting(260), *drifting(60, first=261, brightness=-0.4)]
    hostile = replace(rows[0].cameras[0], shares={"<img src=x onerror=alert(1)>": 0.3, "native": 0.3})
    return recent([replace(rows[0], cameras=(hostile,)), *rows[1:]])


async def test_the_change_comes_first_with_its_place_and_every_chart_has_limits(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, darker())
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/#drift", width=1280) as tab:
        await tab.until(f"{_CARDS}.length > 5 && document.querySelector('#driftcharts .has-changed')")

        assert "darker since" in await tab.evaluate("document.getElementById('driftwords').innerText")
        assert await tab.evaluate(f"{_CARDS}[0].classList.contains('has-changed')")
        assert await tab.evaluate(f"{_CARDS}[0].querySelectorAll('line.change').length") == 1
        assert await tab.evaluate(f"{_CARDS}[0].querySelectorAll('line.limit').length") == 2
        assert await tab.evaluate("document.querySelectorAll('#driftcharts img').length") == 0
        assert await tab.evaluate("document.querySelector('nav a[aria-current]').hash") == "#drift"
        for width in (1280, 1024, 390):
            for dark in (False, True):
                await tab.resize(width, 900)
                await tab.look(dark=dark)
                assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.said == []


async def test_a_change_that_began_a_moment_ago_stands_at_the_end_of_the_chart(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    # Behind the 200 from which is learned what is usual, eleven parts are one bar: those that changed are in the last.
    await written(settings.store.journal, recent([*drifting(1400), *drifting(10, first=1401, brightness=-1.0)]))
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/#drift", width=1280) as tab:
        card = "document.querySelector('#driftcharts .has-changed')"
        await tab.until(f"{card}?.querySelectorAll('line.parts').length === 110")

        bars = f"[...{card}.querySelectorAll('line.parts')]"
        assert await tab.evaluate(
            f"{card}.querySelector('line.change').getAttribute('x1') === {bars}.at(-1).getAttribute('x1')"
        )


async def test_a_line_without_parts_says_so(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [])
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/#drift") as tab:
        await tab.until("document.getElementById('driftwords').innerText.includes('No part was judged yet')")

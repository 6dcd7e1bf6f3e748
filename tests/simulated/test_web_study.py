"""The operator's page while a study runs: it says which part to put in, in a real Chromium, and never what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_agent.store.study_asks import Asked, asking
from tests.security.web_site import agent_state, part_row, served, speaking, web_settings, written
from tests.simulated.browser import CHROMIUM, browser

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
BANNER = "document.getElementById('study')"


async def test_the_page_asks_for_the_part_while_the_study_runs(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [part_row(1)])
    async with served(settings) as at, speaking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await tab.until("document.getElementById('line').textContent !== 'edge-agent'")
        assert await tab.evaluate(f"{BANNER}.hidden")
        with asking(settings.store.journal) as ask:
            ask(Asked("17", 43, 150))
            await tab.until(f"!{BANNER}.hidden && {BANNER}.textContent.includes('put part 17 in')")
            assert "(43 of 150)" in str(await tab.evaluate(f"{BANNER}.textContent"))
            await tab.until("document.getElementById('said').textContent.includes('put part 17 in')")
            ask(Asked("<b>2</b>", 43, 150, again=True))
            await tab.until(f"{BANNER}.textContent.includes('put it in once more')")
            assert "put part <b>2</b> in" in str(await tab.evaluate(f"{BANNER}.textContent"))
            assert await tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            await tab.resize(390, 844)
            assert await tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        await tab.until(f"{BANNER}.hidden")

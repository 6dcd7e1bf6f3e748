"""The documents' site in a real browser, opened from the disk as on a line PC without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.simulated.browser import CHROMIUM, browser

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
    pytest.mark.skipif(
        find_spec("mkdocs") is None or find_spec("material") is None,
        reason="MkDocs and its Material theme are not installed: pip install -c constraints.txt -e '.[docs]'",
    ),
]

NO_NETWORK = ("--host-resolver-rules=MAP * ~NOTFOUND",)
"""What is asked of any host fails, and the browser says so in its log."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    return folder


async def test_a_search_finds_pages_without_a_server(site: Path) -> None:
    async with browser((site / "index.html").as_uri(), flags=NO_NETWORK) as tab:
        await tab.until("document.querySelector('[data-md-component=search-query]')")
        await tab.evaluate("document.querySelector('[data-md-component=search-query]').focus()")
        await tab.call("Input.insertText", text="watchdog")
        await tab.until("document.querySelectorAll('.md-search-result__item').length > 3")
        found = await tab.evaluate("[...document.querySelectorAll('.md-search-result__link')].map(one => one.href)")

        assert any("/output-by-hand.html" in address for address in found)
        assert all(address.startswith(site.as_uri()) for address in found)
        assert tab.said == []


@pytest.mark.parametrize("page", ["index", "reference/line-toml", "line-toml-mistakes", "figures", "decisions/index"])
async def test_no_page_is_wider_than_a_phone_and_nothing_is_fetched(site: Path, page: str) -> None:
    async with browser((site / f"{page}.html").as_uri(), width=390, height=844, flags=NO_NETWORK) as tab:
        await tab.until("document.readyState === 'complete' && document.querySelector('article h1')")
        wide = await tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

        assert wide == 0
        assert tab.said == []


async def test_who_reads_in_the_dark_gets_dark_pages(site: Path) -> None:
    async with browser("about:blank") as tab:
        await tab.look(dark=True)
        await tab.call("Page.navigate", url=(site / "promises.html").as_uri())
        await tab.until("document.querySelector('article h1')")

        await tab.until("document.body.dataset.mdColorScheme === 'slate'", within_s=10)

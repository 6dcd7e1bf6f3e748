"""The operator's page in a real Chromium, fed by the real agent on the simulated line."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from edge_agent.store.journal import Journal
from edge_agent.wiring.free_ports import free_port
from tests.security.web_site import served, web_settings
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.line import bad_image, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.browser import Browser

# The page makes way for everything else on the machine: beside other work it is served seconds or minutes later.
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

TOKEN = "0123456789abcdefghij"  # noqa: S105 - of this test alone
_ONE_MORE_PASSES = "document.querySelectorAll('#movedresult strong')[1].textContent.trim() === '1'"


async def test_an_operator_sees_why_looks_back_and_reviews(tmp_path: Path, thumbnail_bundle: Path) -> None:
    port = free_port()
    (tmp_path / "web_token").write_text(TOKEN)
    (tmp_path / "web_token").chmod(0o600)
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        page = f'[web]\nport = {port}\ntoken_file = "web_token"\nshift_starts = ["00:00"]\n'
        at.config.write_text(at.config.read_text() + page)
        await at.start_agent()
        await at.until_ready()
        await until_it_listens(port)
        async with browser(f"http://127.0.0.1:{port}/") as tab:
            await tab.until("document.getElementById('state').textContent === 'READY'")
            await at.controller.wire_trigger(good_image(1))
            await tab.until("document.getElementById('word').textContent === 'PASS'")
            await at.until("the window's end", lambda: not at.remote_io.coils[0])
            await at.controller.wire_trigger(bad_image(1))
            await tab.until("document.getElementById('word').textContent === 'REJECT'")
            assert (
                await tab.evaluate("document.getElementById('why').textContent")
                == "Looks different from the good parts"
            )
            word, room = "document.getElementById('word').scrollWidth", "document.getElementById('verdict').clientWidth"
            assert await tab.evaluate(f"{word} <= {room}")
            await tab.until("document.getElementById('heat').naturalWidth > 0")
            await tab.until("document.querySelectorAll('#shares .over').length > 0")
            await tab.until("document.getElementById('counters').textContent.includes('50.0 %')")
            assert await tab.evaluate("document.querySelectorAll('#links li').length") >= 6
            assert await tab.evaluate("['dryrun', 'degraded', 'lost'].every((b) => document.getElementById(b).hidden)")

            await tab.evaluate("location.hash = '#history'")
            await tab.until("document.querySelectorAll('#rows tbody tr').length === 2")
            await tab.evaluate("document.querySelector('#rows a').click()")
            await tab.until("document.querySelectorAll('#partbody .zoom img').length === 3")
            await tab.until("document.querySelectorAll('#partbody .zoom img')[2].naturalWidth > 0")  # the outline
            await tab.evaluate("document.querySelector('#partbody details summary').click()")
            await tab.until("document.querySelectorAll('#partbody figure img').length === 4")
            await tab.until("[...document.querySelectorAll('#partbody figure img')].every((i) => i.naturalWidth > 0)")

            await _review(tab, by="<img src=x onerror=alert(1)>")
            await tab.until("document.querySelector('#partbody form').textContent.includes('In the journal:')")
            await tab.evaluate("location.hash = '#history'; document.querySelector('#filter button').click()")
            await tab.until("document.getElementById('rows').textContent.includes('onerror')")
            assert await tab.evaluate("document.querySelectorAll('#rows [onerror]').length") == 0

            await tab.evaluate("location.hash = '#whatif'")
            await tab.until("document.querySelector('#moved [name=bundle]').value")
            await tab.evaluate("document.querySelector('#moved [name=limit]').value = 1e6")
            await tab.evaluate("document.querySelector('#moved button').click()")
            await tab.until("document.getElementById('movedwords').textContent.startsWith('Of 2 parts')")
            # The answer to the first question, for the limit in use, may still be on its way.
            await tab.until(f"location.hash.endsWith('1000000') && {_ONE_MORE_PASSES}")
            told = await tab.evaluate(
                "[...document.querySelectorAll('#movedresult :is(strong, dd)')].map((d) => d.textContent.trim())"
            )

            await at.stop_agent()
            await tab.until("!document.getElementById('lost').hidden")
        # Gone with the agent, too many pictures at once, or an image that is on its way: the page asks again.
        asked_again = ("ERR_", "status of 503", "/cameras/")
        complaints = [said for said in tab.said if not any(words in said for words in asked_again)]

    # Passes to reject, rejects to pass, confirmed, overturned, escapes to pass and to reject; reviewed, good ones.
    assert told == ["0", "1", "0", "1", "0", "0", "1", "1"]
    assert complaints == []


async def until_it_listens(port: int) -> None:
    """Somebody answers there."""
    async with asyncio.timeout(120):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


async def _review(tab: Browser, *, by: str) -> None:
    await tab.evaluate(
        f"""(() => {{
          const form = document.querySelector('#partbody form').elements;
          form.by.value = {json.dumps(by)}; form.token.value = {json.dumps(TOKEN)};
          document.querySelector('#partbody form button[value=OVERTURNED]').click();
        }})()"""
    )


async def test_the_view_of_changes_says_who_what_and_why(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    journal = await asyncio.to_thread(Journal.open, settings.store.journal)
    start = {"changed": [{"key": "line.deadline_ms", "old": 700, "new": 900}], "by": "ada", "is_service": False}
    await journal.event("START", json.dumps(start))
    await journal.event("BYPASS", "begins, by <img src=x>, for 900 s: lamp replaced")
    await asyncio.to_thread(journal.close)
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/#changes") as tab:
        await tab.until("document.querySelectorAll('#changerows tr').length === 2")
        newest, first = await tab.evaluate("[...document.querySelectorAll('#changerows tr')].map((r) => r.textContent)")
        images = await tab.evaluate("document.querySelectorAll('#changes img').length")
        current = await tab.evaluate("document.querySelector('nav [aria-current]').textContent")
        await tab.evaluate("document.querySelector('#changed [name=until]').value = '2020-01-01T00:00'")
        await tab.evaluate("document.querySelector('#changed button').click()")
        await tab.until("document.getElementById('changesfound').textContent === 'Nothing was changed.'")
        said = tab.said

    assert "<img src=x>" in newest
    assert "lamp replaced" in newest
    assert "line.deadline_ms: 700 → 900" in first
    assert "agent started with other settings" in first
    assert (images, current) == (0, "Changes")
    assert [words for words in said if "ERR_" not in words] == []

"""The operator's page in a real Chromium, over TLS, below a path, by way of the real nginx, fed by the real agent."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from edge_agent.wiring.free_ports import free_port
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.line import bad_image, line
from tests.simulated.proxy import NGINX, NO_NGINX, nginx

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(NGINX is None, reason=NO_NGINX),
]

TOKEN = "0123456789abcdefghij"  # noqa: S105 - of this test alone
PAGE = """
[web]
port = {port}
names = ["line7.plant.example"]
token_file = "web_token"
shift_starts = ["00:00"]
"""


async def test_an_operator_looks_reviews_and_chooses_a_language_by_way_of_nginx(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    page_port = free_port()
    (tmp_path / "web_token").write_text(TOKEN)
    (tmp_path / "web_token").chmod(0o600)
    async with (
        line(tmp_path, thumbnail_bundle, start=False) as at,
        nginx(tmp_path / "nginx", page_port) as proxy,
    ):
        at.config.write_text(at.config.read_text() + PAGE.format(port=page_port))
        await at.start_agent()
        await at.until_ready(120)
        async with asyncio.timeout(120):
            while (await proxy.ask("/line7/")).status != 200:
                await asyncio.sleep(0.05)
        async with browser(f"https://line7.plant.example:{proxy.port}/line7/", flags=proxy.flags) as tab:
            await tab.until("document.getElementById('state').textContent === 'READY'")
            await at.controller.wire_trigger(bad_image(1))
            await tab.until("document.getElementById('word').textContent === 'REJECT'")
            await tab.until("document.getElementById('heat').naturalWidth > 0")

            await tab.evaluate("location.hash = '#part/1'")
            await tab.until("document.querySelectorAll('#partbody .zoom img').length === 3")
            await tab.until("document.querySelectorAll('#partbody .zoom img')[2].naturalWidth > 0")
            await tab.evaluate(
                f"""(() => {{
                  const form = document.querySelector('#partbody form').elements;
                  form.by.value = 'Ada'; form.token.value = {json.dumps(TOKEN)};
                  document.querySelector('#partbody form button[value=OVERTURNED]').click();
                }})()"""
            )
            await tab.until("document.querySelector('#partbody form').textContent.includes('In the journal:')")

            await tab.evaluate(
                "(() => { const s = document.getElementById('language'); s.value = 'de'; "
                "s.dispatchEvent(new Event('change')); })()"
            )
            await tab.until("document.documentElement.lang === 'de'")
            await tab.until("document.getElementById('state').textContent !== ''")
            cookies = (await tab.call("Network.getAllCookies"))["cookies"]
            # An image that is on its way into the archive is asked for again.
            said = [complaint for complaint in tab.said if "/cameras/" not in complaint]

            # nginx answers 502 for a page that is gone: after that a browser asks for no stream again by itself.
            await at.stop_agent()
            await tab.until("!document.getElementById('lost').hidden")
            async with asyncio.timeout(60):
                while not any("status of 502" in complaint for complaint in tab.said):
                    await tab.evaluate("location.href")  # what it complains of comes with an answer
            await at.start_agent()
            await tab.until("document.getElementById('lost').hidden")
            await tab.until("document.getElementById('state').textContent === 'READY'", within_s=60)

    assert said == []
    assert [(cookie["name"], cookie["value"], cookie["path"]) for cookie in cookies] == [("language", "de", "/line7/")]

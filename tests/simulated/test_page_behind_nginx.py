"""The operator's page in a real Chromium, over TLS, below a path, by way of the real nginx, fed by the real agent."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from edge_agent.store.changes import changes_between
from edge_agent.wiring.free_ports import free_port
from tests.security.people_site import ADA, LIN, PASSWORDS
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.line import bad_image, edge_agent, line
from tests.simulated.proxy import NGINX, NO_NGINX, nginx
from tests.simulated.test_web_people import sign_in

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
            await tab.until("document.getElementById('clock').textContent !== ''")  # the stream has told something
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


async def test_users_sign_for_a_review_and_a_bypass_of_the_real_agent(tmp_path: Path, thumbnail_bundle: Path) -> None:
    """At the page behind nginx and at the terminal; the journal names who, in which role, and its chain holds."""
    page_port = free_port()
    for name, password in PASSWORDS.items():
        (tmp_path / f"{name}.password").write_text(password + "\n")
    config = ("--config", str(tmp_path / "line.toml"))

    async def command(*words: str, user: str = "", new: str = "") -> tuple[int, str]:
        signs = ("--as", user, "--password-file", str(tmp_path / f"{user}.password")) if user else ()
        named = ("--new-password-file", str(tmp_path / f"{new}.password")) if new else ()
        ran = await asyncio.to_thread(edge_agent, *words, *config, *signs, *named)
        return ran.returncode, ran.stdout + ran.stderr

    async with (
        line(tmp_path, thumbnail_bundle, start=False) as at,
        nginx(tmp_path / "nginx", page_port) as proxy,
    ):
        at.config.write_text(at.config.read_text() + PAGE.format(port=page_port).replace("token_file", "#token_file"))
        assert at.config == tmp_path / "line.toml"
        first = await command("users", "add", ADA, "--role", "engineer", new=ADA)
        await at.start_agent()
        await at.until_ready(120)
        # By way of the running agent, which has the journal.
        added = await command("users", "add", LIN, "--role", "operator", user=ADA, new=LIN)
        refused = await command("bypass", "begin", "--why", "lamp", "--yes", user=LIN)
        began = await command("bypass", "begin", "--why", "lamp", "--yes", user=ADA)
        await at.controller.wire_trigger(bad_image(1))
        rows = await at.until_rows(1)
        ended = await command("bypass", "end", user=LIN)
        async with asyncio.timeout(120):
            while (await proxy.ask("/line7/")).status != 200:
                await asyncio.sleep(0.05)
        async with browser(f"https://line7.plant.example:{proxy.port}/line7/#part/1", flags=proxy.flags) as tab:
            await tab.until("document.querySelector('.reviewed a[href=\"#signin\"]')")
            await sign_in(tab, LIN)
            await tab.until("document.querySelector('#partbody form button[value=ESCAPE]')")
            await tab.evaluate("document.querySelector('#partbody form button[value=ESCAPE]').click()")
            await tab.until("document.querySelector('#partbody form').textContent.includes('In the journal:')")
            cookies = (await tab.call("Network.getAllCookies"))["cookies"]
            other = {"method": "POST", "body": json.dumps({"password": PASSWORDS[LIN], "new": "a password of hers"})}
            changed_password = await tab.evaluate(f"fetch('api/password', {json.dumps(other)}).then((a) => a.status)")
        await at.stop_agent()
    verified = await command("journal", "verify")
    changed = changes_between(tmp_path / "journal.sqlite3").found

    assert [code for code, _ in (first, added, refused, began, ended, verified)] == [0, 0, 77, 0, 0, 0]
    assert "Ada (engineer)" in rows[0].detail
    told = [(one.kind, one.by, one.role) for one in changed if one.kind in ("USERS", "BYPASS", "REVIEW")]
    assert told[1:] == [
        ("USERS", ADA, "engineer"),
        ("BYPASS", ADA, "engineer"),
        ("BYPASS", LIN, "operator"),
        ("REVIEW", LIN, "operator"),
        ("USERS", LIN, "operator"),
    ]
    assert changed_password == 200
    (cookie,) = cookies
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (
        "/line7/api",
        True,
        True,
        "Strict",
    )

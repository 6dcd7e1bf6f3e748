"""Users at the page in a real browser: signing in, what each role is offered, two people at one part."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.inspection.bundle.manifest import MANIFEST, encode_manifest, manifest_id
from edge_agent.people.roles import Role
from edge_agent.store.journal import Journal
from tests.security.people_site import ADA, LIN, PASSWORDS, QUINN, Visitor, change, team
from tests.security.web_site import agent_state, served, web_settings
from tests.security.web_site import speaking as talking
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.test_web_access import _AXE, _BROKEN_WORDS, _WIDER_THAN_THE_SCREEN, SCREENS, journal_of
from tests.unit.test_manifest_fuzz import MANIFEST_AS_WRITTEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.security.web_site import Served
    from tests.simulated.browser import Browser

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

FORM = "document.querySelector('main:not([hidden]) form.say')"


@asynccontextmanager
async def with_users(folder: Path) -> AsyncIterator[tuple[Browser, Served]]:
    """The page of a line with three users, whose agent writes reviews into the journal."""
    settings = web_settings(folder)
    (folder / "bundle").mkdir()
    (folder / "bundle" / MANIFEST).write_bytes(encode_manifest(MANIFEST_AS_WRITTEN))
    await journal_of(settings.store.journal)
    change(settings, team())
    journal = await asyncio.to_thread(Journal.open, settings.store.journal)
    try:
        async with served(settings) as at, talking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
            at.write_review = journal.event
            await tab.until("document.getElementById('state').textContent === 'READY'")
            await tab.until("!document.getElementById('who').hidden")
            yield tab, at
    finally:
        await asyncio.to_thread(journal.close)


async def sign_in(tab: Browser, name: str, password: str | None = None) -> None:
    """As a person does it: the view, two fields, the button."""
    await tab.evaluate("location.hash = '#signin'")
    await tab.until("document.getElementById('signinform').checkVisibility()")
    said = {"name": name, "password": PASSWORDS[name] if password is None else password}
    await tab.evaluate(
        f"""(() => {{
          const fields = document.getElementById('signinform').elements;
          for (const [name, value] of Object.entries({json.dumps(said)})) fields[name].value = value;
          fields.go.click();
        }})()"""
    )


async def said(tab: Browser, says: str) -> None:
    """A person presses that button."""
    await tab.until(f"{FORM}?.querySelector('button[value={says}]')")
    await tab.evaluate(f"{FORM}.querySelector('button[value={says}]').click()")


async def status(tab: Browser) -> str:
    await tab.until(f"{FORM}.querySelector('[role=status]').textContent")
    return str(await tab.evaluate(f"{FORM}.querySelector('[role=status]').textContent"))


async def test_a_user_signs_in_reviews_with_the_role_and_signs_out(tmp_path: Path) -> None:
    async with with_users(tmp_path) as (tab, at):
        await tab.evaluate("location.hash = '#part/4'")
        await tab.until("document.querySelector('.reviewed a[href=\"#signin\"]')")
        assert await tab.evaluate(f"{FORM} === null"), "nothing to sign with for nobody"
        await sign_in(tab, LIN, "wrong wrong wrong")
        await tab.until("document.getElementById('signinsaid').textContent === 'the name or the password is wrong'")
        assert await tab.evaluate("document.getElementById('signinform').elements.password.value") == ""
        await sign_in(tab, LIN)
        await tab.until("location.hash === '#part/4'")  # where the person came from
        await said(tab, "OVERTURNED")

        assert await status(tab) == "In the journal: was a good part."
        await tab.until("document.querySelector('.reviewed .saidword')?.textContent.includes('Lin (operator)')")
        assert [(one.by, one.role) for one in at.reviews] == [(LIN, Role.OPERATOR)]
        assert await tab.evaluate("document.getElementById('who').textContent") == "Lin"
        assert await tab.evaluate("document.cookie.includes('edge_agent')") is False  # no script can read it
        assert await tab.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])") == "[{},{}]"

        await tab.evaluate("location.hash = '#signin'")
        await tab.until("document.getElementById('signout').checkVisibility()")
        await tab.evaluate("document.getElementById('signout').click()")
        await tab.until("document.getElementById('signinform').checkVisibility()")
        await tab.evaluate("location.hash = '#part/4'")
        await tab.until("document.querySelector('.reviewed a[href=\"#signin\"]')")
        # This journal has no pictures.
        assert [one for one in tab.said if "status of 401" not in one and "/cameras/" not in one] == []


async def test_a_session_that_ended_meanwhile_is_said_where_the_person_signs(tmp_path: Path) -> None:
    async with with_users(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await tab.until("location.hash !== '#signin'")
        await tab.evaluate("location.hash = '#part/4'")
        await tab.until(FORM)
        change(at.site.settings, lambda users: users.with_disabled(LIN, is_disabled=True))
        await said(tab, "CONFIRMED")
        assert (await status(tab)).startswith("sign in first")
        await tab.until(f"{FORM}.querySelector('[role=status] a[href=\"#signin\"]')")
        await tab.until("document.getElementById('who').textContent === 'Sign in'")
        assert at.reviews == []


async def test_of_two_people_at_one_part_the_second_sees_who_was_first(tmp_path: Path) -> None:
    async with with_users(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await tab.until("location.hash !== '#signin'")
        await tab.evaluate("location.hash = '#part/4'")
        await tab.until(FORM)
        other = Visitor(at)
        await other.sign_in(QUINN)
        assert (await other.review(4, says="CONFIRMED", seen=0)).status == 200
        await said(tab, "OVERTURNED")
        assert (await status(tab)).startswith("Quinn (quality assurance) was first, at ")
        await tab.until("document.querySelector('.reviewed .saidword')?.textContent.includes('Quinn')")
        assert len(at.reviews) == 1
        await tab.until(f"!{FORM}.querySelector('button').disabled")
        await said(tab, "OVERTURNED")  # having looked again
        await tab.until(f"{FORM}.querySelector('[role=status]').textContent.startsWith('In the journal')")
        assert [(one.by, one.says) for one in at.reviews] == [(QUINN, "CONFIRMED"), (LIN, "OVERTURNED")]


async def test_somebody_else_in_another_window_of_this_browser_signs_nothing_of_this_one(tmp_path: Path) -> None:
    async with with_users(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await tab.until("location.hash !== '#signin'")
        await tab.evaluate("location.hash = '#part/4'")
        await tab.until(FORM)
        posted = {"method": "POST", "body": json.dumps({"name": ADA, "password": PASSWORDS[ADA]})}
        await tab.evaluate(f"fetch('api/session', {json.dumps(posted)}).then((answer) => answer.status)")
        await said(tab, "OVERTURNED")
        assert await status(tab) == "Ada is signed in here by now: look again"
        assert at.reviews == []


async def test_a_limit_is_offered_to_whom_it_is_for_and_wants_the_password(tmp_path: Path) -> None:
    async with with_users(tmp_path) as (tab, at):
        for name in (LIN, QUINN):
            await sign_in(tab, name)
            await tab.until("location.hash !== '#signin'")
            await tab.evaluate(f"location.hash = '#whatif/{manifest_id(MANIFEST_AS_WRITTEN)}/2.5'")
            await tab.until("document.getElementById('offer')")
            await tab.evaluate("document.getElementById('offer').click()")
            if name == LIN:
                await tab.until("document.body.innerText.includes('Lin is operator and may not sign for this.')")
                assert await tab.evaluate("document.getElementById('relimit') === null")
                await tab.evaluate("location.hash = '#signin'")
                await tab.until("document.getElementById('signout').checkVisibility()")
                await tab.evaluate("document.getElementById('signout').click()")
        for password, words in (("wrong wrong wrong", "is wrong"), (PASSWORDS[QUINN], "is activated")):
            await tab.until("document.getElementById('relimit') && !document.querySelector('#relimit button').disabled")
            await tab.evaluate(
                f"""(() => {{
                  const form = document.getElementById('relimit'), fields = form.elements;
                  fields.why.value = 'dust'; fields.password.value = {json.dumps(password)};
                  if (fields.although) fields.although.checked = true;
                  form.querySelector('button').click();
                }})()"""
            )
            await tab.until(f"document.querySelector('#relimit [role=status]').textContent.includes('{words}')")
        assert [(one.by, one.why) for one in at.limits] == [("Quinn (quality)", "dust")]


async def test_a_user_changes_the_password_on_the_page(tmp_path: Path) -> None:
    async with with_users(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await tab.until("location.hash !== '#signin'")
        await tab.evaluate("location.hash = '#signin'")
        await tab.until("document.getElementById('signedin').checkVisibility()")
        for again, words in (("another one of them", "not the same twice"), ("a password of hers", "is changed")):
            said = {"password": PASSWORDS[LIN], "new": "a password of hers", "again": again}
            await tab.evaluate(
                f"""(() => {{
                  const fields = document.getElementById('passwordform').elements;
                  document.querySelector('#signedin details').open = true;
                  for (const [name, value] of Object.entries({json.dumps(said)})) fields[name].value = value;
                  fields.go.click();
                }})()"""
            )
            await tab.until(f"document.getElementById('signinsaid').textContent.includes('{words}')")
        assert at.passwords == [LIN]
        assert (await Visitor(at).sign_in(LIN, "a password of hers")).status == 200
        assert (
            await tab.evaluate("fetch('api/session').then((answer) => answer.json()).then((told) => told.user.name)")
            == LIN
        )


async def test_axe_finds_nothing_while_a_user_is_signed_in_on_any_screen(tmp_path: Path) -> None:
    script = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    async with with_users(tmp_path) as (tab, _):
        await tab.evaluate(f"{script}; undefined")
        for name in ("", QUINN):
            if name:
                await sign_in(tab, name)
                await tab.until("document.getElementById('who').textContent.startsWith('Quinn')")
            for view in ("#signin", "#part/4", "#review"):
                await tab.evaluate(f"location.hash = '{view}'")
                await tab.until(f"!document.getElementById('{view[1:].split('/')[0]}').hidden")
                await tab.until("!document.body.innerText.includes('Searching')")
                for width, height in SCREENS:
                    await tab.resize(width, height)
                    for dark in (False, True):
                        await tab.look(dark=dark)
                        look = f"{view} at {width} px, {'dark' if dark else 'light'}, {name or 'nobody'}"
                        if wrong := await tab.evaluate(_AXE):
                            found[look] = wrong
                        if await tab.evaluate(_WIDER_THAN_THE_SCREEN):
                            found[f"{look}: scrolls sideways"] = view
                        if broken := await tab.evaluate(_BROKEN_WORDS):
                            found[f"{look}: broken"] = broken
    assert not found, json.dumps(found, indent=1)

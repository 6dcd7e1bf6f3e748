"""All views of the page for everybody: axe, no sideways scrolling, no broken word, worked by keyboard alone."""

from __future__ import annotations

import json
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from drivers.timing import monotonic_s
from edge_agent.domain import Published
from edge_agent.store.journal import Journal
from edge_agent.wording import LANGUAGES
from tests.security.web_site import agent_state, reject_row, served, web_settings, written
from tests.security.web_site import speaking as talking
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.test_web_live_view import now_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.simulated.browser import Browser

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

SCREENS = ((1280, 800), (1024, 768), (390, 844))
_AXE = """axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) =>
  [id, ...nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.failureSummary.slice(0, 200)}`)]))"""
_WIDER_THAN_THE_SCREEN = "document.scrollingElement.scrollWidth > innerWidth"
_BROKEN_WORDS = r"""(() => {
  const broken = [], range = document.createRange();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    if (!text.parentElement.checkVisibility() || text.parentElement.closest('select')) continue;
    for (const word of text.data.matchAll(/(?<!\S)\p{L}{2,24}(?=[.,:;?!]*(\s|$))/gu)) {
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const tops = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (tops.size > 1) broken.push(word[0]);
    }
  }
  return broken;
})()"""


_HAS_THE_FOCUS = """(() => {
  const one = document.activeElement;
  one.dataset.reached = 'yes';
  // The button inside a field for a time has the focus without the field matching :focus: page.css draws its outline.
  const isInside = one.type === 'datetime-local' && !one.matches(':focus'), style = getComputedStyle(one);
  const isOutlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  const isSeen = one === document.body || isInside || isOutlined;
  return [one.id || one.name || one.textContent.trim().slice(0, 30), isSeen];
})()"""
_NOT_REACHED = """[...document.querySelectorAll(
    'main:not([hidden]) :is(a, button, input, select, textarea), header :is(a, select)')]
  .filter((one) => one.checkVisibility() && one.tabIndex >= 0 && !one.disabled && !one.dataset.reached)
  .map((one) => one.outerHTML.slice(0, 120))"""
_HEADINGS = """[...document.querySelectorAll(':is(h1, h2, h3, h4)')].filter((one) => one.checkVisibility())
  .map((one) => Number(one.tagName[1]))"""


async def journal_of(path: Path) -> None:
    """Parts of before and of now, one of them rejected."""
    rows = [now_row(seq, 60 - seq, row=reject_row(seq) if seq % 4 == 0 else None) for seq in range(1, 9)]
    await written(path, rows)


async def views(tab: Browser) -> list[str]:
    """The address of every view that the page has."""
    names = await tab.evaluate("[...document.querySelectorAll('main.view')].map((main) => main.id)")
    assert {"live", "history", "part", "review"} <= set(names)
    return [f"#{name}/8" if name == "part" else f"#{name}" for name in names]


async def each_look(tab: Browser) -> AsyncIterator[str]:
    """Every view on every screen, by day and by night; what it is, for a message."""
    for view in await views(tab):
        await tab.evaluate(f"location.hash = {json.dumps(view)}")
        await tab.until(f"!document.getElementById({json.dumps(view[1:].split('/')[0])}).hidden")
        await tab.until("!document.body.innerText.includes('Searching')")
        for width, height in SCREENS:
            await tab.resize(width, height)
            for dark in (False, True):
                await tab.look(dark=dark)
                yield f"{view} at {width} px, {'dark' if dark else 'light'}"


async def test_axe_finds_nothing_and_every_view_fits_every_screen(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await journal_of(settings.store.journal)
    script = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    async with served(settings) as at, talking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await tab.until("document.getElementById('state').textContent === 'READY'")
        await tab.evaluate(f"{script}; undefined")
        async for look in each_look(tab):
            if wrong := await tab.evaluate(_AXE):
                found[look] = wrong
            if await tab.evaluate(_WIDER_THAN_THE_SCREEN):
                found[f"{look}: scrolls sideways"] = await tab.evaluate(
                    "[...document.querySelectorAll('main:not([hidden]) *, header *')].filter((one) =>"
                    " one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 90))"
                )
            if broken := await tab.evaluate(_BROKEN_WORDS):
                found[f"{look}: broken"] = broken
    assert not found, json.dumps(found, indent=1)


@pytest.mark.parametrize("spoken", sorted(set(LANGUAGES) - {"en"}))
async def test_every_view_fits_every_screen_in_every_language(tmp_path: Path, spoken: str) -> None:
    settings = web_settings(tmp_path)
    await journal_of(settings.store.journal)
    found: dict[str, Any] = {}
    async with served(settings) as at, talking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        # A page that is still loading drops a location.reload() without a word.
        await tab.until("document.readyState === 'complete'")
        # Written is not yet sent: a page that is loaded again at once may be asked for without the cookie.
        await tab.evaluate(f"document.cookie = 'language={spoken}'")
        await tab.until(f"document.cookie.includes('language={spoken}')")
        await tab.evaluate("location.reload()")
        await tab.until(f"document.documentElement.lang.startsWith('{spoken}') && document.readyState === 'complete'")
        await tab.until("document.getElementById('line').textContent")
        for view in await views(tab):
            await tab.evaluate(f"location.hash = {json.dumps(view)}")
            await tab.until(f"!document.getElementById({json.dumps(view[1:].split('/')[0])}).hidden")
            for width, height in SCREENS:
                await tab.resize(width, height)
                if await tab.evaluate(_WIDER_THAN_THE_SCREEN):
                    found[f"{view} at {width} px"] = "scrolls sideways"
                # Japanese and Chinese have no blanks between words: there a line may end anywhere.
                if spoken == "de" and (broken := await tab.evaluate(_BROKEN_WORDS)):
                    found[f"{view} at {width} px: broken"] = broken
    assert not found, json.dumps(found, indent=1)


@pytest.mark.parametrize(("line_is", "word"), [("fault", "FAULT"), ("silent", "SILENT")])
async def test_axe_finds_nothing_while_nothing_passes(tmp_path: Path, line_is: str, word: str) -> None:
    settings = web_settings(tmp_path)
    await journal_of(settings.store.journal)
    script = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    why = {"controller": "no answer", "output": "the remote I/O is not there"}
    found: dict[str, Any] = {}
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/") as tab:
        if line_is == "silent":
            await until_axe(tab, script, word, found)
        else:
            async with talking(at, lambda: agent_state(**why)):
                await until_axe(tab, script, word, found)
    assert not found, json.dumps(found, indent=1)


async def until_axe(tab: Browser, script: str, word: str, found: dict[str, Any]) -> None:
    """What axe says of the live view once the word stands there, on every screen."""
    await tab.until(f"document.getElementById('word').textContent === '{word}'")
    await tab.evaluate(f"{script}; undefined")
    for width, height in SCREENS:
        await tab.resize(width, height)
        for dark in (False, True):
            await tab.look(dark=dark)
            wrong = [await tab.evaluate(one) for one in (_AXE, _BROKEN_WORDS)]
            if any(wrong) or await tab.evaluate(_WIDER_THAN_THE_SCREEN):
                found[f"{width} px, {dark=}"] = wrong


async def test_the_keyboard_alone_reaches_everything_and_what_has_it_is_seen(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await journal_of(settings.store.journal)
    async with served(settings) as at, talking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await tab.until("document.querySelectorAll('#strip a').length === 8")
        await tab.press("Tab")
        assert await tab.evaluate("document.activeElement.id") == "skip"
        assert await tab.evaluate("document.activeElement.getBoundingClientRect().left >= 0"), (
            "seen when it has the focus"
        )
        await tab.press("Enter")
        await tab.until("document.activeElement.id === 'live'")

        for view in await views(tab):
            await tab.evaluate(f"location.hash = {json.dumps(view)}")
            await tab.until(f"document.activeElement.id === {json.dumps(view[1:].split('/')[0])}")
            await tab.until("!document.body.innerText.includes('Searching')")
            await tab.evaluate("document.activeElement.blur(); document.getElementById('skip').focus()")
            reached = set()
            for _ in range(60):
                here, is_seen = await tab.evaluate(_HAS_THE_FOCUS)
                assert is_seen, f"{view}: {here} does not show that it has the focus"
                if here in reached and here == "skip":
                    break
                reached.add(here)
                await tab.press("Tab")
            missed = await tab.evaluate(_NOT_REACHED)
            assert missed == [], view
            await tab.evaluate(
                "document.querySelectorAll('[data-reached]').forEach((one) => delete one.dataset.reached)"
            )


async def test_what_is_seen_has_a_name_for_who_hears_it(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await journal_of(settings.store.journal)
    async with served(settings) as at, talking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await tab.until("document.querySelectorAll('#strip a').length === 8")
        for view in await views(tab):
            await tab.evaluate(f"location.hash = {json.dumps(view)}")
            await tab.until(f"document.activeElement.id === {json.dumps(view[1:].split('/')[0])}")
            steps = await tab.evaluate(_HEADINGS)
            assert steps[0] == 1, view
            assert steps.count(1) == 1, view
            assert all(after - before <= 1 for before, after in pairwise(steps)), (view, steps)
        # One place that speaks, and it says what changed: seven parts with the same verdict are one sentence.
        speaks = (
            "[...document.querySelectorAll(':is(#banners, #live) :is([role=status], [aria-live])')]"
            ".map((one) => one.id)"
        )
        assert await tab.evaluate(speaks) == ["said"]
        words = "document.getElementById('said').textContent"
        await tab.until(f"{words} === 'Part 8: REJECT. Looks different from the good parts'")
        await tab.evaluate(
            "window.heard = [];"
            "new MutationObserver(() => heard.push(document.getElementById('said').textContent))"
            ".observe(document.getElementById('said'), { childList: true, characterData: true, subtree: true })"
        )
        journal = Journal.open(settings.store.journal)
        for seq in range(9, 16):
            await journal.append(now_row(seq))
            await journal.publication(seq, Published.PUBLISHED, monotonic_s())
            await tab.until(f"document.getElementById('which').textContent.split(' ')[1] === '{seq}'")
        journal.close()
        await tab.until("heard.length === 1 && heard[0].endsWith('PASS. No deviation')")


async def test_an_answer_that_comes_late_brings_nobody_back_to_the_view_that_they_left(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await journal_of(settings.store.journal)
    async with served(settings) as at, talking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await tab.until("document.getElementById('state').textContent === 'READY'")
        await tab.evaluate(
            "(() => { const real = fetch; window.held = [];"
            "window.fetch = (...asked) => new Promise((done) => held.push(() => done(real(...asked)))); })()"
        )
        await tab.evaluate("location.hash = '#whatif'")
        await tab.until("held.length === 1")
        await tab.evaluate("location.hash = '#live'")
        await tab.until("document.activeElement.id === 'live'")
        await tab.evaluate("held.shift()()")
        await tab.until("held.length === 1")  # the view that was left asks on, behind the place where it notes
        assert await tab.evaluate("location.hash") == "#live"

"""The view of samples and a locked line in a real browser: who is not itself, and that nothing passes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent.feed.state import Samples
from edge_agent.settings import load_settings
from edge_agent.store.journal import Journal
from tests.security.web_site import agent_state, part_row, served, speaking, web_settings
from tests.simulated.browser import CHROMIUM, browser

if TYPE_CHECKING:
    from edge_agent.settings import Settings
    from tests.simulated.browser import Browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

HOSTILE = "<img src=x onerror=alert(1)>"
REGISTER = f"""
[challenge]
every_parts = 5000
lock_out = true
[[challenge.sample]]
name = "R1"
kind = "reject"
program = 3
shows = "scratch of 5 mm on the slider"
[[challenge.sample]]
name = "R2"
kind = "reject"
program = 3
shows = "{HOSTILE}"
[[challenge.sample]]
name = "G1"
kind = "good"
program = 3
[[challenge.sample]]
name = "G2"
kind = "good"
program = 3
"""
_CARDS = "document.querySelectorAll('#samplecharts section')"


def record(number: int) -> str:
    wobble = ((number * 7) % 5 - 2) / 50
    scores = {"R1": 3.2 + wobble, "R2": 6.1 + 2 * wobble if number < 14 else 3.25, "G1": 0.4 + wobble / 4}
    bundle = "a" * 16 if number < 4 else "b" * 16
    shown = [
        {"name": name, "kind": "reject" if name[0] == "R" else "good", "ok": True, "score": score, "limit": 1.0,
         "bundle": bundle, "part_seq": 100 * number, **({"odd": "low"} if score == 3.25 else {})}
        for name, score in scores.items()
    ]  # fmt: skip
    told = {"ok": number < 14, "through": "line", "programs": [3], "simulated": False, "part_seq": 100 * number}
    return json.dumps({**told, "rejected": 2, "of": 2, "golden_passed": 1, "golden": 1, "by": "Ada", "shown": shown})


async def line_with_samples(tmp_path: Path) -> Settings:
    web_settings(tmp_path)
    path = tmp_path / "line.toml"
    program = load_settings(path).bundle[0].program
    path.write_text(path.read_text() + REGISTER.replace("program = 3", f"program = {program}"))
    settings = load_settings(path)
    journal = Journal.open(settings.store.journal)
    try:
        await journal.append(part_row(1, program=program))
        for number in range(15):
            await journal.event("CHALLENGE", record(number))
    finally:
        journal.close()
    return settings


async def test_a_sample_that_is_not_itself_stands_out_and_nothing_outside_is_markup(tmp_path: Path) -> None:
    settings = await line_with_samples(tmp_path)
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/#samples", width=1280) as tab:
        await tab.until(f"{_CARDS}.length === 4")

        titles = await tab.evaluate(f"[...{_CARDS}].map((card) => card.querySelector('h2').firstChild.textContent)")
        assert titles == ["R1", "R2", "G1", "G2"]
        marked = await tab.evaluate(f"[...{_CARDS}].map((card) => card.classList.contains('has-changed'))")
        assert marked == [False, True, False, False]
        assert await tab.evaluate(f"{_CARDS}[0].querySelectorAll('circle').length") == 15
        assert await tab.evaluate(f"{_CARDS}[0].querySelectorAll('circle.other').length") == 4
        assert await tab.evaluate(f"{_CARDS}[1].querySelectorAll('circle.wrong').length") == 1
        assert await tab.evaluate(f"{_CARDS}[0].querySelectorAll('rect.usual').length") == 1
        assert "Never shown yet" in await tab.evaluate(f"{_CARDS}[3].innerText")
        assert await tab.evaluate("document.querySelectorAll('#samplecharts img').length") == 0
        assert HOSTILE in await tab.evaluate(f"{_CARDS}[1].innerText")
        await looked_at(tab, "samples")
        assert tab.said == []


async def test_a_locked_line_says_so_on_every_view_and_is_not_green(tmp_path: Path) -> None:
    settings = await line_with_samples(tmp_path)
    overdue = "the last challenge was not passed: show the samples again"
    why = f"the line is locked, nothing passes: {overdue}"
    told = {"locked": why, "samples": Samples(words=overdue), "degraded": {"challenge": overdue}}
    states = [agent_state().model_copy(update=told)]
    async with (
        served(settings) as at,
        speaking(at, lambda: states[-1]),
        browser(f"http://127.0.0.1:{at.port}/", width=1280) as tab,
    ):
        await tab.until("document.getElementById('locked').innerText.includes('nothing passes')")
        await tab.until("document.getElementById('word').textContent === 'LOCKED'")

        assert await tab.evaluate("document.getElementById('state').className") == "pill bad"
        assert await tab.evaluate("document.getElementById('verdict').className") == "verdict LOCKED"
        assert await tab.evaluate("document.getElementById('degraded').hidden")
        assert "edge-agent challenge" in await tab.evaluate("document.getElementById('advice').innerText")
        assert (await at.ask("/readyz")).status == 503
        assert b"edge_agent_locked 1.0" in (await at.ask("/metrics")).body
        await looked_at(tab, "locked")
        await tab.evaluate("location.hash = '#samples'")
        await tab.until("document.getElementById('samplesdue').innerText.includes('nothing passes')")

        soon = Samples(words="samples are due in 20 parts", is_soon=True, due_parts=20)
        states.append(agent_state().model_copy(update={"samples": soon}))
        await tab.evaluate("location.hash = '#live'")
        await tab.until("!document.getElementById('soon').hidden && document.getElementById('locked').hidden")
        assert await tab.evaluate("document.getElementById('due').innerText") == "samples are due in 20 parts"
        assert b"edge_agent_challenge_due_parts 20.0" in (await at.ask("/metrics")).body
        await looked_at(tab, "soon")


async def test_a_line_without_samples_says_where_they_go(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    Journal.open(settings.store.journal).close()
    async with served(settings) as at, browser(f"http://127.0.0.1:{at.port}/#samples") as tab:
        await tab.until("document.getElementById('sampleswords').innerText.includes('[[challenge.sample]]')")


async def looked_at(tab: Browser, name: str) -> None:
    """At every width and in both lights nothing hangs over; EDGE_AGENT_PICTURES keeps the pictures, where it is set."""
    for width in (1280, 1024, 390):
        for dark in (False, True):
            await tab.resize(width, 900)
            await tab.look(dark=dark)
            assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, width)
            if folder := os.environ.get("EDGE_AGENT_PICTURES"):
                await tab.screenshot(Path(folder) / f"{name}-{width}-{'dark' if dark else 'light'}.png", is_whole=True)

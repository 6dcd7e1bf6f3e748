"""What is not of now does not look like now: the operator's view in a real Chromium while parts of the line go away."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from drivers.timing import monotonic_s
from edge_agent.domain import Outcome, Published, Reason
from edge_agent.runtime.dry_run import DRY_RUN
from edge_agent.runtime.process import boot_id
from edge_agent.store.journal import Journal
from edge_agent.web.site import Site
from edge_agent.wiring.free_ports import free_port
from tests.security.web_site import agent_state, part_row, reject_row, served, speaking, web_settings, written
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.line import bad_image, good_image, line
from tests.simulated.test_web_page import until_it_listens

if TYPE_CHECKING:
    from edge_agent.feed.state import AgentState
    from edge_agent.settings import Settings
    from edge_agent.store.rows import PartRow
    from tests.simulated.browser import Browser

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


async def text(tab: Browser, id_: str) -> str:
    """What stands there."""
    return str(await tab.evaluate(f"document.getElementById('{id_}').textContent"))


async def until_word(tab: Browser, word: str) -> None:
    """The big word."""
    await tab.until(f"document.getElementById('word').textContent === '{word}'")


async def colour_of(tab: Browser, selector: str = "#verdict") -> str:
    """What it is painted with."""
    return str(await tab.evaluate(f"getComputedStyle(document.querySelector('{selector}')).backgroundColor"))


def now_row(part_seq: int, ago_s: float = 0.0, row: PartRow | None = None, **changes: Any) -> PartRow:
    """A part that was decided so many seconds ago, in this boot."""
    at = {"boot_id": boot_id(), "decided_mono_s": monotonic_s() - ago_s}
    return replace(row or part_row(part_seq), **at, **changes)


async def test_a_pass_does_not_outlive_what_it_came_from(tmp_path: Path, thumbnail_bundle: Path) -> None:
    port = free_port()
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.config.write_text(at.config.read_text() + f"[web]\nport = {port}\n")
        await at.start_agent()
        await at.until_ready()
        await until_it_listens(port)
        async with browser(f"http://127.0.0.1:{port}/") as tab:
            await until_word(tab, "READY")
            await at.controller.wire_trigger(bad_image(1))
            await until_word(tab, "REJECT")
            await tab.until("document.getElementById('contour').naturalWidth === 1000")
            assert await tab.evaluate("getComputedStyle(document.getElementById('heat')).opacity") == "0"
            await tab.until("document.getElementById('outline').textContent.startsWith('White line: over the limit.')")
            await at.until_rows(1)
            await at.controller.wire_trigger(good_image(1))
            await until_word(tab, "PASS")
            green = await colour_of(tab)

            # The controller goes: FAULT stands where PASS stood, with what to do, and PASS is a small line.
            await at.controller.stop()
            await until_word(tab, "FAULT")
            assert await colour_of(tab) != green
            assert (await text(tab, "detail")).startswith("Controller: ")
            assert "network cable" in await text(tab, "advice")
            assert (await text(tab, "which")).startswith("since ")
            assert (await text(tab, "last")).startswith("Last part 2: PASS, ")
            assert await tab.evaluate("document.body.className") == "past"
            await tab.until(
                "document.getElementById('said').textContent.startsWith('FAULT. Nothing passes. Controller')"
            )

            # The agent hangs: its page goes on, and says that it is told nothing.
            assert at.agent is not None
            at.agent.send_signal(signal.SIGSTOP)
            await until_word(tab, "SILENT")
            assert not await tab.evaluate("document.getElementById('lost').hidden")
            assert "ready" not in await tab.evaluate("document.getElementById('state').className")
            at.agent.send_signal(signal.SIGCONT)
            await until_word(tab, "FAULT")

            # The page's process is gone: the browser itself says so, and comes back to the new one.
            os.kill(page_of(at.agent.pid), signal.SIGKILL)
            at.agent.send_signal(signal.SIGSTOP)  # or it would be there again before the browser says a word
            await until_word(tab, "NO SIGNAL")
            assert "old" in await tab.evaluate("document.body.className")
            assert (await text(tab, "clock")).startswith("as of ")
            at.agent.send_signal(signal.SIGCONT)
            await until_word(tab, "FAULT")
            assert await tab.evaluate("document.getElementById('lost').hidden")


def page_of(agent: int) -> int:
    """The process of its page, which it started."""
    for children in Path(f"/proc/{agent}/task").glob("*/children"):
        for child in children.read_text().split():
            if b"edge_agent.web" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    raise AssertionError("the agent has no page")


async def test_a_server_that_says_the_same_again_and_again_is_no_word_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [now_row(1)])
    true_state = Site._state
    async with served(settings) as at, speaking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await until_word(tab, "PASS")
        frozen = true_state(at.site)
        monkeypatch.setattr(Site, "_state", lambda _: frozen)
        await until_word(tab, "NO SIGNAL")

        # While it asks anew it is refused as by a proxy, which ends a browser's own tries for good.
        at.site.measured.viewers = 1000
        while not any("status of 503" in said for said in tab.said):
            await tab.evaluate("new Promise((done) => requestAnimationFrame(done))")
        at.site.measured.viewers = 0
        monkeypatch.setattr(Site, "_state", true_state)
        await tab.until("document.getElementById('state').textContent === 'READY'")


async def test_a_tab_that_wakes_up_shows_nothing_of_before_as_if_it_were_now(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [now_row(1)])
    async with served(settings) as at, speaking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await until_word(tab, "PASS")
        woken = """(() => {
            const real = Date.now;
            Date.now = () => real() + 60000; // the device slept for a minute: its steady clock stood still
            document.dispatchEvent(new Event('visibilitychange'));
            return document.getElementById('word').textContent;
        })()"""
        assert await tab.evaluate(woken) == "NO SIGNAL"
        await tab.until("document.getElementById('state').textContent === 'READY'")


async def test_a_verdict_of_before_has_its_age_and_not_its_colour(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [now_row(seq, 200 - seq) for seq in range(1, 6)])
    journal = Journal.open(settings.store.journal)
    async with served(settings) as at, speaking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await until_word(tab, "PASS")
        old = await colour_of(tab)
        assert await tab.evaluate("document.getElementById('verdict').className") == "verdict PASS past"
        assert (await text(tab, "last")).startswith("3 min ago")
        await journal.append(now_row(6))
        await journal.publication(6, Published.PUBLISHED, monotonic_s())
        await tab.until("document.getElementById('which').textContent.startsWith('Part 6')")
        assert await tab.evaluate("document.getElementById('verdict').className") == "verdict PASS"
        assert await colour_of(tab) != old
        assert await tab.evaluate("document.body.className") == ""
    journal.close()


async def test_a_pass_that_did_not_reach_the_output_is_no_green_word(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    journal = Journal.open(settings.store.journal)
    await journal.append(now_row(1))
    await journal.publication(1, Published.LATE, monotonic_s())
    async with served(settings) as at, speaking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await until_word(tab, "REJECT")
        assert await text(tab, "why") == "too late: REJECT stands"
        assert await text(tab, "detail") == "It was judged PASS."
        assert "PASS" not in await tab.evaluate("document.getElementById('verdict').className")
        # In a dry run the output is held back for every part, and what would have been is what one looks for.
        await journal.append(now_row(2, detail=DRY_RUN))
        await journal.publication(2, Published.WITHHELD, monotonic_s())
        await until_word(tab, "PASS")
    journal.close()


async def test_a_score_below_zero_leaves_no_gauge_of_the_reject_before(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    journal = Journal.open(settings.store.journal)
    above = replace(part_row(1).cameras[0], score=9.0)
    await journal.append(now_row(1, 1.0, row=reject_row(1, cameras=(above,))))
    await journal.publication(1, Published.PUBLISHED, monotonic_s())
    async with served(settings) as at, speaking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await until_word(tab, "REJECT")
        assert await tab.evaluate("document.querySelector('#gauge i').style.width") == "100%"
        below = replace(part_row(2).cameras[0], score=-0.7)
        await journal.append(now_row(2, score=-0.7, cameras=(below,)))
        await journal.publication(2, Published.PUBLISHED, monotonic_s())
        await until_word(tab, "PASS")
        assert await text(tab, "scored") == "Score -0.700 · Limit 1.500"
        assert await tab.evaluate("document.querySelector('#gauge i').style.width") == "0%"
    journal.close()


async def test_a_line_that_comes_back_does_not_come_back_with_the_pass_of_before(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [now_row(1)])
    stands: dict[str, str] = {}

    def state() -> AgentState:
        return agent_state(**stands)

    async with served(settings) as at, speaking(at, state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await until_word(tab, "PASS")
        stands["output"] = "the remote I/O is not there"
        await until_word(tab, "FAULT")
        assert await text(tab, "detail") == "Remote I/O: the remote I/O is not there"
        assert await tab.evaluate("document.querySelector('#links li').textContent") == (
            "Remote I/O" + await tab.evaluate("document.querySelector('#links .how').textContent") + stands["output"]
        )
        await tab.until("document.getElementById('last').textContent.match(/PASS, [2-9] s ago/)")
        stands.clear()
        await until_word(tab, "PASS")
        assert await tab.evaluate("document.getElementById('verdict').className") == "verdict PASS past"


async def in_archive(settings: Settings, row: PartRow, width: int) -> None:
    """A journal of this part alone, with its image of that width."""
    out = io.BytesIO()
    Image.new("L", (width, 100), 150).save(out, "PNG")
    digest = hashlib.sha256(out.getvalue()).hexdigest()
    row = replace(row, cameras=(replace(row.cameras[0], image_name="a.png", image_sha256=digest),))
    await written(settings.store.journal, [row])
    folder = settings.store.archive / row.decided_utc[:10]
    folder.mkdir(parents=True, exist_ok=True)
    name = f"part_{row.part_seq:012d}_CAM1_{row.verdict}_{digest[:8]}.png"
    (folder / name).write_bytes(out.getvalue())


@pytest.mark.parametrize("before", [2, 7])
async def test_a_journal_that_was_begun_anew_shows_nothing_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    settings, port = web_settings(tmp_path), free_port()
    await in_archive(settings, now_row(before, decided_utc="2026-11-28T10:00:00.000+00:00"), width=120)
    old_page = AsyncExitStack()
    at = await old_page.enter_async_context(served(settings, port=port))
    await old_page.enter_async_context(speaking(at, agent_state))
    async with browser(f"http://127.0.0.1:{port}/") as tab:
        await until_word(tab, "PASS")
        await tab.until("document.getElementById('image').naturalWidth === 120")
        await old_page.aclose()
        with monkeypatch.context() as ended:  # its process would end its streams as well
            ended.setattr(Site, "_state", lambda _: 1 / 0)
            while at.site.measured.viewers:
                await asyncio.sleep(0.05)
        for file in settings.store.journal.parent.glob(f"{settings.store.journal.name}*"):
            file.unlink()
        row = now_row(2, row=reject_row(2), decided_utc="2026-11-29T10:00:00.000+00:00")
        await in_archive(settings, row, width=140)

        async with served(settings, port=port) as at, speaking(at, agent_state):
            await until_word(tab, "REJECT")
            assert (await text(tab, "which")).startswith("Part 2")
            await tab.until("document.getElementById('image').naturalWidth === 140")


async def test_a_page_that_cannot_read_the_journal_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [now_row(1)])
    async with served(settings) as at, speaking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await until_word(tab, "PASS")
        monkeypatch.setattr(type(at.site.live), "looked_ago_s", property(lambda _: 7.0))
        await until_word(tab, "NO SIGNAL")
        assert await text(tab, "why") == "This page cannot read the newest parts"


async def test_the_camera_that_decided_is_shown_and_the_others_can_be(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    (first,) = part_row().cameras
    calm = replace(first, shares={"native": 0.25}, condition={"brightness": 0.125})
    wrong = {"outcome": Outcome.NG, "reason": Reason.SCORE, "score": 3.0, "shares": {"native": 3.0, "tone": 0.5}}
    row = reject_row(1, 3.0, cameras=(calm, replace(first, camera=2, **wrong)))
    await written(settings.store.journal, [now_row(1, row=row)])
    async with served(settings) as at, speaking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await until_word(tab, "REJECT")
        await tab.until("document.getElementById('caption').textContent.includes('Camera 2, which decided')")
        assert await text(tab, "scored") == "Score 3.000 · Limit 1.500"
        shares = "[...document.querySelectorAll('#shares dt')].map((name) => name.firstChild.textContent)"
        assert await tab.evaluate(shares) == ["Fine detail", "Brightness and colour"]
        assert (await text(tab, "shares")).endswith("0.33 \N{MULTIPLICATION SIGN} limit")

        await tab.evaluate("document.querySelectorAll('#cameras button')[1].click()")
        await tab.until("document.getElementById('caption').textContent.match(/Camera 1( ·|$)/)")
        assert await tab.evaluate(shares) == ["Fine detail"]
        assert (await text(tab, "imagecondition")).startswith("Brightness")
        pressed = "[...document.querySelectorAll('#cameras button')].map((one) => one.getAttribute('aria-pressed'))"
        assert await tab.evaluate(pressed) == ["false", "true", "false"]


async def test_the_newest_parts_are_reached_from_the_strip_by_mouse_and_by_keyboard(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(
        settings.store.journal, [now_row(1), now_row(2, row=reject_row(2)), now_row(3, score=None, limit=None)]
    )
    async with served(settings) as at, speaking(at, agent_state), browser(f"http://127.0.0.1:{at.port}/") as tab:
        await tab.until("document.querySelectorAll('#strip a').length === 3")
        names = await tab.evaluate(
            "[...document.querySelectorAll('#strip a')].map((bar) => bar.getAttribute('aria-label'))"
        )
        assert names == [
            "Part 1: PASS, 0.17 times the limit",
            "Part 2: REJECT, 1.33 times the limit",
            "Part 3: PASS, without a score",
        ]
        fills = await tab.evaluate(
            "[...document.querySelectorAll('#strip i')].map((bar) => getComputedStyle(bar).backgroundImage === 'none')"
        )
        assert fills == [True, False, True], "a reject is hatched"
        await tab.evaluate("document.querySelector('#strip a[tabindex=\"0\"]').focus()")
        await tab.press("ArrowLeft")
        await tab.press("Enter")
        await tab.until("location.hash === '#part/2' && document.activeElement.id === 'part'")
        await tab.evaluate("location.hash = '#live'")
        await tab.until("!document.getElementById('live').hidden")
        box = await tab.evaluate(
            "(({ x, y, width, height }) => [x + width / 2, y + height / 2])"
            "(document.querySelector('#strip a').getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await tab.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
        await tab.until("location.hash === '#part/1'")

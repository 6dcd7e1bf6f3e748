"""Looking back in a real Chromium: find, history, part, review and what-if, opened by bookmark, no agent running."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.security.web_site import TOKEN
from tests.simulated.browser import CHROMIUM
from tests.simulated.looking_back_site import CONFIRMED, ESCAPE, LAST_WITHOUT_IMAGE, OVERTURNED, PARTS, looked_back

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.browser import Browser

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

ROWS = "[...document.querySelectorAll('#rows tbody tr')]"
PART = "document.getElementById('parttitle').textContent"
TOTALS = "document.getElementById('totals').textContent"


async def press(tab: Browser, key: str, target: str = "document.body") -> None:
    """A key as a person presses it with the focus there."""
    event = f"new KeyboardEvent('keydown', {{ key: {json.dumps(key)}, bubbles: true, cancelable: true }})"
    await tab.evaluate(f"({target}).dispatchEvent({event})")


def complaints(tab: Browser) -> list[str]:
    """What the browser complained of, but for pictures that are not kept and the limit of a bundle that is gone."""
    return [said for said in tab.said if "status of 404" not in said and "/api/limit?" not in said]


async def test_a_filter_stands_in_the_address_and_the_totals_are_of_all_it_finds(tmp_path: Path) -> None:
    async with looked_back(tmp_path, "#history/verdict=REJECT&reviewed=no&most=5") as (tab, at):
        await tab.until(f"{ROWS}.length === 5")
        await tab.until(f"{TOTALS}.includes('REJECT')")
        totals = await tab.evaluate(TOTALS)
        first = await tab.evaluate(f"{ROWS}.map((row) => row.cells[1].textContent)")
        await tab.evaluate("document.getElementById('older').click()")
        await tab.until(f"{ROWS}.length === 5 && {ROWS}[0].cells[1].textContent !== '{first[0]}'")
        second = await tab.evaluate(f"{ROWS}.map((row) => row.cells[1].textContent)")
        await tab.evaluate("history.back()")
        await tab.until(f"{ROWS}[0].cells[1].textContent === '{first[0]}'")
        chosen = await tab.evaluate("document.querySelector('#filter [name=verdict]').value")
        download = await tab.evaluate("document.getElementById('export').getAttribute('href')")
        table = await at.ask(f"/{download}")

    rejects = [seq for seq in range(PARTS, 0, -1) if seq % 10 == 0 or seq % 25 == 0]
    unsaid = [str(seq) for seq in rejects if seq not in (CONFIRMED, OVERTURNED)]
    assert (first, second) == (unsaid[:5], unsaid[5:10])
    assert totals.startswith(f"{len(unsaid)} parts: {len(unsaid)} REJECT.")
    assert chosen == "REJECT"
    lines = table.body.decode("utf-8-sig").splitlines()
    assert table.headers["content-disposition"].startswith("attachment")
    assert sorted({int(line.split(";")[0]) for line in lines[1:]}, reverse=True) == [int(seq) for seq in unsaid]
    assert complaints(tab) == []


async def test_small_pictures_come_and_what_the_archive_no_longer_holds_is_said(tmp_path: Path) -> None:
    async with looked_back(tmp_path, f"#history/before={LAST_WITHOUT_IMAGE + 3}&most=4", height=1400) as (tab, _):
        await tab.until(f"{ROWS}.length === 4")
        await tab.until(f"{ROWS}[0].querySelector('img')?.naturalWidth > 0")
        await tab.until(f"{ROWS}[3].textContent.includes('no longer in the archive')")
        size = await tab.evaluate(f"{ROWS}[0].querySelector('img').naturalWidth")

    assert size == 192
    assert complaints(tab) == []


async def test_the_form_makes_the_address_and_reasons_are_words(tmp_path: Path) -> None:
    async with looked_back(tmp_path, "#history") as (tab, _):
        await tab.until(f"{ROWS}.length > 5")
        await tab.evaluate("document.querySelector('#reasons [value=NO_IMAGE]').click()")
        await tab.evaluate("document.querySelector('#reasons [value=BYPASS]').click()")
        await tab.evaluate("document.querySelector('#filter button').click()")
        await tab.until(f"{ROWS}.length === 2")
        address = await tab.evaluate("location.hash")
        words = await tab.evaluate(f"{ROWS}.map((row) => row.cells[4].textContent)")
        broken = await tab.evaluate("document.documentElement.scrollWidth > innerWidth")

    assert address in ("#history/reason=NO_IMAGE&reason=BYPASS", "#history/reason=BYPASS&reason=NO_IMAGE")
    assert words == ["The image never came", "A person answered for this part, not the inspection"]
    assert not broken


async def test_one_field_finds_part_count_image_and_time(tmp_path: Path) -> None:
    groups = "[...document.querySelectorAll('#foundgroups section')]"
    async with looked_back(tmp_path, "#find/30") as (tab, _):
        await tab.until(f"{groups}.length === 2")
        both = await tab.evaluate(
            f"{groups}.map((g) => [g.querySelector('h2').textContent, g.querySelectorAll('tbody tr').length])"
        )
        for text, rows in (("CAM2_0010*", 5), ("CAM1_00041.png", 1), ("2026-11-23T10:43:00Z", 2), ("nothing such", 0)):
            await tab.evaluate(f"document.getElementById('findtext').value = {json.dumps(text)}")
            await tab.evaluate("document.querySelector('#findform button').click()")
            await tab.until(
                f"location.hash.startsWith('#find/') && decodeURIComponent(location.hash).includes({json.dumps(text)})"
            )
            await tab.until(f"{groups}.length === 1 && {groups}[0].querySelectorAll('tbody tr').length === {rows}")
        title = await tab.evaluate(f"{groups}[0].querySelector('h2').textContent")

    assert both == [["Part number 30", 1], ["Count 30 of the controller", 2]]
    assert "nothing such" in title
    assert complaints(tab) == []


async def test_the_keys_lead_from_part_to_part_and_from_reject_to_reject(tmp_path: Path) -> None:
    async with looked_back(tmp_path, "#part/60") as (tab, _):
        await tab.until("document.querySelectorAll('#partbody .zoom img').length === 2")
        shown = [await tab.evaluate(PART)]
        for key, expected in (("ArrowRight", 61), ("ArrowLeft", 60), ("j", 70), ("k", 60)):
            await press(tab, key)
            await tab.until(f"{PART} === 'Part {expected}' && !document.getElementById('partnext').hidden")
            shown.append(await tab.evaluate(PART))
        await tab.until("document.querySelectorAll('#partbody .zoom').length === 2")
        cameras = await tab.evaluate("document.querySelector('#partbody h2').textContent")
        await tab.evaluate("location.hash = '#part/1'")
        await tab.until(f"{PART} === 'Part 1' && !document.getElementById('partnext').hidden")
        hidden = await tab.evaluate(
            "['partprevious', 'rejectprevious'].map((id) => document.getElementById(id).hidden)"
        )
        await tab.until("document.querySelector('#partbody .problem')")
        said = await tab.evaluate("document.querySelector('#partbody .problem').textContent")

    assert shown == ["Part 60", "Part 61", "Part 60", "Part 70", "Part 60"]
    assert cameras.startswith("Camera 1")
    assert hidden == [True, True]
    assert "not in the archive" in said


async def test_a_picture_is_zoomed_by_keys_buttons_wheel_and_two_fingers(tmp_path: Path) -> None:
    zoom = "document.querySelector('#partbody .zoom')"
    async with looked_back(tmp_path, "#part/61") as (tab, _):
        await tab.until(f"{zoom}.querySelector('img').naturalWidth > 0")
        await press(tab, "+", zoom)
        by_key = float(await tab.evaluate(f"{zoom}.dataset.scale"))
        await tab.evaluate("document.querySelector('.zoombuttons button').click()")
        by_button = float(await tab.evaluate(f"{zoom}.dataset.scale"))
        box = await tab.evaluate(
            f"(() => {{ const b = {zoom}.getBoundingClientRect(); return [b.x + 50, b.y + 50]; }})()"
        )
        await tab.call("Input.dispatchMouseEvent", type="mouseWheel", x=box[0], y=box[1], deltaX=0, deltaY=-200)
        await tab.until(f"Number({zoom}.dataset.scale) > {by_button}")
        await press(tab, "ArrowRight", zoom)
        still = await tab.evaluate(PART)
        await press(tab, "0", zoom)
        whole = float(await tab.evaluate(f"{zoom}.dataset.scale"))
        await tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
        for kind, reach in (("touchStart", 20), ("touchMove", 60)):
            fingers = [{"x": box[0] + 100 + way * reach, "y": box[1] + 100, "id": max(way, 0)} for way in (-1, 1)]
            await tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
        await tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        await tab.until(f"Number({zoom}.dataset.scale) > 2")

    assert 1 < by_key < by_button
    assert still == "Part 61"
    assert whole == 1


async def test_the_queue_asks_for_name_and_token_once_and_goes_on(tmp_path: Path) -> None:
    title, form = "document.querySelector('#queuepart h2').textContent", "document.querySelector('#queuepart form')"
    async with looked_back(tmp_path, "#review") as (tab, at):
        await tab.until(f"{title}.includes('Part')")
        first = await tab.evaluate(title)
        why = await tab.evaluate("document.querySelector('.whyhere').textContent")
        await tab.evaluate(f"{form}.elements.by.value = 'Ada'; {form}.elements.token.value = {json.dumps('x' * 20)}")
        await tab.evaluate(f"{form}.querySelector('[value=OVERTURNED]').click()")
        await tab.until(f"{form}.textContent.includes('wrong or missing')")
        await tab.evaluate(f"{form}.elements.token.value = {json.dumps(TOKEN)}")
        await tab.evaluate(f"{form}.querySelector('[value=OVERTURNED]').click()")
        await tab.until(f"{title} !== {json.dumps(first)}")
        asked_again = await tab.evaluate(f"!{form}.querySelector('.who').hidden")
        await tab.until(f"{title}.includes('PASS') || (document.getElementById('queuenext').click(), false)")
        words = await tab.evaluate(f"[...{form}.querySelectorAll('button[value]')].map((b) => b.textContent)")
        passed = await tab.evaluate(title)
        await tab.evaluate(f"{form}.querySelector('[value=ESCAPE]').click()")
        await tab.until(f"{title} !== {json.dumps(passed)}")
        said = [(review.says, review.by) for review in at.reviews]

    assert "near the limit" in why
    assert not asked_again
    assert words == ["Rightly passed", "Was a defective part: an escape"]
    assert said == [("OVERTURNED", "Ada"), ("ESCAPE", "Ada")]


async def test_what_if_is_opened_by_bookmark_and_names_the_escapes(tmp_path: Path) -> None:
    moved = "document.getElementById('movedresult').textContent"
    async with looked_back(tmp_path, "#whatif/bundle/0.5") as (tab, _):
        await tab.until(f"{moved}.includes('known escapes')")
        low = await tab.evaluate(moved)
        bars = await tab.evaluate("document.querySelectorAll('#histogram rect').length")
        of_how_many = await tab.evaluate("document.getElementById('movedwords').textContent")
        await tab.evaluate(
            "(() => { const s = document.getElementById('slider'); s.value = 2.6;"
            " s.dispatchEvent(new Event('input')); })()"
        )
        await tab.until("location.hash.startsWith('#whatif/bundle/2.6')")
        await tab.until(f"{moved}.includes('⚠')")
        links = await tab.evaluate("[...document.querySelectorAll('#movedresult .bad a')].map((a) => a.textContent)")

    assert "1 known escapes that it would reject" in low
    assert bars > 10
    assert of_how_many.startswith("Of 124 parts that the score of this bundle decided, from ")
    assert links == [str(CONFIRMED), str(ESCAPE)]
    assert complaints(tab) == []


async def test_every_view_opens_over_an_empty_journal(tmp_path: Path) -> None:
    async with looked_back(tmp_path, "#history", parts=0) as (tab, _):
        await tab.until("document.getElementById('found').textContent === 'No such part.'")
        for address, words in (
            ("#whatif", "No part was judged by a bundle yet."),
            ("#whatif/gone/1.5", "No part was judged by a bundle yet."),
            ("#review", "Nothing to look at"),
            ("#part/1", "there is no part 1 in the journal"),
            ("#part", "A part has a number"),
            ("#find/1", "No such part."),
            ("#find", "Type something"),
            ("#find/%", "No such part."),
        ):
            await tab.evaluate(f"location.hash = {json.dumps(address)}")
            await tab.until(f"document.querySelector('.view:not([hidden])').innerText.includes({json.dumps(words)})")
        assert complaints(tab) == []


@pytest.mark.parametrize("width", [1280, 1024, 390])
async def test_nothing_is_wider_than_the_screen_and_everything_has_a_name(tmp_path: Path, width: int) -> None:
    nameless = """[...document.querySelectorAll(
      '.view:not([hidden]) :is(a, button, input, select, img, svg, [role=group])')]
      .filter((e) => e.checkVisibility() && !e.closest('[aria-hidden]')
        && !(e.getAttribute('aria-label') || e.alt || e.textContent.trim() || e.labels?.length || e.title))
      .map((e) => e.outerHTML)"""
    async with looked_back(tmp_path, "#history", width=width) as (tab, _):
        for address, ready in (
            ("#history", f"{ROWS}.length > 5"),
            ("#part/60", "document.querySelector('#partbody .zoom img')?.naturalWidth > 0"),
            ("#review", "document.querySelector('#queuepart .zoom img')?.naturalWidth > 0"),
            ("#whatif", "document.querySelectorAll('#movedresult .moved').length > 3"),
            ("#find/30", "document.querySelectorAll('#foundgroups table').length === 2"),
        ):
            await tab.evaluate(f"location.hash = {json.dumps(address)}")
            await tab.until(ready)
            view = f"document.getElementById({json.dumps(address[1:].split('/')[0])})"
            assert await tab.evaluate(f"{view}.scrollWidth <= {view}.clientWidth"), (address, width)
            assert await tab.evaluate(nameless) == [], (address, width)


async def test_an_answer_to_an_older_question_is_not_shown(tmp_path: Path) -> None:
    async with looked_back(tmp_path, "#history") as (tab, _):
        await tab.until(f"{ROWS}.length > 5")
        await tab.evaluate("location.hash = '#history/verdict=PASS'; location.hash = '#history/verdict=FAULT'")
        await tab.until(f"{ROWS}.length === 1 && {TOTALS}.startsWith('1 part: 1 FAULT')")
        await asyncio.sleep(0)
        assert await tab.evaluate(f"{ROWS}[0].cells[3].textContent") == "FAULT"

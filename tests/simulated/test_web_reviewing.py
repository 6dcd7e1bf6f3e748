"""Reviews by several people in a real browser: drawing by mouse, pen, finger and keys; disputes; sessions that end."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.people.roles import Role
from tests.security.people_site import ADA, LIN, QUINN, change
from tests.security.web_site import TOKEN
from tests.simulated.browser import CHROMIUM
from tests.simulated.reviewing_site import (
    HEIGHT,
    WIDTH,
    drag,
    finger,
    key,
    open_part,
    place,
    reviewed_line,
    say,
    shapes,
    sign_in,
    signed_in,
    take,
)
from tests.simulated.test_web_access import _AXE, _BROKEN_WORDS, _WIDER_THAN_THE_SCREEN, SCREENS
from tests.unit.test_drawing import drawing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

SIZE = {"camera": 1, "width": WIDTH, "height": HEIGHT}
KEPT = "JSON.stringify({ ...sessionStorage })"


def near(points: Any, wanted: list[tuple[int, int]], by: int = 1) -> bool:
    return len(points) == len(wanted) and all(
        abs(x - a) <= by and abs(y - b) <= by for (x, y), (a, b) in zip(points, wanted, strict=True)
    )


# --- drawing ---------------------------------------------------------------------------------------------


async def test_a_rectangle_by_mouse_and_an_outline_by_pen_are_kept_in_the_images_own_pixels(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await open_part(tab, 70)
        await take(tab, "rectangle")
        await drag(tab, (90, 60), (120, 100), (150, 120))
        await take(tab, "outline")
        await drag(tab, (200, 60), (240, 60), (240, 100), (200, 100), (200, 62), tool="pen")
        assert [text.split(":")[0] for text in await shapes(tab)] == ["Rectangle 1", "Outline 2"]
        await tab.evaluate("document.querySelectorAll('#part .chips button')[1].click()")
        assert (await say(tab, "CONFIRMED")).startswith("In the journal: rightly rejected.")

        (review,) = at.reviews
        assert review.defect == "dent"
        (drawn,) = review.drawings
        assert {"camera": drawn.camera, "width": drawn.width, "height": drawn.height} == SIZE
        assert near(drawn.shapes[0].points, [(90, 60), (150, 120)])
        assert drawn.shapes[1].kind == "outline"
        left, top, right, bottom = drawn.shapes[1].box
        assert near([(left, top), (right, bottom)], [(200, 60), (240, 100)])
        # Shown again, dashed, as somebody's; what was hers to send is gone.
        await tab.until("document.querySelectorAll('#part svg.others .other').length === 2")
        title = await tab.evaluate("document.querySelector('#part svg.others title').textContent")
        assert title == "dent · Lin (operator)"
        assert await shapes(tab) == []
        assert await tab.evaluate(KEPT) == "{}"


async def test_drawing_at_zoom_lands_where_the_hand_was_and_the_picture_stays(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await open_part(tab, 70)
        for _ in range(4):
            await tab.evaluate("document.querySelector('#part .zoombuttons button').click()")
        await take(tab, "rectangle")
        before = await place(tab)
        await drag(tab, (150, 110), (160, 115), (170, 130))
        assert await place(tab) == before, "one finger draws and does not move the picture"
        await say(tab, "CONFIRMED")
        assert near(at.reviews[0].drawings[0].shapes[0].points, [(150, 110), (170, 130)])


async def test_a_finger_draws_on_a_small_screen_and_two_fingers_zoom(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path, width=390, height=844) as (tab, at):
        await tab.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        await sign_in(tab, LIN)
        await open_part(tab, 70)
        await take(tab, "rectangle")
        await place(tab)
        scrolled = await tab.evaluate("scrollY")
        await finger(tab, [(90, 60)], [(120, 90)], [(150, 120)])
        assert len(await shapes(tab)) == 1
        assert await tab.evaluate("scrollY") == scrolled, "the page does not scroll under the finger"
        await finger(tab, [(150, 100)], [(150, 100), (170, 130)], [(120, 80), (200, 160)], [(100, 60), (220, 180)])
        assert float(await tab.evaluate("document.querySelector('#part .zoom').dataset.scale")) > 1.5
        assert len(await shapes(tab)) == 1, "what the first of two fingers began is not meant"
        await say(tab, "CONFIRMED")
        assert near(at.reviews[0].drawings[0].shapes[0].points, [(90, 60), (150, 120)], by=2)


async def test_a_hand_that_lies_on_the_screen_beside_the_pen_neither_zooms_nor_ends_the_line(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path) as (tab, at):
        await tab.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        await sign_in(tab, LIN)
        await open_part(tab, 70)
        await take(tab, "rectangle")
        left, top, scale = await place(tab)

        async def pen(kind: str, x: int, y: int) -> None:
            where = {"x": left + x * scale, "y": top + y * scale, "button": "left", "pointerType": "pen"}
            await tab.call("Input.dispatchMouseEvent", type=kind, buttons=1, clickCount=1, **where)

        async def hand(kind: str, *at: tuple[int, int]) -> None:
            points = [{"x": left + x * scale, "y": top + y * scale} for x, y in at]
            await tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

        await hand("touchStart", (250, 200))
        await pen("mousePressed", 90, 60)
        await hand("touchMove", (255, 205))
        await pen("mouseMoved", 120, 100)
        await hand("touchEnd")
        await hand("touchStart", (260, 200))
        await pen("mouseMoved", 150, 120)
        await pen("mouseReleased", 150, 120)
        await hand("touchEnd")
        assert await tab.evaluate("document.querySelector('#part .zoom').dataset.scale ?? '1.00'") == "1.00"
        await say(tab, "CONFIRMED")
        assert near(at.reviews[0].drawings[0].shapes[0].points, [(90, 60), (150, 120)])


async def test_the_keys_alone_lay_down_move_size_and_remove_a_rectangle_and_say_the_word(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await open_part(tab, 70)
        await tab.evaluate("document.activeElement.blur()")
        await key(tab, "r")
        await key(tab, "Enter")
        assert (await shapes(tab)) == ["Rectangle 1: 80 \u00d7 60 px at 120, 90"]
        for _ in range(3):
            await key(tab, "ArrowLeft")
        await key(tab, "ArrowDown")
        await key(tab, "ArrowRight", shift=True)
        assert (await shapes(tab)) == ["Rectangle 1: 83 \u00d7 60 px at 111, 93"]
        for _ in range(60):
            await key(tab, "ArrowUp")
        assert (await shapes(tab)) == ["Rectangle 1: 83 \u00d7 60 px at 111, 0"], "it does not leave the image"
        await key(tab, "Enter")
        await key(tab, "Delete")
        assert len(await shapes(tab)) == 1
        await key(tab, "z", ctrl=True)
        assert len(await shapes(tab)) == 2, "undone"
        await key(tab, "z", ctrl=True)
        assert len(await shapes(tab)) == 1
        await key(tab, "Escape")
        await key(tab, "m")
        await tab.call("Input.insertText", text="burr")
        await tab.evaluate("document.activeElement.blur()")
        await key(tab, "b")
        assert await tab.evaluate("document.activeElement.value") == "CONFIRMED"
        assert at.reviews == [], "the key leads to the button and says nothing itself"
        await key(tab, "Enter")
        await tab.until("document.querySelector('#part .saidword')")
        assert (at.reviews[0].defect, at.reviews[0].drawings[0].shapes[0].points) == ("burr", ((111, 0), (194, 60)))
        await tab.evaluate("document.activeElement.blur()")
        await key(tab, "?")
        await tab.until("document.getElementById('keyhelp').open")
        assert "draw a rectangle" in await tab.evaluate("document.getElementById('keyhelp').innerText")


async def test_undo_clear_too_many_and_a_good_part_with_a_drawing(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await open_part(tab, 70)
        await take(tab, "rectangle")
        await drag(tab, (10, 10), (10, 10))
        assert await shapes(tab) == [], "a tap is no place"
        for n in range(13):
            await drag(tab, (20 * n + 5, 20), (20 * n + 20, 40))
        assert len(await shapes(tab)) == 12
        assert "at most 12" in await tab.evaluate("document.querySelector('#part .drawsaid').textContent")
        assert await say(tab, "OVERTURNED") == "A good part has no defect: clear its name and the drawing first."
        await tab.evaluate("[...document.querySelectorAll('#part .drawing button')].at(-1).click()")
        assert await shapes(tab) == []
        await key(tab, "z")
        assert len(await shapes(tab)) == 12
        assert at.reviews == []


async def test_a_long_line_around_a_place_keeps_its_form_with_few_points(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path, parts=40) as (tab, _):
        found = await tab.evaluate(
            """import('./shapes.js').then(({ outline, boxOf, isPlace, MOST_POINTS }) => {
              const hand = (n) => [...Array(n).keys()].map((i) => ({
                x: Math.round(800 + (500 + 20 * Math.sin(i)) * Math.cos(2 * Math.PI * i / n)),
                y: Math.round(600 + (300 + 20 * Math.cos(i)) * Math.sin(2 * Math.PI * i / n)),
              }));
              return [10, 300, 5000].map((n) => {
                const shape = outline(hand(n)), box = boxOf(shape);
                return [shape.points.length <= MOST_POINTS, box.width > 900, box.height > 500, isPlace(shape)];
              });
            })"""
        )
        assert found == [[True] * 4] * 3


async def test_a_line_without_users_draws_and_names_too(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path, has_users=False) as (tab, at):
        await open_part(tab, 70)
        await tab.evaluate(
            f"""(() => {{ const fields = document.querySelector('#part form.say').elements;
            fields.by.value = 'Ada'; fields.token.value = '{TOKEN}'; }})()"""
        )
        await take(tab, "rectangle")
        await drag(tab, (90, 60), (150, 120))
        await say(tab, "CONFIRMED")
        assert near(at.reviews[0].drawings[0].shapes[0].points, [(90, 60), (150, 120)])


# --- several people --------------------------------------------------------------------------------------


async def test_a_second_reader_sees_no_first_word_until_hers_is_said_or_she_asks_for_it(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path, percent=100) as (tab, at):
        lin = await signed_in(at, LIN)
        for seq in (70, 80):
            await lin.review(seq, says="CONFIRMED", defect="<b>scratch</b>", note="left", drawings=[drawing()])
        await sign_in(tab, ADA)
        await open_part(tab, 70)
        shown = await tab.evaluate("document.getElementById('partbody').innerText")
        assert "Somebody has read this part." in shown
        assert "left" not in shown.replace("Left", "")
        assert await tab.evaluate("document.querySelectorAll('#part .other').length") == 0
        await say(tab, "CONFIRMED")
        await tab.until("document.querySelectorAll('#part .saidword').length === 2")
        assert "<b>scratch</b>" in await tab.evaluate("document.querySelector('#part .saidword').textContent")
        assert await tab.evaluate("document.querySelectorAll('#part .other').length") == 1
        await open_part(tab, 80)
        await tab.evaluate("document.activeElement.blur()")
        await key(tab, "s")
        await tab.until("document.querySelectorAll('#part .saidword').length === 1")
        await tab.until("document.querySelector('#part form.say')")
        await say(tab, "CONFIRMED")
        assert [one.blind for one in at.reviews[2:]] == [True, False]


async def test_what_people_differ_over_comes_to_whom_it_is_for_and_to_nobody_else(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path) as (tab, at):
        change(at.site.settings, lambda users: users.with_added("Ben", Role.OPERATOR, "battery horse staple"))
        lin, ada = await signed_in(at, LIN), await signed_in(at, ADA)
        await lin.review(70, says="CONFIRMED", drawings=[drawing()])
        await ada.review(70, says="OVERTURNED")
        await sign_in(tab, QUINN)
        await tab.evaluate("location.hash = '#review'")
        await tab.until("document.querySelector('#queuepart h2 a')?.textContent === 'Part 70'")
        await tab.until("document.querySelector('#review svg.own')")
        assert "Your word decides." in await tab.evaluate("document.getElementById('queuepart').innerText")
        assert await tab.evaluate("document.querySelectorAll('#review .other').length") == 1
        await tab.evaluate("document.activeElement.blur()")
        await key(tab, "2")
        await tab.until("document.querySelectorAll('#queuelist li').length === 1")
        await tab.until("document.querySelector('#review form.say button[value=CONFIRMED]')")
        await tab.evaluate("document.querySelector('#review form.say button[value=CONFIRMED]').click()")
        await tab.until("document.getElementById('queuesaid').textContent.includes('the last of them')")
        assert (await ada.ask("/api/parts/70")).json["standing"] == "CONFIRMED"
        await key(tab, "2")
        await tab.until("document.getElementById('queuesaid').textContent === 'People differ over no part.'")


async def test_a_word_of_the_wrong_role_is_refused_and_the_drawing_stays(tmp_path: Path) -> None:
    """The part became disputed, and this person an operator, while she drew."""
    async with reviewed_line(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await open_part(tab, 70)
        await take(tab, "rectangle")
        await drag(tab, (90, 60), (150, 120))
        quinn, ada = await signed_in(at, QUINN), await signed_in(at, ADA)
        await quinn.review(70, says="CONFIRMED")
        await ada.review(70, says="OVERTURNED", seen=1)
        refused = "People differ over part 70. Who decides it is: quality assurance, engineer."
        assert await say(tab, "CONFIRMED") == refused
        assert len(await shapes(tab)) == 1
        assert "90" in await tab.evaluate(KEPT)
        await open_part(tab, 80)
        await tab.evaluate("location.hash = '#part/70'")
        await tab.until("document.querySelector('#part .standing strong')")
        await tab.until("document.body.innerText.includes('Somebody of quality assurance or an engineer decides.')")
        assert len(at.reviews) == 2


async def test_of_two_at_once_the_second_is_told_and_her_drawing_stays(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path) as (tab, at):
        await sign_in(tab, QUINN)
        await open_part(tab, 70)
        await take(tab, "rectangle")
        await drag(tab, (90, 60), (150, 120))
        lin = await signed_in(at, LIN)
        await lin.review(70, says="OVERTURNED", seen=0)
        assert (await say(tab, "CONFIRMED")).startswith("Lin (operator) was first, at ")
        await tab.until("document.querySelector('#part .saidword')?.textContent.includes('Lin')")
        assert len(await shapes(tab)) == 1
        await tab.until("!document.querySelector('#part form.say button[value=CONFIRMED]').disabled")
        assert "People differ over this part now" in await say(tab, "CONFIRMED")  # having looked again
        assert near(at.reviews[1].drawings[0].shapes[0].points, [(90, 60), (150, 120)])


async def test_a_session_that_ended_loses_no_drawing_and_after_signing_in_again_it_is_sent(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await open_part(tab, 70)
        await take(tab, "rectangle")
        await drag(tab, (90, 60), (150, 120))
        await tab.evaluate(
            """(() => { const field = document.querySelector('#part [name=note]'); field.value = 'at the edge';
            field.dispatchEvent(new Event('input')); })()"""
        )
        at.site.access.sessions._held.clear()  # as when the page's process was started again
        said = await say(tab, "CONFIRMED")
        assert said.startswith("sign in first · What you drew and wrote is kept.")
        await tab.until("document.querySelector('#part form.say [role=status] a[href=\"#signin\"]')")
        assert at.reviews == []

        await sign_in(tab, ADA)  # somebody else signs in at this browser: it is not hers
        await tab.until("document.querySelector('#part form.say')?.innerText.includes('Ada')")
        assert await shapes(tab) == []
        await tab.evaluate("location.hash = '#signin'")
        await tab.until("document.getElementById('signout').checkVisibility()")
        await tab.evaluate("document.getElementById('signout').click()")
        await tab.until("document.getElementById('signinform').checkVisibility()")

        await sign_in(tab, LIN)
        await tab.until("document.querySelectorAll('#part .shapelist li').length === 1")
        await tab.until("document.querySelector('#part form.say [role=status]')?.textContent.includes('Press')")
        await tab.until("document.activeElement.value === 'CONFIRMED'")
        await key(tab, "Enter")
        await tab.until("document.querySelector('#part .saidword')")
        (review,) = at.reviews
        assert (review.by, review.note) == (LIN, "at the edge")
        assert near(review.drawings[0].shapes[0].points, [(90, 60), (150, 120)])
        assert await tab.evaluate(KEPT) == "{}"


async def test_a_page_that_is_loaded_again_keeps_the_drawing_and_signing_out_takes_it_away(tmp_path: Path) -> None:
    async with reviewed_line(tmp_path) as (tab, at):
        await sign_in(tab, LIN)
        await open_part(tab, 70)
        await take(tab, "rectangle")
        await drag(tab, (90, 60), (150, 120))
        await tab.evaluate("location.reload()")
        await tab.until("document.querySelectorAll('#part .shapelist li').length === 1")
        await tab.evaluate("location.hash = '#signin'")
        await tab.until("document.getElementById('signout').checkVisibility()")
        await tab.evaluate("document.getElementById('signout').click()")
        await tab.until("document.getElementById('signinform').checkVisibility()")
        assert await tab.evaluate(KEPT) == "{}"
        assert at.reviews == []


# --- for everybody ---------------------------------------------------------------------------------------

_SMALL = """[...document.querySelectorAll('main:not([hidden]) :is(button, .partbar a, .say input)')]
  .filter((one) => one.checkVisibility() && !one.closest('#queuelist'))
  .map((one) => [one.textContent || one.name, one.getBoundingClientRect()])
  .filter(([, box]) => box.width < 43.9 || box.height < 43.9)
  .map(([name, box]) => `${name} ${box.width} x ${box.height}`)"""


async def test_axe_finds_nothing_and_every_target_is_large_enough_for_a_finger(tmp_path: Path) -> None:
    script = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    async with reviewed_line(tmp_path, percent=100) as (tab, at):
        lin, ada = await signed_in(at, LIN), await signed_in(at, ADA)
        await lin.review(70, says="CONFIRMED", defect="scratch", drawings=[drawing()])
        await ada.review(70, says="OVERTURNED")
        await lin.review(80, says="CONFIRMED", defect="d" * 60, drawings=[drawing()])
        await sign_in(tab, QUINN)
        await tab.evaluate(f"{script}; undefined")
        for view in ("review", "part/70", "part/80"):
            await tab.evaluate(f"location.hash = '#{view}'")
            main = view.split("/")[0]
            await tab.until(f"document.querySelector('#{main} svg.own') && document.querySelector('#{main} form.say')")
            await take(tab, "rectangle")
            await key(tab, "Enter")
            await tab.evaluate("document.getElementById('agreement').open = true")
            await tab.until("document.getElementById('agreementbody').textContent")
            for width, height in SCREENS:
                await tab.resize(width, height)
                for dark in (False, True):
                    await tab.look(dark=dark)
                    look = f"{view} at {width} px, {'dark' if dark else 'light'}"
                    if wrong := await tab.evaluate(_AXE):
                        found[look] = wrong
                    if await tab.evaluate(_WIDER_THAN_THE_SCREEN):
                        found[f"{look}: scrolls sideways"] = view
                    if broken := await tab.evaluate(_BROKEN_WORDS):
                        found[f"{look}: broken"] = broken
                    if small := await tab.evaluate(_SMALL):
                        found[f"{look}: too small"] = small
    assert not found, json.dumps(found, indent=1)

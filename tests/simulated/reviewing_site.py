"""A line whose parts people review in a real browser: what its tests do with mouse, finger and keys."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from edge_agent.store.journal import Journal
from tests.security.people_site import PASSWORDS, Visitor, change, team
from tests.security.web_site import served, web_settings
from tests.simulated.browser import browser
from tests.simulated.looking_back_site import write_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.security.web_site import Served
    from tests.simulated.browser import Browser

WIDTH, HEIGHT = 320, 240
"""Of each image of the line, in pixels."""
_PLACE = """(() => {
  const over = document.querySelector('main:not([hidden]) svg.own');
  over.scrollIntoView({ block: 'center' });
  const box = over.getBoundingClientRect(), scale = Math.min(box.width / 320, box.height / 240);
  return [box.left + (box.width - 320 * scale) / 2, box.top + (box.height - 240 * scale) / 2, scale];
})()"""


@asynccontextmanager
async def reviewed_line(
    folder: Path, *, has_users: bool = True, percent: int = 0, width: int = 1280, height: int = 900, parts: int = 130
) -> AsyncIterator[tuple[Browser, Served]]:
    """The page over a line with pictures, three users where it has some, and an agent that writes reviews."""
    settings = web_settings(folder)
    await write_line(settings, parts)
    if has_users:
        change(settings, team())
    asked = settings.review.model_copy(update={"read_twice_percent": percent, "defects": ("scratch", "dent")})
    journal = await asyncio.to_thread(Journal.open, settings.store.journal)
    try:
        async with (
            served(settings.model_copy(update={"review": asked})) as at,
            browser(f"http://127.0.0.1:{at.port}/", width=width, height=height) as tab,
        ):
            at.write_review = journal.event
            yield tab, at
    finally:
        await asyncio.to_thread(journal.close)


async def signed_in(at: Served, name: str) -> Visitor:
    """Another person, at another browser."""
    visitor = Visitor(at)
    assert (await visitor.sign_in(name)).status == 200
    return visitor


async def sign_in(tab: Browser, name: str) -> None:
    """As a person does it; the browser goes back to where it came from."""
    await tab.until("document.getElementById('who') && !document.getElementById('who').hidden")
    await tab.evaluate("location.hash = '#signin'")
    await tab.until("document.getElementById('signinform').checkVisibility()")
    said = json.dumps({"name": name, "password": PASSWORDS[name]})
    await tab.evaluate(
        f"""(() => {{
          const fields = document.getElementById('signinform').elements;
          for (const [name, value] of Object.entries({said})) fields[name].value = value;
          fields.go.click();
        }})()"""
    )
    await tab.until("!location.hash.startsWith('#signin')")


async def open_part(tab: Browser, seq: int) -> None:
    """The part's own page with its picture and its form."""
    await tab.evaluate(f"location.hash = '#part/{seq}'")
    await tab.until(f"document.getElementById('parttitle').textContent === 'Part {seq}'")
    await tab.until("document.querySelector('#part svg.own') && document.querySelector('#part form.say')")
    await tab.until("[...document.querySelectorAll('#part .sheet img')].every((image) => image.complete)")


async def place(tab: Browser) -> tuple[float, float, float]:
    """Where the image's upper left corner is on the screen, and how many screen pixels one of its pixels has."""
    left, top, scale = await tab.evaluate(_PLACE)
    return left, top, scale


async def take(tab: Browser, tool: str) -> None:
    """Press the button of a tool."""
    label = {"rectangle": "Rectangle", "outline": "Outline", "look": "Look"}[tool]
    await tab.evaluate(
        f"""[...document.querySelectorAll('main:not([hidden]) .drawing button')]
        .find((one) => one.textContent.startsWith('{label}')).click()"""
    )


async def drag(tab: Browser, *points: tuple[float, float], tool: str = "mouse") -> None:
    """From point to point of the image, by mouse or by pen."""
    left, top, scale = await place(tab)

    async def mouse(kind: str, x: float, y: float) -> None:
        where = {"x": left + x * scale, "y": top + y * scale, "button": "left", "pointerType": tool}
        await tab.call("Input.dispatchMouseEvent", type=kind, buttons=1, clickCount=1, **where)

    await mouse("mousePressed", *points[0])
    for point in points[1:]:
        await mouse("mouseMoved", *point)
    await mouse("mouseReleased", *points[-1])


async def finger(tab: Browser, *steps: list[tuple[float, float]]) -> None:
    """Each step is where the fingers are on the image; then all of them are lifted."""
    left, top, scale = await place(tab)

    async def touch(kind: str, fingers: list[tuple[float, float]]) -> None:
        points = [{"x": left + x * scale, "y": top + y * scale, "id": n} for n, (x, y) in enumerate(fingers)]
        await tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    fingers = 0
    for step in steps:
        await touch("touchStart" if len(step) > fingers else "touchMove", step)
        fingers = len(step)
    await touch("touchEnd", [])


async def key(tab: Browser, name: str, *, shift: bool = False, ctrl: bool = False) -> None:
    """Any key, down and up."""
    text = {"Enter": "\r"}.get(name, name if len(name) == 1 and not ctrl else "")
    named: dict[str, Any] = {"key": name, "modifiers": 8 * shift + 2 * ctrl}
    await tab.call("Input.dispatchKeyEvent", type="keyDown", **named, **({"text": text} if text else {}))
    await tab.call("Input.dispatchKeyEvent", type="keyUp", **named)


async def shapes(tab: Browser) -> list[str]:
    """What the list under the picture says of each shape."""
    buttons = "document.querySelectorAll('main:not([hidden]) .shapelist li button:first-child')"
    found = await tab.evaluate(f"[...{buttons}].map((one) => one.textContent)")
    return list(found)


async def say(tab: Browser, says: str) -> str:
    """Press the button of a word; what the form answers."""
    form = "document.querySelector('main:not([hidden]) form.say')"
    await tab.until(f"{form}.querySelector('button[value={says}]')")
    await tab.evaluate(f"{form}.querySelector('[role=status]').textContent = ''")
    await tab.evaluate(f"{form}.querySelector('button[value={says}]').click()")
    await tab.until(f"{form}.querySelector('[role=status]').textContent")
    return str(await tab.evaluate(f"{form}.querySelector('[role=status]').textContent"))

"""What the page is told of parts and conditions is in the language of its browser; what machines read is English."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent import wording
from edge_agent.feed.state import ArchivedKind
from edge_agent.settings import load_settings
from tests.security.web_site import agent_state, part_row, reject_row, served, web_settings, written

if TYPE_CHECKING:
    from pathlib import Path

    from tests.security.web_site import Served

DETAIL = "camera 1: score 2.5 is at or above the limit 1.5"
GERMAN = {
    "camera {camera}: {words}": "Kamera {camera}: {words}",
    "score {score} is at or above the limit {limit}": "Abweichung {score}, Grenzwert {limit}",
    "the inbox is not open": "der Bildeingang ist nicht offen",
    "no passes": "keine Gutteile",
    "there is no part {part} in the journal": "Teil {part} steht nicht im Journal",
}


class German:
    """A few words of it, whatever the catalogue has."""

    def gettext(self, text: str) -> str:
        return GERMAN.get(text, text)


@pytest.fixture(autouse=True)
def _german(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "_catalogue", lambda _: German())


async def state_in(at: Served, accepted: str) -> dict[str, Any]:
    """What a browser that reads these languages is told of the line first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(f"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept-Language: {accepted}\r\n\r\n".encode())
    await asyncio.wait_for(reader.readuntil(b"event: state\ndata: "), 10)
    told: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    return told


async def test_what_is_refused_is_said_in_the_language_of_the_browser(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [part_row(1)])
    async with served(settings) as at:
        german = await at.ask("/api/parts/7", headers={"Accept-Language": "de"})
        english = await at.ask("/api/parts/7")

    assert (german.status, german.body.decode()) == (404, "Teil 7 steht nicht im Journal")
    assert (english.status, english.body.decode()) == (404, "there is no part 7 in the journal")


async def test_two_browsers_are_told_the_same_each_in_its_language(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    camera = part_row(2).cameras[0]
    await written(settings.store.journal, [part_row(1), reject_row(2, detail=DETAIL, cameras=(camera,))])
    async with served(settings) as at:
        held = {"archive_passes": ArchivedKind(), "archive_others": ArchivedKind()}
        at.site.live.hear(agent_state(images="the inbox is not open").model_copy(update=held))
        german, english = await state_in(at, "de"), await state_in(at, "en-GB")
        details = [
            (await at.ask("/api/parts/2", headers={"Accept-Language": accepted})).json["detail"]
            for accepted in ("de-AT,en;q=0.5", "en", "fr")
        ]
        ready = (await at.ask("/readyz", headers={"Accept-Language": "de"})).json

    assert german["not_ready"] == {"images": "der Bildeingang ist nicht offen"}
    assert german["conditions"]["images"]["why_not"] == "der Bildeingang ist nicht offen"
    assert "keine Gutteile" in german["archive"]
    assert english["not_ready"] == {"images": "the inbox is not open"}
    assert details == ["Kamera 1: Abweichung 2.5, Grenzwert 1.5", DETAIL, DETAIL]
    assert ready["reasons"] == {"images": "the inbox is not open"}


async def test_a_browser_that_chose_none_is_answered_in_the_lines_language(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, [reject_row(1, detail=DETAIL)])
    toml = tmp_path / "line.toml"
    toml.write_text(toml.read_text().replace("[line]\n", '[line]\nlanguage = "de"\n'))
    async with served(load_settings(toml)) as at:
        by_line = (await at.ask("/api/parts/1", headers={"Accept-Language": "ja"})).json["detail"]
        by_choice = (await at.ask("/api/parts/1", headers={"Cookie": "language=en"})).json["detail"]

    assert by_line.startswith("Kamera 1")
    assert by_choice == DETAIL

"""A limit moved on the page of a real agent: by another process, while parts are judged, for the next start."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.store.journal import JournalReader
from edge_agent.wiring.free_ports import free_port
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.line import bad_image, good_image, line
from tests.simulated.test_web_page import until_it_listens

if TYPE_CHECKING:
    from pathlib import Path

# The page makes way for everything else on the machine: beside other work it is served seconds or minutes later.
pytestmark = pytest.mark.timeout(600)

TOKEN = "0123456789abcdefghij"  # noqa: S105 - of this test alone


def asked(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """One request of a person with the token: status and text, once the page is there."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as err:
        return err.code, err.read().decode()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
async def test_a_person_moves_the_limit_on_the_page(tmp_path: Path, thumbnail_bundle: Path) -> None:
    bundle, port = shutil.copytree(thumbnail_bundle, tmp_path / "bundles"), free_port()
    (tmp_path / "web_token").write_text(TOKEN)
    (tmp_path / "web_token").chmod(0o600)
    async with line(tmp_path, bundle, start=False) as at:
        at.config.write_text(at.config.read_text() + f'[web]\nport = {port}\ntoken_file = "web_token"\n')
        await at.start_agent()
        await at.until_ready()
        await until_it_listens(port)
        await at.controller.wire_trigger(bad_image(1))
        await at.until_rows(1)
        await asyncio.to_thread(asked, port, "/api/parts/1/review", {"says": "CONFIRMED", "by": "Ada", "seen": 0})
        async with browser(f"http://127.0.0.1:{port}/") as tab:
            await tab.until("document.getElementById('word').textContent === 'REJECT'")
            await tab.evaluate("location.hash = '#whatif'")
            await tab.until("document.querySelectorAll('#moved option').length === 1")
            await tab.evaluate("document.querySelector('#moved [name=limit]').value = 1000")
            await tab.evaluate("document.querySelector('#moved button').click()")
            await tab.until("document.getElementById('offer') !== null")
            await tab.evaluate("document.getElementById('offer').click()")
            await tab.until("document.getElementById('relimit') !== null")
            shown = await tab.evaluate("document.getElementById('relimit').parentElement.textContent")
            fill = "for (const [name, value] of Object.entries({by: 'A. <b>Weber', why: 'a try', token: '%s'})) "
            await tab.evaluate(
                f"(() => {{ {fill % TOKEN} document.getElementById('relimit').elements[name].value = value }})()"
            )
            await tab.evaluate(
                "document.querySelector('#relimit button').click()"
            )  # refused by the browser: not ticked
            before = Bundle.load(bundle).id
            await tab.evaluate("document.querySelector('#relimit [name=although]').click()")
            await tab.evaluate("document.querySelector('#relimit button').click()")
            await tab.until(
                "document.querySelector('#relimit [role=status]').textContent.includes('is activated')", 400
            )
            complaints = [said for said in tab.said if "ERR_" not in said and "status of 503" not in said]
        await at.stop_agent()

    after = Bundle.load(tmp_path / "bundles")
    assert "Known defects that would passPart 1" in shown
    assert "from the agent's next start on" in shown
    assert (after.limit, after.manifest["limit_changes"][0]["parent"]) == (1000.0, before)
    assert after.manifest["limit_changes"][0]["by"] == "A. <b>Weber"
    assert after.manifest["limit_changes"][0]["known_defects"] == ["part 1"]
    assert complaints == []


async def test_the_limit_is_moved_beside_the_engine_and_taken_at_the_next_start(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    bundle, port = shutil.copytree(thumbnail_bundle, tmp_path / "bundles"), free_port()
    before = Bundle.load(bundle)
    (tmp_path / "web_token").write_text(TOKEN)
    (tmp_path / "web_token").chmod(0o600)
    async with line(tmp_path, bundle, start=False) as at:
        at.config.write_text(at.config.read_text() + f'[web]\nport = {port}\ntoken_file = "web_token"\n')
        await at.start_agent()
        await at.until_ready()
        await until_it_listens(port)
        await at.controller.wire_trigger(bad_image(1))
        (bad,) = await at.until_rows(1)
        assert bad.score is not None
        to = bad.score * 2
        reviewed, _ = await asyncio.to_thread(
            asked, port, "/api/parts/1/review", {"says": "CONFIRMED", "by": "Ada", "seen": 0}
        )
        status, told = await asyncio.to_thread(asked, port, f"/api/limit?bundle={before.id}&limit={to}")
        seen = json.loads(told)
        wish = {"bundle": before.id, "limit": to, "by": "A. Weber", "why": "a try", "told": seen["defects_digest"]}
        refused, why = await asyncio.to_thread(asked, port, "/api/limit", wish)
        assert Bundle.load(bundle).id == before.id

        moving = asyncio.create_task(
            asyncio.to_thread(asked, port, "/api/limit", wish | {"although_known_defects_pass": True})
        )
        number = 1
        while not moving.done():
            number += 1
            await at.controller.wire_trigger(good_image(number))
            await at.until_rows(number)
            await asyncio.sleep(0.5)
        moved, answer = await moving
        again, pending = await asyncio.to_thread(asked, port, f"/api/limit?bundle={before.id}&limit={to * 2}")

        await at.controller.wire_trigger(good_image(90))
        await at.until_rows(number + 1)
        await at.stop_agent()
        await at.start_agent()
        await at.until_ready()
        await at.controller.wire_trigger(good_image(91))
        rows = await at.until_rows(number + 2)
        await at.stop_agent()
        with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
            (said,) = [event.detail for event in journal.events() if event.kind == "LIMIT"]

    assert (reviewed, status, refused, moved, again) == (200, 200, 409, 200, 409), answer
    assert [one["part_seq"] for one in seen["known_defects_that_pass"]] == [1]
    assert "known defects would pass: part 1" in why
    new = json.loads(answer)
    after = Bundle.load(tmp_path / "bundles")
    assert (after.id, after.limit) == (new["bundle_id"], to)
    assert "next start" in new["takes_effect"]
    assert after.id[:12] in pending  # who looks again hears that another one is activated
    assert "set by A. Weber" in said
    assert {row.bundle_id for row in rows[:-1]} == {before.id}  # never half by one and half by another
    assert rows[-1].bundle_id == after.id
    assert [row.reason for row in rows[1:] if row.reason == "LATE"] == []

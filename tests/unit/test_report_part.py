"""edge-agent report part: one part of the journal as a page, its image out of the archive, its verdict in words."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.report.part import statement_of
from edge_agent.store.journal import Journal
from tests.command_line import edge_agent_here
from tests.fault.keyence_peer import bmp
from tests.unit.test_store_journal import part_row

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '<img src=x onerror=\\"alert(1)\\">'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return line_of_two_parts(tmp_path)


def line_of_two_parts(tmp_path: Path) -> Path:
    """A line with one rejected part, whose image is in the archive, and one whose image never came."""
    (tmp_path / "line.toml").write_text(
        f'schema_version = 1\n[line]\nname = "{HOSTILE}"\ndeadline_ms = 700\nmin_part_spacing_ms = 1000\n'
        '[images]\nspool = "spool"\n[images.folder]\npath = "in"\n[output]\nhost = "127.0.0.1"\n'
        '[[bundle]]\nprogram = 1\npath = "bundle"\n[store]\njournal = "j.sqlite3"\narchive = "archive"\n'
    )
    image = bmp()
    sha256 = hashlib.sha256(image).hexdigest()
    looked = {"shares": {"native": 2.5, "tone": 0.25}, "condition": {"brightness": -0.125}, "limit": 1.25}
    camera = replace(part_row().cameras[0], image_sha256=sha256, image_name="<b>1</b>.bmp", **looked)
    kept = tmp_path / "archive" / "2026-11-24"
    kept.mkdir(parents=True)
    (kept / f"part_000000000001_CAM{camera.camera}_REJECT_{sha256[:8]}.bmp").write_bytes(image)
    rows = [
        part_row(
            1,
            verdict=Verdict.REJECT,
            reason=Reason.SCORE,
            detail="camera 1: score 2.5",
            cameras=(camera,),
            decided_utc="2026-11-24T10:00:00.000+00:00",
        ),
        part_row(2, verdict=Verdict.REJECT, reason=Reason.NO_IMAGE, cameras=(), score=None, limit=None),
    ]

    async def write(journal: Journal) -> None:
        for row in rows:
            await journal.append(row)
        await journal.publication(1, Published.PUBLISHED, 1.0)
        await journal.event("REVIEW", json.dumps({"part_seq": 1, "says": "CONFIRMED", "by": "Ada", "note": "a dent"}))

    journal = Journal.open(tmp_path / "j.sqlite3")
    try:
        asyncio.run(write(journal))
    finally:
        journal.close()
    return tmp_path


def page(folder: Path, part: int) -> tuple[dict[str, object], str]:
    out = folder / "page.html"
    ran = edge_agent_here(
        "report", "part", str(part), "--config", str(folder / "line.toml"), "--out", str(out), "--json"
    )
    assert ran.code == 0, ran.err
    return json.loads(ran.out), out.read_text()


def test_a_part_has_its_verdict_in_words_its_facts_and_its_picture(folder: Path) -> None:
    said, text = page(folder, 1)

    assert said["statement"] == (
        "The part was rejected. Looks different from the good parts. The verdict was written to the output in time."
    )
    assert str(said["statement"]) in text
    assert "camera 1: score 2.5" in text
    assert "Fine detail 2.00; Brightness and colour 0.20" in text
    assert "Brightness -12%" in text
    assert "Ada said on" in text
    assert "rightly rejected. a dent" in text
    assert text.count('alt="image"') == 1
    assert "the bundle that judged it is gone" in text
    assert "<b>1</b>" not in text
    assert "<img src=x" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_what_people_drew_is_shown_over_the_picture_and_a_dispute_is_told(folder: Path) -> None:
    square = {"kind": "rectangle", "points": [[2, 2], [40, 30]]}
    drawn = {"camera": 1, "width": 64, "height": 48, "shapes": [square]}
    asyncio.run(
        reviewed(
            folder,
            {"part_seq": 1, "says": "OVERTURNED", "by": "Eve", "note": "", "role": "engineer"},
            {"part_seq": 1, "says": "CONFIRMED", "by": "Lin", "note": "", "defect": HOSTILE, "drawings": [drawn]},
            {"part_seq": 1, "says": "CONFIRMED", "by": "Lin", "note": "", "defect": "burr", "drawings": [drawn]},
        )
    )
    _, text = page(folder, 1)
    assert text.count("What people drew") == 1
    assert text.count("<figcaption>burr \u00b7 Lin \u00b7 camera 1</figcaption>") == 1, "the last word of a person"
    assert "The defect is called: burr." in text
    assert "Eve (engineer) said on" in text
    assert "People differ over this part, and nobody has decided" in text
    assert "<img src=x" not in text


async def reviewed(folder: Path, *reviews: dict[str, object]) -> None:
    journal = Journal.open(folder / "j.sqlite3")
    for review in reviews:
        await journal.event("REVIEW", json.dumps(review))
    journal.close()


def test_a_part_without_an_image_has_a_page_too(folder: Path) -> None:
    said, text = page(folder, 2)

    assert "The part was rejected. The image never came. The journal does not tell" in str(said["statement"])
    assert "No image of this part came." in text


def test_an_image_that_is_gone_or_was_changed_is_said_and_not_shown(folder: Path) -> None:
    (image,) = (folder / "archive").rglob("*.bmp")
    image.write_bytes(image.read_bytes() + b"x")
    _, changed = page(folder, 1)
    image.unlink()
    _, gone = page(folder, 1)

    assert "not the image that was judged" in changed
    assert "not in the archive" in gone
    assert 'alt="image"' not in changed + gone


def test_a_part_that_is_not_there_is_said_with_the_newest(folder: Path) -> None:
    out = folder / "page.html"
    ran = edge_agent_here("report", "part", "99", "--config", str(folder / "line.toml"), "--out", str(out))

    assert (ran.code, out.exists()) == (65, False)
    assert "the journal has no part 99: its newest is 2" in ran.err


def test_every_verdict_reason_and_fate_has_words() -> None:
    for verdict in Verdict:
        for reason in Reason:
            for published in (None, *Published):
                assert statement_of(verdict, reason, published).endswith(".")

"""A journal with parts of every kind, reviews and an archive with pictures: what the views for looking back show."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from edge_agent.domain import Judgement, Outcome, Published, Reason, Verdict
from edge_agent.store.journal import Journal
from tests.security.web_site import part_row, reject_row, served, web_settings
from tests.simulated.browser import browser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge_agent.settings import Settings
    from edge_agent.store.journal import PartRow
    from tests.security.web_site import Served
    from tests.simulated.browser import Browser

PARTS = 130
LAST_WITHOUT_IMAGE = 30
"""The archive made room: images of the parts up to this one are gone."""
BEGIN = datetime(2026, 11, 23, 10, tzinfo=UTC)
ESCAPE, CONFIRMED, OVERTURNED = 41, 50, 60


def image_of(seq: int, camera: int = 1) -> bytes:
    """A small picture with a mark by which parts differ."""
    image = Image.new("L", (320, 240), 150)
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 30, 260, 210), fill=210, outline=40, width=4)
    draw.rectangle((100 + seq % 90, 100, 112 + seq % 90, 120), fill=20 * camera)
    draw.text((8, 8), f"part {seq} camera {camera}", fill=0)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def row_of(seq: int) -> PartRow:
    """Every tenth is rejected, every 25th lies in the REVIEW band, one was passed by a person, one was not judged."""
    utc = (BEGIN + timedelta(seconds=20 * seq)).isoformat(timespec="milliseconds")
    score = 0.4 + (seq * 37 % 100) / 100
    if seq == 77:
        row = part_row(seq, reason=Reason.BYPASS, score=1.9, detail="bypass by Ada; the inspection said REJECT")
    elif seq == 88:
        row = part_row(seq, verdict=Verdict.FAULT, reason=Reason.NO_IMAGE, score=None, limit=None, cameras=())
    elif seq % 25 == 0 and seq != CONFIRMED:
        row = reject_row(seq, 1.45, detail="to be reviewed: score 1.45 is in the band from 1.4 to the limit 1.5")
        row = replace(row, cameras=(replace(row.cameras[0], outcome=Outcome.REVIEW, reason=Reason.SCORE, score=1.45),))
    elif seq % 10 == 0:
        row = reject_row(seq, 1.5 + seq % 40 / 20, detail="score is at or above the limit 1.5")
        row = replace(row, cameras=(replace(row.cameras[0], outcome=Outcome.NG, reason=Reason.SCORE, score=row.score),))
    else:
        row = part_row(seq, score=score, controller_judgement=Judgement.OK)
        row = replace(row, cameras=(replace(row.cameras[0], score=score),))
    if row.cameras:
        shared = {"perceptual": 0.8 * (row.score or 0), "fine": 0.6 * (row.score or 0)}
        first = replace(row.cameras[0], image_name=f"CAM1_{seq:05d}.png", shares=shared, condition={"brightness": 0.2})
        first = replace(first, image_sha256=hashlib.sha256(image_of(seq)).hexdigest())
        second = replace(first, camera=2, image_name=f"CAM2_{seq:05d}.png", score=0.1, outcome=Outcome.OK)
        second = replace(second, reason=Reason.OK, image_sha256=hashlib.sha256(image_of(seq, 2)).hexdigest())
        row = replace(row, cameras=(first, second) if seq % 2 == 0 else (first,))
    return replace(row, count=seq % 100, decided_utc=utc)


async def write_line(settings: Settings, parts: int = PARTS) -> None:
    """The journal and the archive of such a line."""
    journal = Journal.open(settings.store.journal)
    for row in map(row_of, range(1, parts + 1)):
        await journal.append(row)
        await journal.publication(row.part_seq, Published.PUBLISHED, row.decided_mono_s + 0.01)
        for camera in row.cameras if row.part_seq > LAST_WITHOUT_IMAGE else ():
            folder = settings.store.archive / row.decided_utc[:10]
            folder.mkdir(parents=True, exist_ok=True)
            became = "BYPASS" if row.reason is Reason.BYPASS else str(row.verdict)
            name = f"part_{row.part_seq:012d}_CAM{camera.camera}_{became}_{camera.image_sha256[:8]}.png"
            (folder / name).write_bytes(image_of(row.part_seq, camera.camera))
    for seq, says in ((CONFIRMED, "CONFIRMED"), (OVERTURNED, "OVERTURNED"), (ESCAPE, "ESCAPE")):
        if seq <= parts:
            await journal.event("REVIEW", json.dumps({"part_seq": seq, "says": says, "by": "Ada", "note": ""}))
    journal.close()


@asynccontextmanager
async def looked_back(
    folder: Path, address: str = "", *, parts: int = PARTS, width: int = 1280, height: int = 900
) -> AsyncIterator[tuple[Browser, Served]]:
    """The page at that address in a browser, over such a line; no agent runs."""
    settings = web_settings(folder)
    await write_line(settings, parts)
    async with (
        served(settings) as at,
        browser(f"http://127.0.0.1:{at.port}/{address}", width=width, height=height) as tab,
    ):
        yield tab, at

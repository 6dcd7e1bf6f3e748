"""A line whose lot has changed, for the tests of learning: real images, a real bundle, a journal and an archive."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from drivers.simulated.camera import encode_bmp
from edge_agent.domain import Judgement, Outcome, Published, Reason, Verdict
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.store.journal import Journal
from edge_agent.store.reader import JournalReader
from edge_agent.store.rows import CameraRow, PartRow
from tests.simulated.line import PROGRAM, THUMBNAIL, camera

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LearnLine", "marked_image"]

_TOML = """\
schema_version = 1
[line]
deadline_ms = 500
min_part_spacing_ms = 2000
[controller]
kind = "simulated"
[images]
spool = "spool"
[images.ftp]
password_file = "ftp_password"
[output]
host = "127.0.0.1"
watchdog_tested = 2026-11-29
watchdog_tested_by = "a test"
[[bundle]]
program = 1
path = "{bundle}"
[store]
journal = "journal.sqlite3"
archive = "archive"
"""


@lru_cache
def marked_image(number: int, size: tuple[int, int] = THUMBNAIL) -> bytes:
    """A good part of the new lot: as the others, with a mark that the law asks for by now."""
    part = camera(size).render(np.random.default_rng([3, 7, number]))
    image = part.image.copy()
    x = round(size[0] * 0.5 + part.shift_px[0])
    y = round(size[1] * 0.62 + part.shift_px[1])
    side = max(2, size[0] // 40)
    cv2.rectangle(image, (x - side, y - side), (x + side, y + side), 40, max(1, side // 3))
    return encode_bmp(image)


class LearnLine:
    """Folders of a line, and what its agent would have left there of each part. ``config`` is its line.toml."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder, self.archive, self.bundle = folder, folder / "archive", bundle
        self.journal_path = folder / "journal.sqlite3"
        self.config = folder / "line.toml"
        self.config.write_text(_TOML.format(bundle=bundle))
        (folder / "ftp_password").write_text("secret-enough\n")
        self.inspector = Inspector(Bundle.load(bundle), threads=1)
        self._next = 1

    def parts(
        self,
        images: list[bytes],
        says: str = "",
        *,
        by: str = "Ada",
        as_if: bytes | None = None,
        as_rejected: bool = False,
        by_bundle: str = "",
        **changes: Any,
    ) -> list[PartRow]:
        """Each image a part, judged by the bundle; with ``says`` a person said that of it.

        ``as_if``: the image that came is this one. ``as_rejected``: the score rejected it. ``by_bundle`` judged it.
        """
        rows = []
        for data in images:
            row = self._row(data)
            one = row.cameras[0]
            if as_if is not None:
                one = replace(one, image_sha256=hashlib.sha256(as_if).hexdigest())
            if as_rejected:
                one = replace(one, outcome=Outcome.NG, reason=Reason.SCORE, score=2 * (one.limit or 1.0))
                row = replace(row, verdict=Verdict.REJECT, reason=Reason.SCORE, score=one.score)
            if by_bundle:
                one = replace(one, bundle_id=by_bundle)
            rows.append((replace(row, cameras=(one,), **changes), as_if or data))
        asyncio.run(self._written(rows))
        if says:
            asyncio.run(self._said([row.part_seq for row, _ in rows], says, by))
        return [row for row, _ in rows]

    def say(self, part_seq: int, says: str, by: str = "Ada") -> None:
        """A person reviews a part."""
        asyncio.run(self._said([part_seq], says, by))

    def file_of(self, row: PartRow) -> Path:
        """Where its image lies in the archive."""
        suffix = row.cameras[0].image_name.rpartition(".")[2]
        name = f"part_{row.part_seq:012d}_CAM1_{row.verdict}_{row.cameras[0].image_sha256[:8]}.{suffix}"
        return self.archive / row.decided_utc[:10] / name

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What the journal's events of that kind say."""
        with JournalReader.open(self.journal_path) as journal:
            return [json.loads(event.detail) for event in journal.events() if event.kind == kind]

    async def _written(self, rows: list[tuple[PartRow, bytes]]) -> None:
        journal = Journal.open(self.journal_path)
        try:
            for row, data in rows:
                self.file_of(row).parent.mkdir(parents=True, exist_ok=True)
                self.file_of(row).write_bytes(data)
                await journal.append(row)
                await journal.publication(row.part_seq, Published.PUBLISHED, row.decided_mono_s + 0.01)
        finally:
            journal.close()

    async def _said(self, part_seqs: list[int], says: str, by: str) -> None:
        journal = Journal.open(self.journal_path)
        try:
            for part_seq in part_seqs:
                await journal.event("REVIEW", json.dumps({"part_seq": part_seq, "says": says, "by": by, "note": ""}))
        finally:
            journal.close()

    def _row(self, data: bytes) -> PartRow:
        found, seq = self.inspector.inspect(data), self._next
        self._next += 1
        passes = found.outcome == "OK"
        digest = hashlib.sha256(data).hexdigest()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        one = CameraRow(
            1,
            found.outcome,
            found.reason,
            found.detail,
            None if math.isnan(found.score) else found.score,
            found.limit,
            found.bundle_id,
            digest,
            "CAM1.png" if data.startswith(b"\x89PNG") else "CAM1.bmp",
        )
        return PartRow(
            part_seq=seq,
            count=seq,
            session="s",
            program=PROGRAM,
            verdict=Verdict.PASS if passes else Verdict.REJECT,
            reason=Reason.OK if passes else found.reason,
            detail="",
            score=one.score,
            limit=found.limit,
            bundle_id=found.bundle_id,
            cameras=(one,),
            controller_judgement=Judgement.OK,
            simulated=False,
            first_sign_mono_s=100.0 + seq,
            decided_mono_s=100.2 + seq,
            deadline_mono_s=100.5 + seq,
            boot_id="boot",
            decided_utc=now,
        )

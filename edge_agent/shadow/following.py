"""The candidate's way along the journal: part after part, each once, and none that the line would have to wait for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from drivers.timing import monotonic_s
from edge_agent.errors import DataError
from edge_agent.runtime.process import boot_id
from edge_agent.store.archived import read_archived
from edge_agent.store.position import Position, files_since, fits
from edge_agent.store.reader import JournalReader
from edge_agent.store.shadow import ShadowResult, What, now_utc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.domain import Inspection
    from edge_agent.store.rows import CameraRow, PartRow
    from edge_agent.store.shadow import Shadow, ShadowFile

__all__ = ["BEHIND_MOST", "BecameActive", "Follower"]

log = structlog.get_logger(__name__)

BEHIND_MOST = 400
"""Records of the journal between the candidate and the newest: a part has about two. Beyond it parts are skipped."""
_AT_ONCE = 64
_FILED_WITHIN_S = 20.0
"""An image comes into the archive after its verdict has left, behind those that wait before it."""
_TRIES_MOST = 3
_DETAIL_MAX = 300


class BecameActive(Exception):
    """The line judges by the candidate now: there is nothing left to compare it with."""


@dataclass(slots=True)
class Follower:
    """Judges what the journal has of one shadow. ``inspect`` is the candidate's; it may raise anything."""

    file: ShadowFile
    journal: Path
    archive: Path
    inspect: Callable[[bytes], Inspection]

    def step(self, shadow: Shadow) -> bool:
        """Judge the parts that were written since, some at a time; False where there is nothing to do just now.

        Raises DataError for a journal or a file that cannot be read, BecameActive.
        """
        files, problem = files_since(self.journal, shadow.place.origin)
        with JournalReader.open(files[0]) as journal:
            if problem or not fits(journal, shadow.place):
                log.warning("shadow_journal_anew", why=problem or f"{files[0].name} is another journal than before")
                self.file.begin_anew(shadow, _beginning(journal))
                return True
            links = journal.links_after(shadow.place.link, _AT_ONCE)
            if links:
                return self._judge(shadow, journal, links, is_closed=len(files) > 1)
        if len(files) == 1:
            return False
        with JournalReader.open(files[1]) as following:
            self.file.add(shadow, [], _beginning(following))
        return True

    def _judge(
        self, shadow: Shadow, journal: JournalReader, links: list[tuple[int, str, int, str]], *, is_closed: bool
    ) -> bool:
        newest, reached = journal.newest_link(), shadow.place
        for link, kind, row_id, sha256 in links:
            here = Position(shadow.place.origin, link, sha256)
            row = journal.part(row_id) if kind == "part" else None
            camera = None if row is None else _camera_of(row, shadow)
            if row is not None and camera is not None:
                is_behind = is_closed or newest - link > BEHIND_MOST
                if camera.bundle_id == shadow.candidate.bundle_id:
                    if is_behind:  # it was in use once, as a journal that is read anew tells: nothing to compare
                        reached = here
                        continue
                    raise BecameActive
                result = self._result(shadow, row, camera, link, is_behind=is_behind)
                if result is None:
                    break
                self.file.add(shadow, [result], here)
                if result.what is What.JUDGED:
                    return True  # one picture at a time: whoever ends this process waits for no more
            reached = here
        if reached != shadow.place:
            self.file.add(shadow, [], reached)
        return reached != shadow.place

    def _result(
        self, shadow: Shadow, row: PartRow, camera: CameraRow, link: int, *, is_behind: bool
    ) -> ShadowResult | None:
        """What becomes of this part; None where its image may still come."""
        result = ShadowResult(
            row.part_seq,
            What.JUDGED,
            row.decided_utc,
            now_utc(),
            camera.bundle_id,
            camera.score,
            camera.limit,
            camera.outcome,
        )
        if camera.outcome is None:
            return replace(result, what=What.NOT_JUDGED, detail=str(camera.reason or row.reason))
        if is_behind:
            return replace(result, what=What.SKIPPED)
        try:
            data = read_archived(self.archive, row, camera)
        except DataError as err:
            return None if _is_young(row) else replace(result, what=What.NO_IMAGE, detail=str(err)[:_DETAIL_MAX])
        if self.file.trying(shadow, link) > _TRIES_MOST:
            why = f"the process ended {_TRIES_MOST} times over this image"
            return replace(result, what=What.FAILED, detail=why)
        return self._judged(result, data)

    def _judged(self, result: ShadowResult, data: bytes) -> ShadowResult:
        begun_mono_s = monotonic_s()
        try:
            found = self.inspect(data)
        except Exception as err:  # noqa: BLE001 - a candidate may do anything; it is written down, and the next part comes
            log.warning("shadow_failed", part_seq=result.part_seq, why=repr(err))
            return replace(result, what=What.FAILED, detail=repr(err)[:_DETAIL_MAX])
        return replace(
            result,
            judged_utc=now_utc(),
            score=None if math.isnan(found.score) else found.score,
            limit=found.limit,
            outcome=found.outcome,
            reason=str(found.reason),
            detail=found.detail[:_DETAIL_MAX],
            took_ms=(monotonic_s() - begun_mono_s) * 1000,
        )


def _camera_of(row: PartRow, shadow: Shadow) -> CameraRow | None:
    if row.program != shadow.candidate.program:
        return None
    return next((camera for camera in row.cameras if camera.camera == shadow.candidate.camera), None)


def _is_young(row: PartRow) -> bool:
    """Whether its image may still be on its way into the archive."""
    if row.boot_id and row.boot_id == boot_id():
        return monotonic_s() - row.decided_mono_s < _FILED_WITHIN_S
    ago_s = (datetime.now(UTC) - datetime.fromisoformat(row.decided_utc)).total_seconds()
    return 0 <= ago_s < _FILED_WITHIN_S


def _beginning(journal: JournalReader) -> Position:
    return Position(journal.origin()[0], 0, journal.link_sha256(0))

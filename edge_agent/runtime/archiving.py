"""Off the hot path: the second durable record of a part, its received bytes, and what belongs to no part."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from drivers.timing import monotonic_s
from edge_agent.domain import Verdict
from edge_agent.runtime.part import Arrival
from edge_agent.runtime.worker import Worker
from edge_agent.store.journal import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.domain import Capture, Published
    from edge_agent.runtime.interlock import Health
    from edge_agent.runtime.part import Part
    from edge_agent.store.archive import Archive
    from edge_agent.store.journal import Journal

__all__ = ["Archiving"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_MOST_WAITING, _MOST_REJECTS_WAITING = 100, 1000
"""Images that may wait for the archive; a disk that takes no more must not fill the spool."""


_HASTE = 5
"""With more images waiting none is compressed: the archive keeps up with the line first."""


class Archiving:
    """Records and files what is left to record once the verdict has gone its way.

    One thread of its own files: the archive takes one image at a time anyway, and asyncio's pool would go on starting
    threads for hours.
    """

    def __init__(self, journal: Journal, archive: Archive, health: Health) -> None:
        self._journal = journal
        self._archive = archive
        self._health = health
        self._thread = Worker("archive")
        self._waiting = 0

    async def keep(
        self,
        part: Part,
        verdict: Verdict,
        published: Published | None,
        *,
        always: bool = False,
        told_mono_s: float | None = None,
    ) -> None:
        """Record what became of the verdict, then file the received bytes; ``always`` as a reject's are.

        ``published`` is None for a part whose own row is not written yet; ``told_mono_s`` is when the verdict stood on
        the wire, if that was before now.
        """
        if published is not None:
            await self._record(part.seq, published, monotonic_s() if told_mono_s is None else told_mono_s)
        # A copy: an image that is stored meanwhile is put in its place.
        for camera, came in list(part.captures.items()):
            capture = await _stored(came)
            if capture.path is not None:
                await self._file(part.seq, camera, verdict, capture.path, capture.sha256, always=always)

    async def _record(self, part_seq: int, published: Published, at_mono_s: float) -> None:
        try:
            await self._journal.publication(part_seq, published, at_mono_s)
        except JournalError as err:
            log.exception("journal_failed", part_seq=part_seq)
            self._health.fails("journal", str(err))

    async def note_unplaced(self, what: str, arrival: Arrival, count: int | None, name: str) -> None:
        """Record an image or a result that no open part takes."""
        await self._note(f"{what}_{arrival}", f"count {count}, {name[:120]!r}")

    async def put_away(self, capture: Capture, arrival: Arrival, decided_seq: int | None) -> None:
        """Archive a late image with its part; drop a duplicate's bytes from the spool."""
        capture = await _stored(capture)
        if capture.path is None:
            return
        if arrival is Arrival.LATE and decided_seq is not None:
            await self._file(decided_seq, capture.camera, Verdict.REJECT, capture.path, capture.sha256)
        else:
            await self._in_thread(partial(self._archive.drop, capture.path))

    def close(self) -> None:
        """Take no more images. What waits is filed while the process is there, and stays in the spool otherwise."""
        self._thread.shutdown(wait=False)

    async def _file(
        self, seq: int, camera: int, verdict: Verdict, path: Path, sha256: str, *, always: bool = False
    ) -> None:
        is_pass = verdict is Verdict.PASS and not always
        # Rejects may wait longer: they are the evidence.
        if self._waiting >= (_MOST_WAITING if is_pass else _MOST_REJECTS_WAITING):
            self._archive.give_up(seq, Verdict.REJECT if always else verdict)
            # Not by the thread that everything waits for.
            await asyncio.to_thread(self._archive.drop, path)
            return
        self._waiting += 1
        altered = ""

        def file() -> str:
            in_haste = self._waiting > _HASTE
            kept = self._archive.file(seq, camera, verdict, path, sha256, always=always, in_haste=in_haste)
            # Read back once, by the thread that wrote it (docs/decisions/0010).
            return "" if kept is None else self._archive.why_altered(kept, sha256)

        try:
            altered = await self._in_thread(file)
        except OSError as err:
            log.warning("archive_failed", part_seq=seq, error=str(err))
        finally:
            self._waiting -= 1
        if altered:
            log.error("image_altered", part_seq=seq, camera=camera, why=altered)
            await self._note("IMAGE_ALTERED", f"part {seq}, camera {camera}: {altered}")

    async def _note(self, kind: str, detail: str) -> None:
        try:
            await self._journal.event(kind, detail)
        except JournalError as err:
            self._health.fails("journal", str(err))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


async def _stored(capture: Capture) -> Capture:
    """The image once its source is done with its file."""
    return capture if capture.storing is None else await asyncio.shield(capture.storing)

"""Images of a line whose agent runs: read from its journal and its archive, as a second reader that it never waits for.

The agent receives and proves every image anyway, also of a program that has no bundle: there each part is FAULT or
REJECT, and its image is kept. Nothing is asked of the agent, and nothing is written where it writes (0074).
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.base import Capture, Reason
from drivers.timing import monotonic_s
from edge_agent.desk.client import agent_runs
from edge_agent.errors import DataError, Unavailable
from edge_agent.store.archived import read_archived
from edge_agent.store.search import JournalSearch

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings
    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["AgentImages", "check_kept"]

_LOOK_EVERY_S = 0.5
_OUT_OF_ORDER = 64
"""Parts that are open side by side are written in the order in which they are decided, not in that of their number."""
_FILED_WITHIN_S = 20.0
"""An image comes into the archive after its verdict has left, behind those that wait before it."""
_WAITING_MAX = 1000
"""A person looks at forty: the newest are as good as those that had to wait."""
_OF_ANOTHER_PART = frozenset({Reason.STALE, Reason.DUPLICATE})


def check_kept(settings: Settings, program: int) -> str:
    """What a person should know before collecting from the agent; empty where there is nothing.

    Raises Unavailable where the agent does not keep the images of good parts, or makes none.
    """
    store, has_bundle = settings.store, any(entry.program == program for entry in settings.bundle)
    hint = (
        'set keep = "all" and keep_pass_every = 1 in [store] and restart the agent; or stop it and collect without it'
    )
    if store.keep == "none":
        raise Unavailable('the running agent keeps no images: store.keep is "none"', hint=hint)
    if has_bundle and (store.keep != "all" or store.keep_pass_every != 1):
        raise Unavailable(
            f"program {program} has a bundle, and the running agent keeps the images of its rejects but not of all "
            "parts that pass: what is collected would not be what good parts are",
            hint=hint,
        )
    if not has_bundle and settings.trigger.source == "interval":
        raise Unavailable(
            f"program {program} has no bundle, and the running agent sends no triggers while it is not READY",
            hint="stop it and collect without it: the same command sends them then",
        )
    if has_bundle:
        return (
            f"program {program} has a bundle: what it rejects is collected as well. Look at each before you calibrate"
        )
    return ""


@dataclass(slots=True)
class AgentImages:
    """A CaptureSource of the parts of one program and camera that the agent decides from now on.

    Each image is copied into ``spool``, proven by the hash that the journal has of it. ``why_silent`` says why nothing
    comes. Not for two tasks at once.
    """

    settings: Settings
    program: int
    camera: int
    spool: Path
    _next_seq: int | None = None
    _seen: set[int] = field(default_factory=set)
    _waiting: deque[tuple[PartRow, CameraRow, float]] = field(default_factory=lambda: deque(maxlen=_WAITING_MAX))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _other_program: int | None = None

    @property
    def is_bound(self) -> bool:
        """Always: the journal is there as long as the agent is."""
        return True

    async def run(self) -> None:
        """Nothing has to be kept up: ``next`` looks by itself."""

    async def open(self) -> None:
        """Begin with the next part that is decided. Raises DataError for a journal that cannot be read."""
        await asyncio.to_thread(self._look)

    async def next(self) -> Capture:
        """The next image, in the order of deciding. Waits for one. Raises DataError."""
        while True:
            if not self._waiting:
                await asyncio.to_thread(self._look)
            if self._waiting and (capture := await asyncio.to_thread(self._oldest)) is not None:
                self._waiting.popleft()  # not in the thread: whoever gives up waiting for it gets it the next time
                return capture
            await asyncio.sleep(_LOOK_EVERY_S)

    async def why_silent(self) -> str:
        """Why no image comes, for a person."""
        if not await agent_runs(self.settings.store.journal):
            return "the agent has ended: start it again, or stop this; the same command goes on without the agent"
        if self._other_program is not None:
            return f"the line runs program {self._other_program}, images of program {self.program} are waited for"
        return f"no part of program {self.program} was seen: the page says how the line stands"

    def _look(self) -> None:
        """Take note of the parts that were decided since the last look."""
        with self._lock, JournalSearch.open(self.settings.store.journal) as journal:
            newest = journal.newest_seq()
            if self._next_seq is None:
                self._seen = {row.part_seq for row in journal.rows(max(1, newest - _OUT_OF_ORDER))}
            else:
                rows = journal.rows(max(1, self._next_seq - _OUT_OF_ORDER), newest)
                for row in [row for row in rows if row.part_seq not in self._seen]:
                    self._seen.add(row.part_seq)
                    self._note(row)
            self._next_seq = newest + 1
            self._seen = {seq for seq in self._seen if seq > newest - 2 * _OUT_OF_ORDER}

    def _note(self, row: PartRow) -> None:
        if row.program != self.program:
            self._other_program = row.program
            return
        self._other_program = None
        for camera in row.cameras:
            if camera.camera == self.camera:
                self._waiting.append((row, camera, monotonic_s()))

    def _oldest(self) -> Capture | None:
        """The oldest one that waits; None while the archive does not have it yet."""
        row, camera, since_s = self._waiting[0]
        if camera.outcome is None and camera.reason is not None:
            return _turned_away(row, camera, camera.reason, camera.detail)
        if row.reason in _OF_ANOTHER_PART:
            return _turned_away(row, camera, row.reason, row.detail)
        try:
            data = read_archived(self.settings.store.archive, row, camera)
        except DataError as err:
            is_late = monotonic_s() - since_s > _FILED_WITHIN_S
            return _turned_away(row, camera, Reason.NO_IMAGE, str(err)) if is_late else None
        self.spool.mkdir(exist_ok=True)
        path = self.spool / f"part_{row.part_seq}_{hashlib.sha256(data).hexdigest()[:8]}"
        path.write_bytes(data)
        return _capture(row, camera, path)


def _turned_away(row: PartRow, camera: CameraRow, reason: Reason, why: str) -> Capture:
    return _capture(row, camera, None, reason, why)


def _capture(
    row: PartRow, camera: CameraRow, path: Path | None, broken: Reason | None = None, why: str = ""
) -> Capture:
    return Capture(
        count=row.count,
        camera=camera.camera,
        session=row.session,
        name=camera.image_name,
        path=path,
        sha256=camera.image_sha256,
        received_mono_s=row.first_sign_mono_s,
        program=row.program,
        judgement=row.controller_judgement,
        broken=broken,
        detail=why,
    )

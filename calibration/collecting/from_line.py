"""Collecting good parts while the line runs: images come from a CaptureSource, nothing is judged, nothing is driven."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any, Literal

from calibration.collecting.collect import Collector
from calibration.good_parts.images import read_pixels
from drivers.base import Judgement
from edge_agent.errors import CalibrationRefused
from edge_agent.report.collected import CollectedFacts, CollectedPart, write_collected
from edge_agent.report.head import Head
from edge_agent.report.pictures import picture_uri
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from drivers.base import Capture, CaptureSource
    from edge_agent.inspection.registration.register import RegistrationSettings

__all__ = ["SHEET", "LiveWishes", "collect_live"]

SHEET = "collected.html"
_SILENT_S = 30.0
_THUMB_PX = 240
_REFUSED_SHOWN = 60


@dataclass(frozen=True, slots=True)
class LiveWishes:
    """What is collected: ``wanted`` images of one program and camera, into ``folder``."""

    folder: Path
    wanted: int
    program: int
    camera: int
    registration: RegistrationSettings


@dataclass(slots=True)
class _Sheet:
    """The list with a picture of each, written anew when something was added."""

    wishes: LiveWishes
    collector: Collector
    _pictures: dict[Path, str | None] = field(default_factory=dict)

    def write(self) -> None:
        collector = self.collector
        taken = tuple(
            CollectedPart(image.path.name, self._quality(image.path.name), self._picture(image.path))
            for image in collector.images
        )
        refused = tuple(
            CollectedPart(one.label, one.why, None if one.path is None else self._picture(one.path))
            for one in collector.refused[-_REFUSED_SHOWN:]
        )
        facts = CollectedFacts(
            self._head(),
            taken,
            refused,
            {"edge-agent": version_of("edge-agent")},
        )
        write_collected(self.wishes.folder / SHEET, facts)

    def _head(self) -> Head:
        wishes, found = self.wishes, len(self.collector)
        return Head(
            title=tr("Good parts from the line"),
            result=tr(
                "{found} of {wanted} good parts are collected in {folder}",
                found=found,
                wanted=wishes.wanted,
                folder=wishes.folder,
            ),
            tone="good" if found >= wishes.wanted else "note",
            to_do=(
                tr("Look at each below: what is shown here teaches the inspection what good means."),
                tr(
                    "Delete the file of every part that is not surely good, and give the same command again: another "
                    "part takes its place."
                ),
            ),
            made_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            program=str(wishes.program),
            cameras=str(wishes.camera),
            version=version_of("edge-agent"),
        )

    def _quality(self, name: str) -> str:
        quality = self.collector.qualities.get(name)
        return "" if quality is None else f"registers at {quality:.2f}"

    def _picture(self, path: Path) -> str | None:
        if path not in self._pictures:
            try:
                self._pictures[path] = picture_uri(read_pixels(path), _THUMB_PX)
            except CalibrationRefused:  # a broken one has no picture
                self._pictures[path] = None
        return self._pictures[path]


async def why_no_image() -> str:
    """Why no image comes from a line that nobody else looks at."""
    return "is the controller in run mode, and its image output set to always?"


async def collect_live(
    source: CaptureSource,
    wishes: LiveWishes,
    stop: asyncio.Event,
    say: Callable[[str], None],
    why_silent: Callable[[], Awaitable[str]] = why_no_image,
) -> int:
    """Collect until ``wanted`` good parts lie in the folder or ``stop`` is set; how many there are then.

    ``why_silent`` is asked, and what it answers is said, where no image has come for a while.
    Raises CalibrationRefused for a folder whose images cannot be read, OSError if the disk refuses.
    """
    collector = await asyncio.to_thread(Collector.open, wishes.folder, wishes.registration)
    sheet = _Sheet(wishes, collector)
    await asyncio.to_thread(sheet.write)
    for note in collector.notes:
        say(note)
    for refused in collector.refused:
        say(f"put aside: {refused.label}: {refused.why}")
    if collector:
        say(f"going on with {len(collector)} images in {wishes.folder}")
    stopped = asyncio.create_task(stop.wait())
    try:
        while len(collector) < wishes.wanted and not stop.is_set():
            capture = await _next_or_none(source, stopped)
            if capture is None:
                if not stop.is_set():
                    say(f"no image for {_SILENT_S:.0f} s: {await why_silent()}")
                continue
            before = len(collector.refused)
            if not await asyncio.to_thread(_take, collector, capture, wishes):
                continue
            news = collector.refused[before:]
            for refused in news:
                say(f"refused: {refused.label}: {refused.why}")
            if not news:
                say(f"{len(collector)} of {wishes.wanted}: count {capture.count}, {collector.images[-1].path.name}")
            await asyncio.to_thread(sheet.write)
    finally:
        stopped.cancel()
        await asyncio.gather(stopped, return_exceptions=True)
    return len(collector)


async def _next_or_none(source: CaptureSource, stopped: asyncio.Task[Literal[True]]) -> Capture | None:
    """The next image; None when the person stopped or nothing came for a while."""
    coming = asyncio.create_task(source.next())
    either: set[asyncio.Task[Any]] = {coming, stopped}
    try:
        await asyncio.wait(either, timeout=_SILENT_S, return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


def _take(collector: Collector, capture: Capture, wishes: LiveWishes) -> bool:
    """Whether the image is one to speak of: those of other cameras are not. Its bytes leave the spool."""
    try:
        if capture.camera != wishes.camera:
            return False
        if capture.broken is not None or capture.path is None:
            collector.turn_away(capture.name, f"{capture.broken}: {capture.detail}")
        elif capture.program not in (None, wishes.program):
            collector.turn_away(capture.name, f"it shows program {capture.program}, not {wishes.program}")
        elif capture.judgement is Judgement.NG:
            collector.turn_away(capture.name, "the controller's own tools judged it NG")
        else:
            data = capture.path.read_bytes()
            if hashlib.sha256(data).hexdigest() == capture.sha256:
                collector.take(data, capture.name)
            else:
                collector.turn_away(
                    capture.name, "the file changed after it came: something else writes into the spool"
                )
        return True
    finally:
        if capture.path is not None:
            capture.path.unlink(missing_ok=True)

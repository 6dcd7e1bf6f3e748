"""What the inspection saw in an archived part: made when someone asks, one at a time, by the inspection itself."""

from __future__ import annotations

import asyncio
import io
import math
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from PIL import Image

from edge_agent.domain import Outcome
from edge_agent.errors import DataError, EdgeAgentError
from edge_agent.report.heat import heat_colours, outline, peaks, shown
from edge_agent.store.archived import read_archived

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.settings import Settings
    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["Busy", "Explained", "Explainer"]

log = structlog.get_logger(__name__)

_LARGEST_PX = 1400
_HEAT_PX = 700
_KEPT = 24
_WAITING_MAX = 6
_INSPECTORS_MAX = 2
_MAP_WHITE = 0.5
"""The difference of grey values (of 0 to 1) that the anomaly map shows as white, in every part."""


class Busy(EdgeAgentError):
    """More pictures are asked for than one worker makes."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One camera's image of one part, judged again: pictures by name.

    ``size_px`` is width and height of the image as it was received, which the pictures may be smaller than; None where
    it could not be judged.
    """

    pictures: dict[str, bytes]
    is_same_score: bool
    problem: str = ""
    size_px: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """The object that the page in the browser reads."""
        return {
            "pictures": sorted(self.pictures),
            "is_same_score": self.is_same_score,
            "problem": self.problem,
            "size_px": self.size_px,
        }


@dataclass(slots=True)
class Explainer:
    """Makes and keeps the newest pictures. ``close`` ends its thread."""

    settings: Settings
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="pictures"))
    _kept: OrderedDict[tuple[int, int], asyncio.Task[Explained]] = field(default_factory=OrderedDict)
    _inspectors: OrderedDict[str, Inspector] = field(default_factory=OrderedDict)

    async def explain(self, row: PartRow, camera: CameraRow) -> Explained:
        """The pictures of one camera of a part. Raises Busy, DataError."""
        key = row.part_seq, camera.camera
        task = self._kept.get(key)
        if task is None:
            if sum(not waiting.done() for waiting in self._kept.values()) >= _WAITING_MAX:
                raise Busy("too many pictures are asked for at once", hint="try again in a moment")
            task = self._kept[key] = asyncio.create_task(self._make(row, camera))
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        try:
            # Shielded: whoever else waits for these pictures gets them if this one goes away.
            return await asyncio.shield(task)
        except EdgeAgentError:
            self._kept.pop(key, None)  # the image may come into the archive yet
            raise

    def close(self) -> None:
        """Cancel what is being worked on, and take no more; does not wait for its thread."""
        for task in self._kept.values():
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _make(self, row: PartRow, camera: CameraRow) -> Explained:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._explain, row, camera)

    def _explain(self, row: PartRow, camera: CameraRow) -> Explained:
        data = read_archived(self.settings.store.archive, row, camera)
        try:
            inspector = self._inspector(row.program, camera)
        except EdgeAgentError as err:
            image = _received(data)
            return Explained({"image": _jpeg(image)}, is_same_score=True, problem=str(err), size_px=_size(image))
        try:
            inspection, seen = inspector.explain(data)
        except Exception as err:  # a bug of the inspection: the agent said FAULT or INTERNAL, the page says it too
            log.exception("explaining_failed", part_seq=row.part_seq)
            raise DataError(f"this part cannot be judged again: {err}") from err
        is_same = inspection.score == camera.score or (math.isnan(inspection.score) and camera.score is None)
        pictures = {"reference": _jpeg(inspector.bundle.reference)}
        if seen is None:
            return Explained(pictures, is_same_score=is_same, problem=inspection.detail)
        image = _received(data)
        pictures |= {
            "image": _jpeg(image),
            "aligned": _jpeg(seen.input),
            "reconstruction": _jpeg(seen.reconstruction),
            "map": _jpeg(seen.anomaly_map / _MAP_WHITE),
        }
        if seen.heat_map is not None:
            pictures["heat"] = _png(heat_colours(peaks(seen.heat_map, _HEAT_PX)))
            pictures["contour"] = _png(outline(seen.heat_map, has_ring=inspection.outcome is not Outcome.OK))
        return Explained(pictures, is_same_score=is_same, size_px=_size(image))

    def _inspector(self, program: int | None, camera: CameraRow) -> Inspector:
        """The one that judged this image. Raises DataError if it is not in line.toml any more."""
        from edge_agent.inspection.bundle.reference_bundle import Bundle  # noqa: PLC0415 - the page starts without the inspection
        from edge_agent.inspection.bundle.registry import find  # noqa: PLC0415
        from edge_agent.inspection.inspector import Inspector  # noqa: PLC0415

        if program is None or camera.bundle_id is None:
            raise DataError("this image was not inspected")
        key, id_ = (program, camera.camera), camera.bundle_id
        if id_ not in self._inspectors:
            entry = next((e for e in self.settings.bundle if (e.program, e.camera) == key), None)
            folder = None if entry is None else find(entry.path, id_)
            if folder is None:
                raise DataError("the bundle that judged this part is not the one in line.toml now, nor one before it")
            self._inspectors[id_] = Inspector(Bundle.load(folder), threads=1)
            while len(self._inspectors) > _INSPECTORS_MAX:
                self._inspectors.popitem(last=False)
        return self._inspectors[id_]


def _received(data: bytes) -> NDArray[np.uint8]:
    from edge_agent.inspection.containers.decode import decode  # noqa: PLC0415 - the page starts without the inspection

    return decode(data)


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _jpeg(picture: NDArray[Any]) -> bytes:
    image = shown(picture)
    image.thumbnail((_LARGEST_PX, _LARGEST_PX))
    return _saved(image, "JPEG")


def _png(picture: NDArray[np.uint8]) -> bytes:
    return _saved(Image.fromarray(picture), "PNG")


def _saved(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, quality=88, compress_level=1)
    return out.getvalue()

"""Images in, inspections out, in threads of their own; and how long the ones in there have been running."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from drivers.base import ImageRefused
from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.errors import EdgeAgentError
from edge_agent.runtime.lanes import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge_agent.domain import Capture
    from edge_agent.runtime.open_part import OpenPart
    from edge_agent.runtime.part import Part
    from edge_agent.runtime.programs import Programs

__all__ = ["Inference", "InferenceHung", "Inspects"]

log = structlog.get_logger(__name__)

# A longer patience would not fit a restart into the four seconds that a wedged agent may take (docs/decisions/0037).
_OVERDUE_AFTER_DEADLINE_S = 0.5
_DETAIL_MAX = 200
_CONTRADICTS = "the inspection said early that this image is a reject for certain, and OK when it was done"

P = TypeVar("P")


class InferenceHung(EdgeAgentError):
    """An inspection does not come back. Only a new process mends that."""

    leaves_thread = True

    def __init__(self, running_s: float) -> None:
        super().__init__(
            f"one inspection has been running for {running_s:.1f} s and does not come back",
            hint="the agent ends and is started again by systemd; if this repeats, keep the part's image and the log",
        )


class Inspects(Protocol[P]):
    """What judges one image, in two steps: the Inspector of a bundle. Neither raises for a bad image.

    ``prepare`` decodes and registers, and may run while another image is judged; ``judge`` calls ``certain``, once at
    most, as soon as nothing that is still to be computed can make the outcome OK. The two are not called by two threads
    each. ``image_sha256`` of what ``judge`` finds is of the very bytes that were prepared.
    """

    def prepare(self, data: bytes) -> P:
        """The image as it is to be judged."""
        ...

    def judge(self, prepared: P, certain: Callable[[], None] | None = None) -> Inspection:
        """What is found in it."""
        ...


class Inference:
    """Inspects images in the order of their arrival. ``inspectors`` maps (program, camera) to what judges it.

    ``workers`` lanes go side by side; all images of a camera go through the same one. A step of an
    inspection that runs for longer than a part's ``deadline_s`` and a half second more is overdue: its part was
    rejected long ago, and none after it can be judged. ``on_certain`` hears, in the event loop, of an image that can no
    longer be OK, before it is inspected to its end.
    """

    def __init__(
        self,
        inspectors: Mapping[tuple[int, int], Inspects[Any]],
        programs: Programs,
        *,
        deadline_s: float,
        workers: int = 1,
        on_certain: Callable[[OpenPart, Capture], None] = lambda _open_part, _capture: None,
    ) -> None:
        self._inspectors = inspectors
        self._programs = programs
        self._overdue_s = deadline_s + _OVERDUE_AFTER_DEADLINE_S
        cameras = sorted({camera for _, camera in inspectors})
        # Never more than cameras: all images of a camera go through one lane (docs/decisions/0084).
        lanes = [Lane(f"inference-{number}") for number in range(1, 1 + max(1, min(workers, len(cameras))))]
        self._lanes = lanes
        self._lane_of = {camera: lanes[at % len(lanes)] for at, camera in enumerate(cameras)}
        self._on_certain = on_certain

    def inspector_of(self, part: Part, camera: int) -> Inspects[Any] | None:
        """What judges that camera's image of the part; None where no bundle belongs to its program."""
        program = self._programs.of(part)
        return None if program is None else self._inspectors.get((program, camera))

    def hung(self) -> InferenceHung | None:
        """The error, if an inspection is overdue in any lane."""
        running_s = max(lane.running_s for lane in self._lanes)
        return InferenceHung(running_s) if running_s > self._overdue_s else None

    async def inspect(self, open_part: OpenPart, capture: Capture) -> None:
        """Inspect an image of a part, if there is still time when its turn comes; note what was found.

        The file is read again here, as it may wait for its turn: in memory all that wait would not find room. A file
        that is not what was proven is a broken image from then on, whatever the inspection made of it.
        """
        inspector = self.inspector_of(open_part.part, capture.camera)
        if inspector is None or capture.path is None:
            return
        overtaken = threading.Event()
        try:
            inspection = await self._inspect(inspector, open_part, capture, overtaken)
        except asyncio.CancelledError:
            # A thread cannot be stopped: it is told that nobody waits for this image any more.
            overtaken.set()
            raise
        except ImageRefused as err:
            log.warning("image_changed", part_seq=open_part.part.seq, camera=capture.camera, detail=err.detail)
            open_part.part.captures[capture.camera] = replace(capture, broken=err.reason, detail=err.detail)
            open_part.changed.set()
            return
        # An image that breaks the inspection rejects its part; the line goes on.
        except Exception as err:
            log.exception("inspection_failed", part_seq=open_part.part.seq, camera=capture.camera)
            inspection = _failed(capture, repr(err))
        if inspection is not None:
            open_part.inspections[capture.camera] = inspection
            open_part.changed.set()

    async def _inspect(
        self, inspector: Inspects[Any], open_part: OpenPart, capture: Capture, overtaken: threading.Event
    ) -> Inspection | None:
        loop, was_certain = asyncio.get_running_loop(), threading.Event()

        def is_worth_it() -> bool:
            # Asked in the lane's threads: a queue of stale images must not delay the part that is here.
            return not (open_part.part.deadline.has_passed or overtaken.is_set())

        def certain() -> None:
            was_certain.set()
            with suppress(RuntimeError):  # the loop was closed under us: nobody hears it
                loop.call_soon_threadsafe(self._on_certain, open_part, capture)

        def prepare() -> Any:
            assert capture.path is not None  # noqa: S101 - an image without one is not inspected
            return inspector.prepare(_read_again(capture.path))

        def judge(prepared: Any) -> Inspection:
            inspection = inspector.judge(prepared, certain)
            # The file is read a second time: only the bytes that were proven may decide (docs/decisions/0082).
            if inspection.image_sha256 != capture.sha256:
                raise ImageRefused(
                    Reason.IMAGE_BROKEN,
                    "the file changed between its proof and its inspection: what was read is not what came "
                    f"(sha256 {inspection.image_sha256}): something else writes into the spool",
                )
            # REJECT may stand on the wire already, and PASS must never follow it (docs/decisions/0083).
            if was_certain.is_set() and inspection.outcome is Outcome.OK:
                log.error("inspection_contradicts_itself", part_seq=open_part.part.seq, camera=capture.camera)
                return replace(_failed(capture, _CONTRADICTS), bundle_id=inspection.bundle_id)
            return inspection

        return await self._lane_of[capture.camera].inspect(is_worth_it, prepare, judge)

    def close(self) -> None:
        """Take no more images; does not wait for those that are being inspected."""
        for lane in self._lanes:
            lane.close()


def _failed(capture: Capture, why: str) -> Inspection:
    """What is noted of an image whose inspection went wrong by itself."""
    return Inspection(Outcome.NG, Reason.INTERNAL, math.nan, math.nan, "", capture.sha256, detail=why[:_DETAIL_MAX])


def _read_again(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        why = f"the file cannot be read again after its proof: {err.strerror or err}"
        raise ImageRefused(Reason.IMAGE_BROKEN, why) from err

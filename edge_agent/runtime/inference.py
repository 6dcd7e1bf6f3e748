"""The one inference thread: images in, inspections out, and how long the one in there has been running."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import structlog

from drivers.base import ImageRefused
from drivers.timing import monotonic_s
from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.errors import EdgeAgentError
from edge_agent.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.domain import Capture
    from edge_agent.runtime.live import LivePart
    from edge_agent.runtime.pairing import Part
    from edge_agent.runtime.programs import Programs

__all__ = ["Inference", "InferenceHung", "Inspects"]

log = structlog.get_logger(__name__)

_OVERDUE_AFTER_DEADLINE_S = 0.5
_DETAIL_MAX = 200


class InferenceHung(EdgeAgentError):
    """An inspection does not come back. Only a new process mends that."""

    leaves_thread = True

    def __init__(self, running_s: float) -> None:
        super().__init__(
            f"one inspection has been running for {running_s:.1f} s and does not come back",
            hint="the agent ends and is started again by systemd; if this repeats, keep the part's image and the log",
        )


class Inspects(Protocol):
    """What judges one image: the Inspector of a bundle."""

    def inspect(self, data: bytes) -> Inspection:
        """Never raises for a bad image; called in the inference thread. ``image_sha256`` is of these very bytes."""
        ...


class Inference:
    """Inspects images one after another. ``inspectors`` maps (program, camera) to what judges it.

    An inspection that runs for longer than a part's ``deadline_s`` and a half second more is overdue: its part was
    rejected long ago, and none after it can be judged.
    """

    def __init__(
        self, inspectors: Mapping[tuple[int, int], Inspects], programs: Programs, *, deadline_s: float
    ) -> None:
        self._inspectors = inspectors
        self._programs = programs
        self._overdue_s = deadline_s + _OVERDUE_AFTER_DEADLINE_S
        self._thread = Worker("inference")
        self._since_s: float | None = None

    def inspector_of(self, part: Part, camera: int) -> Inspects | None:
        """What judges that camera's image of the part; None where no bundle belongs to its program."""
        program = self._programs.of(part)
        return None if program is None else self._inspectors.get((program, camera))

    def hung(self) -> InferenceHung | None:
        """The error, if an inspection is overdue."""
        running_s = monotonic_s() - (self._since_s or math.inf)
        return InferenceHung(running_s) if running_s > self._overdue_s else None

    async def inspect(self, live: LivePart, capture: Capture) -> None:
        """Inspect an image of a part, if there is still time when its turn comes; note what was found.

        The file is read again here, as it may wait for its turn: in memory all that wait would not find room. A file
        that is not what was proven is a broken image from then on, whatever the inspection made of it.
        """
        inspector = self.inspector_of(live.part, capture.camera)
        if inspector is None or capture.path is None:
            return
        path, overtaken = capture.path, asyncio.Event()

        def work() -> Inspection | None:
            # Asked in the inference thread: a queue of stale images must not delay the part that is here.
            if live.part.deadline.has_passed or overtaken.is_set():
                return None
            self._since_s = monotonic_s()
            try:
                inspection = inspector.inspect(_read_again(path))
            finally:
                self._since_s = None
            if inspection.image_sha256 != capture.sha256:
                raise ImageRefused(
                    Reason.IMAGE_BROKEN,
                    "the file changed between its proof and its inspection: what was read is not what came "
                    f"(sha256 {inspection.image_sha256}): something else writes into the spool",
                )
            return inspection

        try:
            inspection = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except asyncio.CancelledError:
            overtaken.set()
            raise
        except ImageRefused as err:
            log.warning("image_changed", part_seq=live.part.seq, camera=capture.camera, detail=err.detail)
            live.part.captures[capture.camera] = replace(capture, broken=err.reason, detail=err.detail)
            live.changed.set()
            return
        except Exception as err:
            log.exception("inspection_failed", part_seq=live.part.seq, camera=capture.camera)
            inspection = Inspection(
                Outcome.NG, Reason.INTERNAL, math.nan, math.nan, "", capture.sha256, detail=repr(err)[:_DETAIL_MAX]
            )
        if inspection is not None:
            live.inspections[capture.camera] = inspection
            live.changed.set()

    def close(self) -> None:
        """Take no more images; does not wait for the one that is being inspected."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _read_again(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        why = f"the file cannot be read again after its proof: {err.strerror or err}"
        raise ImageRefused(Reason.IMAGE_BROKEN, why) from err

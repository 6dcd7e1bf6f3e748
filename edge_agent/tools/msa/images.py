"""A study over recorded images: the bundle in use judges them in the order of the plan."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from edge_agent.domain import Outcome, Reason, Verdict
from edge_agent.errors import DataError
from edge_agent.store.shrink import received_bytes
from edge_agent.store.study import Showing
from edge_agent.tools.msa.going_on import now_utc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.store.study import StudyFile, StudyPart

__all__ = ["image_of", "show_images"]

_NOT_JUDGED = frozenset({Reason.IMAGE_BROKEN, Reason.IMAGE_SIZE, Reason.NOT_FINITE, Reason.INTERNAL})
"""Such an image tells nothing of its part, and tells it again however often it is shown."""


def show_images(folder: Path, file: StudyFile, inspector: Inspector, progress: Callable[[str, int, int], None]) -> None:
    """Judge what is left of the study, one image after the other, each written down before the next.

    Raises DataError for an image that changed since the study began, or that cannot be judged; OSError.
    """
    plan = file.study.plan
    while (place := file.study.following()) is not None:
        progress("showing", file.study.done, plan.total)
        run, part = place
        path, digest = image_of(folder, plan.parts[part], run)
        data = received_bytes(path)
        if hashlib.sha256(data).hexdigest() != digest:
            raise DataError(
                f"{path} is not the image that the study began with",
                hint="bring that image back, or begin a new study in another file",
            )
        file.add(_judged(path, data, place, inspector))
    progress("showing", plan.total, plan.total)


def image_of(folder: Path, part: StudyPart, run: int) -> tuple[Path, str]:
    """The image of a part in a run and its sha256: its only one, or the one of that run."""
    name, digest = part.images[run if len(part.images) > 1 else 0]
    return folder / name, digest


def _judged(path: Path, data: bytes, place: tuple[int, int], inspector: Inspector) -> Showing:
    found = inspector.inspect(data)
    if found.reason in _NOT_JUDGED:
        raise DataError(
            f"{path} cannot be judged: {found.reason} {found.detail}",
            hint="an image that nobody can look at is no showing: leave its part out, in a new study",
        )
    is_ok = found.outcome is Outcome.OK
    return Showing(
        run=place[0],
        part=place[1],
        verdict=Verdict.PASS if is_ok else Verdict.REJECT,
        reason=Reason.OK if is_ok else found.reason,
        score=found.score if math.isfinite(found.score) else None,
        limit=found.limit if math.isfinite(found.limit) else None,
        at_utc=now_utc(),
        image_sha256=found.image_sha256,
    )

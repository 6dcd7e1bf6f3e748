"""What the inspection saw in one image, as the pictures of a report: made the same way for every report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.base import ImageRefused
from edge_agent.errors import EdgeAgentError
from edge_agent.inspection.containers.decode import decode
from edge_agent.report.facts import PartPictures
from edge_agent.report.words import REASON_WORDS
from edge_agent.store.archived import read_archived
from edge_agent.wording import mark, tr

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.domain import Inspection, Reason
    from edge_agent.inspection.inspector import Inspector, Pictures
    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["archived_part", "pictures_of", "score_words", "seen_part"]

_NO_PLACES = mark("this score looks at the part as a whole: it has no heat map, and looks at the anomaly map")


def seen_part(inspector: Inspector, data: bytes, *, label: str, caption: str, is_wrong: bool = False) -> PartPictures:
    """One image judged again: as it was received, with the heat that decided. What was refused has no pictures."""
    return pictures_of(inspector.explain(data), data, label=label, caption=caption, is_wrong=is_wrong)


def pictures_of(
    explained: tuple[Inspection, Pictures | None], data: bytes, *, label: str, caption: str, is_wrong: bool = False
) -> PartPictures:
    """The pictures of a part for the report, from what ``Inspector.explain`` gave for its image file ``data``."""
    inspection, seen = explained
    if seen is None:
        return PartPictures(label, caption, None, problem=inspection.detail, is_wrong=is_wrong)
    if seen.heat_map is None:
        return PartPictures(
            label, caption, seen.input, seen.reconstruction, seen.anomaly_map, problem=tr(_NO_PLACES), is_wrong=is_wrong
        )
    return PartPictures(label, caption, decode(data), heat_map=seen.heat_map, is_wrong=is_wrong)


def archived_part(
    archive: Path, row: PartRow, camera: CameraRow | None, inspector: Inspector | None, *, label: str, caption: str
) -> PartPictures:
    """A part out of the journal, with its image out of the archive; where that cannot be, it says why.

    ``inspector`` is of the bundle that judged it, None where that one is gone: then the image is shown alone.
    """
    try:
        if camera is None:
            return PartPictures(label, caption, None, problem=tr("no image of this part was judged"))
        data = read_archived(archive, row, camera)
        if inspector is None:
            gone = tr("no heat map: the bundle that judged it is gone")
            problem = gone if camera.bundle_id else tr("no heat map: this image was not judged")
            return PartPictures(label, caption, decode(data), problem=problem)
        return seen_part(inspector, data, label=label, caption=caption)
    except (EdgeAgentError, ImageRefused) as err:
        return PartPictures(label, caption, None, problem=str(err))


def score_words(reason: Reason, score: float | None, limit: float | None) -> str:
    """Why, and how far from the limit, for a caption."""
    if score is None or not limit:
        return tr(REASON_WORDS[reason])
    return tr(
        "{reason}, {times} times the limit (score {score}, limit {limit})",
        reason=tr(REASON_WORDS[reason]),
        times=f"{score / limit:.2f}",
        score=f"{score:.4g}",
        limit=f"{limit:.4g}",
    )

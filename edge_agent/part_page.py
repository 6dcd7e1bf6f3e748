"""One part out of the journal, its pictures out of the archive, as the facts of a page to print."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from edge_agent.errors import DataError, EdgeAgentError
from edge_agent.inspection.registry import find
from edge_agent.moment import local_words
from edge_agent.replay import versions
from edge_agent.report.part import PartPage, PartPicture, statement_of
from edge_agent.shift import pictures_of
from edge_agent.store.search import JournalSearch
from edge_agent.web.reviews import ReviewBook

if TYPE_CHECKING:
    from edge_agent.domain import Published
    from edge_agent.settings import Settings
    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["part_page"]


def part_page(settings: Settings, part_seq: int) -> PartPage:
    """All that journal and archive hold of a part. Raises DataError where the journal has no such part."""
    with JournalSearch.open(settings.store.journal) as journal:
        row = journal.part(part_seq)
        if row is None:
            newest = journal.newest_seq()
            raise DataError(
                f"the journal has no part {part_seq}: its newest is {newest}",
                hint="edge-agent journal query --count or --image finds the part's number",
            )
        published = journal.published(part_seq)
        reviewed = ReviewBook().of(journal).get(part_seq, [])
    return PartPage(
        line=settings.line.name,
        part_seq=part_seq,
        verdict=row.verdict,
        statement=statement_of(row.verdict, row.reason, published),
        simulated=row.simulated,
        facts=tuple(_facts(row, published)),
        reviews=tuple(
            f"{told.review.by} said on {local_words(told.at_utc)}: {told.review.says}. {told.review.note}".rstrip()
            for told in reviewed
        ),
        pictures=tuple(_picture(settings, row, camera) for camera in row.cameras),
        created=local_words(datetime.now().astimezone().isoformat()),
        versions=versions(),
    )


def _facts(row: PartRow, published: Published | None) -> list[tuple[str, str]]:
    facts: list[tuple[str, object]] = [
        ("decided", local_words(row.decided_utc)),
        ("verdict", row.verdict),
        ("reason", row.reason),
        ("said", row.detail),
        ("at the output", published or "not told"),
        ("controller's count", row.count),
        ("controller's program", row.program),
        ("controller's judgement", row.controller_judgement),
        ("session", row.session),
        ("score", None if row.score is None else f"{row.score:.4g}"),
        ("limit", None if row.limit is None else f"{row.limit:.4g}"),
        ("bundle", row.bundle_id),
        ("decided after", f"{(row.decided_mono_s - row.first_sign_mono_s) * 1000:.0f} ms"),
        ("had to be by", f"{(row.deadline_mono_s - row.first_sign_mono_s) * 1000:.0f} ms"),
        *((f"measured: {name}", value) for name, value in row.measured.items()),
    ]
    for camera in row.cameras:
        facts += [
            (f"image of camera {camera.camera}", camera.image_name),
            (f"its sha256 (camera {camera.camera})", camera.image_sha256),
        ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _picture(settings: Settings, row: PartRow, camera: CameraRow) -> PartPicture:
    label = f"camera {camera.camera}" + (f": {camera.detail}" if camera.detail else "")
    entry = next((e for e in settings.bundle if (e.program, e.camera) == (row.program, camera.camera)), None)
    try:
        folder = None if entry is None or camera.bundle_id is None else find(entry.path, camera.bundle_id)
        image, heat = pictures_of(settings, row, camera, {}, folder)
    except (EdgeAgentError, OSError) as err:
        return PartPicture(label, None, None, str(err))
    why = "" if heat is not None else "No heat map: the image was not judged, or its bundle is not here any more."
    return PartPicture(label, image, heat, why)

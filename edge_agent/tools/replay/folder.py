"""A folder of recorded images, judged again in this process, one after the other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.inspection.containers.image_files import readable_images
from edge_agent.store.shrink import received_bytes
from edge_agent.tools.replay.comparing import compared
from edge_agent.tools.replay.image import Judged, inspection_row
from edge_agent.tools.replay.records import Records
from edge_agent.tools.replay.result import ReplayResult, Tally
from edge_agent.tools.replay.spool import Images, OtherImages, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.tools.replay.records import Record

__all__ = ["replay_folder", "which_bundle"]


def replay_folder(
    folder: Path,
    inspectors: Mapping[tuple[int, int], Inspector],
    journal: Path | None,
    progress: Callable[[str, int, int], None],
) -> ReplayResult:
    """Judge every image below ``folder``, in name order; compare with ``journal`` where it knows the image.

    Raises DataError for a folder without images, files that cannot be read (all of them are named), or an image of a
    program that no bundle was given for.
    """
    lies = readable_images(folder, hint="name the archive, or any folder of images")
    paths, others, images, tally = lies.images, OtherImages(), Images(), Tally()
    with Records.open(journal) as records:
        # A part is decided by all of its images, and they come in whatever order: first all are judged, then compared.
        for judged in _judged(paths, inspectors, records, others, progress):
            image = compared(judged, records, others.find)
            tally.add(image)
            images.add(image)
        progress("replay", len(paths), len(paths))
        return ReplayResult(images, tally, *tally.not_here(records), notes=lies.notes)


def _judged(
    paths: Sequence[Path],
    inspectors: Mapping[tuple[int, int], Inspector],
    records: Records,
    others: OtherImages,
    progress: Callable[[str, int, int], None],
) -> Spool:
    spool = Spool()
    for done, path in enumerate(paths):
        progress("replay", done, len(paths))
        data = received_bytes(path)
        sha256 = hashlib.sha256(data).hexdigest()
        record, why_altered = records.find(path.name, sha256)
        found = None
        if not why_altered:
            found = inspectors[which_bundle(inspectors, record, path.name)].inspect(data)
            if record is not None and len(record[0].cameras) > 1:
                others.add(inspection_row(found))
        spool.add(Judged(path, sha256, found))
    return spool


def which_bundle(bundles: Mapping[tuple[int, int], object], record: Record | None, name: str) -> tuple[int, int]:
    """The (program, camera) of the bundle that judges an image. Raises DataError where nothing tells which."""
    if record is not None and (program := record[0].program) is not None:
        wanted = (program, record[1].camera)
        if wanted in bundles:
            return wanted
    if len(bundles) == 1:
        return next(iter(bundles))
    raise DataError(
        f"{name}: which of the {len(bundles)} bundles judges it is not known",
        hint="name one with --bundle, or the journal that recorded the image with --journal",
    )

"""Both bundles over the same images: known defects, synthetic ones, and the parts of the archive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from calibration.choosing.synthetic_defects import make_defects
from calibration.good_parts.images import read_pixels
from calibration.good_parts.spread import evenly
from calibration.writer import png_bytes
from edge_agent.errors import DataError
from edge_agent.store.archived import read_archived
from edge_agent.store.scored import BAD, GOOD
from edge_agent.store.search import JournalSearch
from edge_agent.store.wanted import PartQuery
from edge_agent.tools.learn.found import Judged, KnownDefect, Replay, ReplayedPart, Synthetic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.store.rows import CameraRow, PartRow
    from edge_agent.store.scored import Reviews
    from edge_agent.tools.learn.proposal import Material
    from edge_agent.tools.learn.wish import Wish

    Progress = Callable[[int, int], None]

__all__ = ["Both", "known_defects", "replayed", "synthetic_defects"]

_DEFECTS = 120
_PARTS = 40
_FAINTER = 0.5
_LEAST_SIDE_PX = 64
"""On a narrower picture no made defect fits."""


@dataclass(frozen=True, slots=True)
class Both:
    """The bundle in use and the one that learned, ready to judge."""

    before: Inspector
    after: Inspector

    def judge(self, data: bytes) -> tuple[Judged, Judged]:
        """One image by both."""
        return _judged(self.before, data), _judged(self.after, data)


def known_defects(
    both: Both, parts: Sequence[Material], folder: Path, progress: Progress = lambda _done, _of: None
) -> tuple[KnownDefect, ...]:
    """Every known defect by both bundles; its image lies in ``folder``. Raises OSError."""
    found = []
    for number, part in enumerate(parts, start=1):
        before, after = both.judge((folder / part.file).read_bytes())
        found.append(KnownDefect(part.part_seq, part.says, before, after))
        progress(number, len(parts))
    return tuple(found)


def synthetic_defects(
    both: Both, images: Sequence[Path], *, seed: int, progress: Progress = lambda _done, _of: None
) -> Synthetic:
    """The same made defects, on good parts that both bundles were made of, by both.

    What both learned flatters both alike: that a share fell is what counts, not how large it is. Raises
    CalibrationRefused for an image that cannot be read.
    """
    chosen = [images[index] for index in evenly(len(images), min(_PARTS, len(images)))]
    pictures = [lambda path=path: read_pixels(path) for path in chosen]
    if min(pictures[0]().shape[:2]) < _LEAST_SIDE_PX:
        return Synthetic(0, 0, 0, 0, 0, 0)
    defects = make_defects(pictures, _DEFECTS, seed=seed)
    fainter = {id(one) for one in sorted(defects, key=lambda one: one.strength)[: int(_FAINTER * len(defects))]}
    counts = [0, 0, 0, 0]
    for number, defect in enumerate(defects, start=1):
        data = png_bytes(defect.onto(pictures[defect.base]()))
        is_faint = id(defect) in fainter
        for which, judged in enumerate(both.judge(data)):
            if not judged.passes:
                counts[which] += 1
                counts[2 + which] += is_faint
        progress(number, len(defects))
    return Synthetic(len(defects), counts[0], counts[1], len(fainter), counts[2], counts[3])


def replayed(
    both: Both,
    archive: Path,
    reviews: Reviews,
    learned: frozenset[str],
    *,
    wish: Wish,
    progress: Progress = lambda _done, _of: None,
) -> Replay:
    """The newest parts of the last hours whose image is kept, by both; those that were ``learned`` are not judged.

    What the bundle before said of a part that it judged on the line is taken from its row. Raises DataError.
    """
    since = (datetime.now(UTC) - timedelta(hours=wish.hours)).isoformat(timespec="milliseconds")
    bundle = both.after.bundle
    parts: list[ReplayedPart] = []
    counts = {"learned": 0, "no_image": 0, "not_judged": 0}
    looked = 0
    for row in _newest(reviews.journals, since, bundle.program, wish.parts):
        camera = next((one for one in row.cameras if one.camera == bundle.camera), None)
        looked += 1
        progress(looked, wish.parts)
        if camera is None or camera.outcome is None:
            counts["not_judged"] += 1
        elif camera.image_sha256 in learned:
            counts["learned"] += 1
        else:
            try:
                data = read_archived(archive, row, camera)
            except DataError:
                counts["no_image"] += 1
                continue
            before = _recorded(camera, both.before) or _judged(both.before, data)
            parts.append(ReplayedPart(row.part_seq, before, _judged(both.after, data), _known(row, reviews.said)))
    progress(looked, looked)
    is_cut = looked >= wish.parts
    return Replay(wish.hours, tuple(parts), counts["learned"], counts["no_image"], counts["not_judged"], is_cut=is_cut)


def _newest(journals: Sequence[Path], since_utc: str, program: int, most: int) -> Iterator[PartRow]:
    left = most
    for path in journals:
        if left <= 0:
            return
        with JournalSearch.open(path) as search:
            found = search.find(PartQuery(since_utc=since_utc, program=program, most=left)).parts
        yield from found
        left -= len(found)


def _recorded(camera: CameraRow, before: Inspector) -> Judged | None:
    if camera.bundle_id != before.bundle.id or camera.outcome is None:
        return None
    return Judged(str(camera.outcome), str(camera.reason or ""), camera.score, camera.limit or before.bundle.limit)


def _known(row: PartRow, said: dict[int, str]) -> str:
    word = said.get(row.part_seq)
    return "good" if word in GOOD else "bad" if word in BAD else ""


def _judged(inspector: Inspector, data: bytes) -> Judged:
    found = inspector.inspect(data)
    score = None if math.isnan(found.score) else float(found.score)
    return Judged(str(found.outcome), str(found.reason), score, float(found.limit))

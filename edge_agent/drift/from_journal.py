"""The charts of a line out of its journal: whoever asks computes them anew, so nothing has to survive a restart."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from edge_agent.drift.chart import RULES
from edge_agent.drift.charts import LEARNED_FROM, LineCharts
from edge_agent.drift.known import Known, known_from
from edge_agent.drift.words import changes_words
from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.inspection.bundle.registry import find
from edge_agent.store.search import JournalSearch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.drift.charts import Standing
    from edge_agent.settings import Settings
    from edge_agent.store.rows import PartRow

__all__ = ["WARMED_BY", "DriftWatch", "first_parts", "known_of"]

WARMED_BY: Final = 5000
"""Newest parts from which it is computed how a line stands: far more than an EWMA remembers."""
_OUT_OF_ORDER: Final = 64
"""Parts that are open side by side are written in the order in which they are decided."""
_FIRST_MOST: Final = RULES.refines + LEARNED_FROM + 300
"""Some of the first parts are rejected, and say nothing."""
_FIRST_AMONG: Final = 200_000
"""Newest parts among which the first ones of a bundle are looked for."""


def known_of(settings: Settings, camera: int, bundle_id: str) -> Known:
    """What the bundle with that id says, wherever it lies at that camera's ``[[bundle]]`` paths. Raises nothing."""
    deadline_ms = float(settings.line.deadline_ms)
    for entry in settings.bundle:
        if entry.camera != camera:
            continue
        try:
            folder = find(entry.path, bundle_id)
            if folder is not None:
                return known_from(read_manifest(folder).content, deadline_ms)
        except (BundleRejected, OSError):  # what cannot be read says nothing: it is learned on the line
            continue
    return known_from(None, deadline_ms)


def first_parts(journal: JournalSearch, camera: int, bundle_id: str, before_seq: int) -> Iterator[PartRow]:
    """The first parts that a bundle judged, as far as they came before that part. Raises DataError."""
    from_seq = max(1, journal.newest_seq() - _FIRST_AMONG)
    return islice(journal.judged_by(bundle_id, camera, from_seq, before_seq - 1), _FIRST_MOST)


class DriftWatch:
    """Follows a line's journal. ``look`` reads what is new, in one thread at a time; the rest tells what it found."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._charts: LineCharts | None = None
        self._newest = self._warmed_from = 0
        self._seen: deque[int] = deque(maxlen=4 * _OUT_OF_ORDER)
        self.standing: tuple[Standing, ...] = ()
        self.words = ""

    def look(self) -> bool:
        """Take what came since; whether anything did. Raises DataError for a journal that cannot be read."""
        with JournalSearch.open(self._settings.store.journal) as journal:
            newest = journal.newest_seq()
            if newest == self._newest and self._charts is not None:
                return False
            if self._charts is None:
                self._newest = max(0, newest - WARMED_BY)
                self._charts = LineCharts(partial(known_of, self._settings), self._first)
                self._warmed_from = self._newest + 1
                from_seq = self._newest + 1
            else:
                from_seq = max(1, self._newest - _OUT_OF_ORDER)
            taken = set(self._seen)
            for row in journal.rows(from_seq):
                if row.part_seq not in taken:
                    self._seen.append(row.part_seq)
                    self._newest = max(self._newest, row.part_seq)
                    self._charts.take(row)
        # Handed over whole: who reads them may be in another thread.
        self.words = changes_words(self._charts)
        self.standing = tuple(self._charts.standing())
        return True

    def _first(self, camera: int, bundle_id: str) -> list[PartRow]:
        with JournalSearch.open(self._settings.store.journal) as journal:
            return list(first_parts(journal, camera, bundle_id, self._warmed_from))

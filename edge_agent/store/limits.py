"""Questions about the limit: which parts it decided narrowly, and what another one would have done.

Every answer looks at the newest parts only, a bounded number of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.base import Reason, Verdict
from edge_agent.store.search import JournalSearch

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["BINS", "Doubtful", "JudgedBundle", "LimitSearch", "MovedLimit"]

# Bounds for who waits at the page: an answer about the newest parts now is worth more than one about all of them later.
_LOOKED_AT_MOST = 100_000
_TALLIED_AT_MOST = 1_000_000
_BUNDLES_MOST = 50
BINS = 60
"""So many bars has a histogram of scores: the last one holds all that is above."""
_BY_SCORE = (
    "score IS NOT NULL AND score_limit IS NOT NULL AND ((verdict = 'PASS' AND reason = 'OK') OR (verdict = 'REJECT' "
    "AND reason = 'SCORE' AND score >= score_limit AND controller_judgement IS NOT 'NG'))"
)
"""Parts that the score decided alone: not those in a REVIEW band, nor those that the controller rejects anyway."""


@dataclass(frozen=True, slots=True)
class MovedLimit:
    """What another limit would have done to parts that the score decided alone, from ``first_seq`` to ``last_seq``.

    ``newest_to_reject`` are the newest of the passes that it would reject; all others are numbers of all of them.
    """

    decided_by_score: int
    passes_to_reject: int
    rejects_to_pass: tuple[int, ...]
    """Their part_seq."""
    newest_to_reject: tuple[int, ...] = ()
    first_seq: int = 0
    last_seq: int = 0


@dataclass(frozen=True, slots=True)
class JudgedBundle:
    """A bundle that judged parts, as the newest of them say."""

    bundle_id: str
    limit: float | None
    program: int | None
    parts: int
    newest_seq: int
    newest_utc: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A part that a person should look at. ``off`` is how far its score is from the limit, as a share of the limit.

    ``is_in_band``: a camera's score lay in the REVIEW band. ``off`` is None where no score decided.
    """

    part_seq: int
    verdict: Verdict
    reason: Reason
    off: float | None
    is_in_band: bool


class LimitSearch(JournalSearch):
    """A read-only view of a journal that answers questions about the limit."""

    def moved_limit(self, bundle_id: str, limit: float, first_seq: int, most: int = 50) -> MovedLimit:
        """What ``limit`` would have done to the parts from ``first_seq`` on that this bundle judged."""
        first = max(first_seq, self.newest_seq() - _TALLIED_AT_MOST + 1)
        # In one pass over the rows: on a long journal that is what takes the time.
        query = (
            "SELECT count(*), coalesce(sum(verdict = 'PASS' AND score >= ?), 0), "  # noqa: S608 - fixed words
            "group_concat(CASE WHEN verdict = 'REJECT' AND score < ? THEN part_seq END), "
            "coalesce(min(part_seq), 0), coalesce(max(part_seq), 0) "
            f"FROM part WHERE part_seq >= ? AND bundle_id = ? AND {_BY_SCORE}"
        )
        found, *_ = self._all(query, limit, limit, first, bundle_id)
        number, to_reject, to_pass, least, highest = found
        # A query of its own, of a few rows: the numbers above need every row, and this would make each of them longer.
        newest = (
            "SELECT part_seq FROM part WHERE part_seq BETWEEN ? AND ? AND bundle_id = ? AND verdict = 'PASS' "  # noqa: S608
            f"AND score >= ? AND {_BY_SCORE} ORDER BY part_seq DESC LIMIT ?"
        )
        shown = self._all(newest, least, highest, bundle_id, limit, most) if to_reject else []
        passing = tuple(int(seq) for seq in (to_pass or "").split(",") if seq)
        return MovedLimit(number, to_reject, passing, tuple(seq for (seq,) in shown), least, highest)

    def scores_of(self, bundle_id: str, first_seq: int, seqs: Collection[int]) -> dict[int, float]:
        """The scores of those of these parts that passed by the score of this bundle."""
        query = (
            "SELECT part_seq, score FROM part WHERE part_seq IN (SELECT value FROM json_each(?)) AND part_seq >= ? "  # noqa: S608
            f"AND bundle_id = ? AND verdict = 'PASS' AND {_BY_SCORE}"
        )
        return dict(self._all(query, json.dumps(sorted(seqs)), first_seq, bundle_id))

    def histogram(self, bundle_id: str, step: float, first_seq: int) -> list[tuple[int, int]]:
        """For each bar of BINS how many parts passed and how many were rejected; a bar is ``step`` wide, from 0 on."""
        first = max(first_seq, self.newest_seq() - _TALLIED_AT_MOST + 1)
        query = (
            "SELECT max(0, min(CAST(score / ? AS INTEGER), ?)) AS bar, sum(verdict = 'PASS'), sum(verdict = 'REJECT') "  # noqa: S608
            f"FROM part WHERE part_seq >= ? AND bundle_id = ? AND {_BY_SCORE} GROUP BY bar"
        )
        bars = [(0, 0)] * BINS
        for bar, passed, rejected in self._all(query, step, BINS - 1, first, bundle_id):
            bars[bar] = (passed, rejected)
        return bars

    def judged_bundles(self) -> list[JudgedBundle]:
        """The bundles that judged the newest parts, the newest first."""
        query = (
            "SELECT bundle_id, count(*), max(part_seq) FROM part WHERE part_seq > ? AND bundle_id IS NOT NULL "
            "GROUP BY bundle_id ORDER BY 3 DESC LIMIT ?"
        )
        found = []
        for bundle_id, parts, newest in self._all(query, self.newest_seq() - _TALLIED_AT_MOST, _BUNDLES_MOST):
            row = self._all("SELECT score_limit, program, decided_utc FROM part WHERE part_seq = ?", newest)[0]
            found.append(JudgedBundle(bundle_id, row[0], row[1], parts, newest, row[2]))
        return found

    def doubtful(self, reviewed: Collection[int], near: float, most: int) -> tuple[int, list[Doubtful]]:
        """Parts that a person should look at, and how many there are: rejects, and passes as near to the limit as that.

        The least certain first: by the distance of score and limit. What no score decided comes last, the newest first.
        """
        query = """
            SELECT part_seq, verdict, reason, off, is_in_band, count(*) OVER () FROM (
              SELECT part_seq, verdict, reason,
                CASE WHEN score_limit > 0 AND (verdict = 'PASS' OR reason = 'SCORE')
                  THEN abs(score / score_limit - 1) END AS off,
                EXISTS (SELECT 1 FROM camera AS one WHERE one.part_seq = part.part_seq AND one.outcome = 'REVIEW')
                  AS is_in_band
              FROM part WHERE part_seq > ? AND part_seq NOT IN (SELECT value FROM json_each(?))
                AND (verdict = 'REJECT'
                  OR (verdict = 'PASS' AND reason = 'OK' AND score_limit > 0 AND score >= (1 - ?) * score_limit))
            ) ORDER BY off IS NULL, off, part_seq DESC LIMIT ?"""
        first = self.newest_seq() - _LOOKED_AT_MOST
        found = self._all(query, first, json.dumps(sorted(reviewed)), near, most)
        parts = [
            Doubtful(seq, Verdict(verdict), Reason(reason), off, bool(in_band))
            for seq, verdict, reason, off, in_band, _ in found
        ]
        return (found[0][-1] if found else 0), parts

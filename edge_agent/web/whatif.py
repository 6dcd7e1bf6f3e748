"""What another limit would have done, and what people said of the parts that it would have changed."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge_agent.store.limits import BINS

if TYPE_CHECKING:
    from edge_agent.store.limits import LimitSearch
    from edge_agent.store.reviewed import ReviewBook

__all__ = ["bundles_json", "limit_moved"]

_LISTED_MOST = 50
_BARS_TO_LIMIT = BINS // 2
"""The bundle's own limit stands in the middle of the histogram."""


def bundles_json(journal: LimitSearch) -> list[dict[str, Any]]:
    """The bundles that judged the newest parts, the newest first."""
    return [asdict(bundle) for bundle in journal.judged_bundles()]


def limit_moved(
    journal: LimitSearch, book: ReviewBook, bundle_id: str, limit: float, since_utc: str | None = None
) -> dict[str, Any]:
    """What ``limit`` would have done to parts since then, and what people said of those it would have let pass.

    Lists name the newest parts only; the numbers are of all of them, from ``from_utc`` to ``to_utc``.
    """
    first = 1 if since_utc is None else journal.first_seq_since(since_utc)
    moved = journal.moved_limit(bundle_id, limit, first, _LISTED_MOST)
    said = book.standing(journal)
    now_passing = [(seq, said.get(seq)) for seq in moved.rejects_to_pass]
    in_time = [says for seq, says in said.items() if seq >= first]
    scores = journal.scores_of(bundle_id, first, [seq for seq, says in said.items() if says == "ESCAPE"])
    escapes = sorted(scores, reverse=True)
    newest = journal.part(moved.last_seq)
    own_limit = None if newest is None else newest.limit
    return {
        "bundle_id": bundle_id,
        "limit": limit,
        "own_limit": own_limit,
        **_histogram(journal, bundle_id, first, own_limit),
        "decided_by_score": moved.decided_by_score,
        "from_utc": journal.decided_utc(moved.first_seq),
        "to_utc": journal.decided_utc(moved.last_seq),
        "passes_to_reject": moved.passes_to_reject,
        "newest_to_reject": list(moved.newest_to_reject),
        "rejects_to_pass": len(now_passing),
        "newest_to_pass": [seq for seq, _ in now_passing[: -_LISTED_MOST - 1 : -1]],
        "of_them_confirmed": sum(says == "CONFIRMED" for _, says in now_passing),
        "confirmed_to_pass": [seq for seq, says in now_passing if says == "CONFIRMED"][:_LISTED_MOST],
        "of_them_overturned": sum(says == "OVERTURNED" for _, says in now_passing),
        "reviewed": len(in_time),
        "false_rejects": in_time.count("OVERTURNED"),
        "escapes": len(escapes),
        "escapes_to_pass": [seq for seq in escapes if scores[seq] < limit],
        "escapes_to_reject": [seq for seq in escapes if scores[seq] >= limit],
    }


def _histogram(journal: LimitSearch, bundle_id: str, first_seq: int, own_limit: float | None) -> dict[str, Any]:
    """The scores as bars of (passed, rejected), each ``step`` wide; the last one holds all that is above."""
    if not own_limit or own_limit <= 0 or not math.isfinite(own_limit):
        return {"step": None, "bars": []}
    step = own_limit / _BARS_TO_LIMIT
    return {"step": step, "bars": journal.histogram(bundle_id, step, first_seq)}

"""What people said of rejected parts, and what it tells about the limit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edge_agent.errors import Unavailable
from edge_agent.store.search import JournalSearch
from edge_agent.web.feed import Review, ReviewRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.web.feed import Answer

__all__ = ["ReviewDesk", "Reviewed", "limit_moved", "reviews"]

_ANSWER_WITHIN_S = 5.0
_WAITING_MAX = 8


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review as the journal holds it."""

    review: Review
    at_utc: str

    def to_json(self) -> dict[str, Any]:
        """What the page reads."""
        return {**self.review.model_dump(), "at_utc": self.at_utc}


def reviews(journal: JournalSearch) -> dict[int, list[Reviewed]]:
    """All reviews by part, oldest first; the last one stands."""
    found: dict[int, list[Reviewed]] = {}
    for event in journal.events_after(0, "REVIEW"):
        try:
            review = Review.model_validate_json(event.detail)
        except ValidationError:  # written by another version: shown nowhere, still in the journal
            continue
        found.setdefault(review.part_seq, []).append(Reviewed(review, event.at_utc))
    return found


def limit_moved(path: Path, bundle_id: str, limit: float, since_utc: str) -> dict[str, Any]:
    """What ``limit`` would have done to parts since then, and what people said of those it would have let pass."""
    with JournalSearch.open(path) as journal:
        first = journal.first_seq_since(since_utc)
        moved = journal.moved_limit(bundle_id, limit, first)
        said = {seq: told[-1].review.says for seq, told in reviews(journal).items()}
    now_passing = [said.get(seq) for seq in moved.rejects_to_pass]
    in_time = [says for seq, says in said.items() if seq >= first]
    return {
        "bundle_id": bundle_id,
        "limit": limit,
        "decided_by_score": moved.decided_by_score,
        "passes_to_reject": moved.passes_to_reject,
        "rejects_to_pass": len(now_passing),
        "of_them_confirmed": now_passing.count("CONFIRMED"),
        "of_them_overturned": now_passing.count("OVERTURNED"),
        "reviewed": len(in_time),
        "false_rejects": in_time.count("OVERTURNED"),
    }


@dataclass(slots=True)
class ReviewDesk:
    """Hands reviews to the agent and waits until they are in the journal."""

    send: Callable[[ReviewRequest], None]
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _waiting: dict[int, asyncio.Future[str]] = field(default_factory=dict)

    async def ask(self, review: Review) -> None:
        """Return when the review is on the disk. Raises Unavailable if it is not."""
        if len(self._waiting) >= _WAITING_MAX:
            raise Unavailable("too many reviews wait to be written", hint="try again in a moment")
        number = next(self._numbers)
        self._waiting[number] = answer = asyncio.get_running_loop().create_future()
        try:
            self.send(ReviewRequest(ask=number, review=review))
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                error = await answer
        except TimeoutError:
            raise Unavailable("the agent did not answer", hint="see its log: systemctl status edge-agent") from None
        finally:
            del self._waiting[number]
        if error:
            raise Unavailable(error)

    def answered(self, answer: Answer) -> None:
        """The agent wrote it, or could not."""
        waiting = self._waiting.get(answer.answer)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.error)

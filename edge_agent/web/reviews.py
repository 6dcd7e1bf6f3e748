"""What people said of parts, and the way of a review into the journal."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edge_agent.domain import Verdict
from edge_agent.errors import Unavailable
from edge_agent.report.words import signer_words
from edge_agent.reviews.review import Review
from edge_agent.reviews.settling import Standing
from edge_agent.web.feed import LimitRequest, PasswordRequest, ReviewRequest
from edge_agent.web.moving import MOVED_WITHIN_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_agent.store.search import JournalSearch
    from edge_agent.web.feed import Answer, MovedLimit, OwnPassword, Request

__all__ = ["FITTING", "ReviewBook", "ReviewDesk", "Reviewed"]

_ANSWER_WITHIN_S = 5.0
_WAITING_MAX = 8
FITTING: Mapping[Verdict, tuple[str, ...]] = {
    Verdict.PASS: ("PASS_CONFIRMED", "ESCAPE"),
    Verdict.REJECT: ("CONFIRMED", "OVERTURNED"),
    Verdict.FAULT: (),
}
"""What can be said of a part of that verdict: that it was right, or that it was wrong."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review as the journal holds it."""

    review: Review
    at_utc: str

    def to_json(self) -> dict[str, Any]:
        """The object that the page in the browser reads."""
        return {**self.review.model_dump(mode="json"), "who": self.who, "at_utc": self.at_utc}

    @property
    def who(self) -> str:
        """The name, and the role of a user, in the reader's language."""
        return signer_words(self.review.by, self.review.role or "")


@dataclass(slots=True)
class ReviewBook:
    """All reviews by part, oldest first, and how it stands. Each event is read once. Safe for several threads."""

    _told: dict[int, list[Reviewed]] = field(default_factory=dict)
    _standing: dict[int, Standing] = field(default_factory=dict)
    _read_to: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, journal: JournalSearch) -> dict[int, list[Reviewed]]:
        """The reviews that the journal holds now."""
        with self._lock:
            self._read(journal)
            return {seq: list(told) for seq, told in self._told.items()}

    def settled(self, journal: JournalSearch) -> dict[int, Standing]:
        """How each part stands of which somebody said something."""
        with self._lock:
            self._read(journal)
            return dict(self._standing)

    def standing(self, journal: JournalSearch) -> dict[int, str]:
        """The settled word on each part, DISPUTED where people differ."""
        return {seq: standing.says for seq, standing in self.settled(journal).items()}

    def _read(self, journal: JournalSearch) -> None:
        newest = journal.newest_event()
        for event in journal.events_between(self._read_to, newest, "REVIEW"):
            try:
                review = Review.model_validate_json(event.detail)
            except ValidationError:  # written by another version: shown nowhere, still in the journal
                continue
            self._told.setdefault(review.part_seq, []).append(Reviewed(review, event.at_utc))
            self._standing[review.part_seq] = self._standing.get(review.part_seq, Standing()).after(review.word)
        self._read_to = newest


@dataclass(slots=True)
class ReviewDesk:
    """Hands to the agent what people say and decide, and waits until it is done."""

    send: Callable[[Request], None]
    one_review: asyncio.Lock = field(default_factory=asyncio.Lock)
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _waiting: dict[int, asyncio.Future[Answer]] = field(default_factory=dict)

    async def ask(self, review: Review) -> None:
        """Return when the review is on the disk. Raises Unavailable if it is not."""
        answer = await self._asked(lambda number: ReviewRequest(ask=number, review=review), _ANSWER_WITHIN_S)
        if answer.error:
            raise Unavailable(answer.error)

    async def tell_password(self, own: OwnPassword) -> None:
        """Return when the journal knows that a user changes the own password. Raises Unavailable if it does not."""
        answer = await self._asked(lambda number: PasswordRequest(ask=number, password_of=own), _ANSWER_WITHIN_S)
        if answer.error:
            raise Unavailable(answer.error)

    async def move_limit(self, limit: MovedLimit) -> Answer:
        """What became of it, once a bundle is made and activated, or was refused. Raises Unavailable."""
        return await self._asked(
            lambda number: LimitRequest(ask=number, limit=limit), MOVED_WITHIN_S + _ANSWER_WITHIN_S
        )

    async def _asked(self, request: Callable[[int], Request], within_s: float) -> Answer:
        if len(self._waiting) >= _WAITING_MAX:
            raise Unavailable("too many requests wait for the agent", hint="try again in a moment")
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self.send(request(number))
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            raise Unavailable("the agent did not answer", hint="see its log: systemctl status edge-agent") from None
        finally:
            del self._waiting[number]

    def answered(self, answer: Answer) -> None:
        """The agent wrote it, or could not."""
        waiting = self._waiting.get(answer.answer)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

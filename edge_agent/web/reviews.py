"""The way of a review into the journal, and a review as the page shows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from edge_agent.domain import Verdict
from edge_agent.errors import Unavailable
from edge_agent.report.words import signer_words
from edge_agent.web.feed import LimitRequest, PasswordRequest, ReviewRequest
from edge_agent.web.moving import MOVED_WITHIN_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_agent.reviews.review import Review
    from edge_agent.store.reviewed import Reviewed
    from edge_agent.web.feed import Answer, MovedLimit, OwnPassword, Request

__all__ = ["FITTING", "ReviewDesk", "told_json", "who_of"]

_ANSWER_WITHIN_S = 5.0
_WAITING_MAX = 8
FITTING: Mapping[Verdict, tuple[str, ...]] = {
    Verdict.PASS: ("PASS_CONFIRMED", "ESCAPE"),
    Verdict.REJECT: ("CONFIRMED", "OVERTURNED"),
    Verdict.FAULT: (),
}
"""What can be said of a part of that verdict: that it was right, or that it was wrong."""


def told_json(told: Reviewed) -> dict[str, Any]:
    """A review as the page in the browser reads it."""
    return {**told.review.model_dump(mode="json"), "who": who_of(told), "at_utc": told.at_utc}


def who_of(told: Reviewed) -> str:
    """The name, and the role of a user, in the reader's language."""
    return signer_words(told.review.by, told.review.role or "")


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

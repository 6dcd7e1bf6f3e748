"""The agent's side of the page: starts its process, tells it how the agent stands, writes its reviews.

Nothing here waits for the page. What it does not read in time it is not told; if it ends it is started again; what it
asks for is written one review after the other, with a pause, so that it cannot keep the journal busy. A limit that a
person moves is another process's work (``moving``), one at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog
from pydantic import TypeAdapter

from drivers.timing import Backoff
from edge_agent.feed.telling import Teller, say
from edge_agent.inspection.bundle.limit_changes import LIMIT_EVENT
from edge_agent.people.records import USERS_EVENT, users_detail
from edge_agent.people.signing import Person
from edge_agent.runtime.companion import start_companion
from edge_agent.store.journal import JournalError
from edge_agent.web.feed import Answer, LimitRequest, PasswordRequest, Request
from edge_agent.web.moving import moved_by_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from edge_agent.feed.telling import Looked
    from edge_agent.settings import Settings
    from edge_agent.web.feed import ReviewRequest

__all__ = ["keep_page"]

log = structlog.get_logger(__name__)

_REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
_BETWEEN_REVIEWS_S = 0.1
_RESTART_FIRST_S, _RESTART_CAP_S = 1.0, 30.0


@asynccontextmanager
async def keep_page(
    settings: Settings, look: Callable[[], Looked], note: Callable[[str, str], Awaitable[None]]
) -> AsyncIterator[None]:
    """Keep the page's process running while the block runs, if line.toml asks for one. Raises nothing.

    ``look`` is called in this loop; ``note(kind, detail)`` writes an event into the journal or raises JournalError.
    """
    if settings.web is None and settings.metrics is None:
        yield
        return
    keeper = asyncio.create_task(_Keeper(settings, look, note).run())
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


class _Keeper:
    def __init__(
        self, settings: Settings, look: Callable[[], Looked], note: Callable[[str, str], Awaitable[None]]
    ) -> None:
        self._settings = settings
        self._teller = Teller(look)
        self._note = note
        self._moving: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        backoff = Backoff(first_s=_RESTART_FIRST_S, cap_s=_RESTART_CAP_S)
        while True:
            try:
                why = f"it ended with exit code {await self._one_life()}"
            except (OSError, ValueError) as err:  # it could not be started, or said what it must not
                why = str(err)
            log.warning("page_ended", why=why)
            await backoff.sleep()

    async def _one_life(self) -> int:
        page, tell, says = await start_companion("edge_agent.web")
        try:
            tell.write(self._settings.model_dump_json().encode() + b"\n")
            telling = asyncio.create_task(self._teller.tell(tell))
            try:
                await self._hear(says, tell)
            finally:
                for task in (telling, *self._moving):
                    task.cancel()
                await asyncio.gather(telling, *self._moving, return_exceptions=True)
            return await page.wait()
        finally:
            # It holds nothing that could be lost, and a page that hangs must not keep the agent from ending.
            with suppress(ProcessLookupError):
                page.kill()
            tell.close()
            await page.wait()

    async def _hear(self, page: asyncio.StreamReader, answer_to: asyncio.StreamWriter) -> None:
        """Do what people ask for until the page is gone. Raises ValueError for a page that says something else."""
        while line := await page.readline():
            request = _REQUEST.validate_json(line)
            if isinstance(request, LimitRequest):
                self._begin_to_move(request, answer_to)
                continue
            kind, detail = _record_of(request)
            try:
                await self._note(kind, detail)
                error = ""
            except JournalError as err:
                error = str(err)
            log.info("page_recorded", kind=kind, **_in_short(request), error=error or None)
            say(answer_to, Answer(answer=request.ask, error=error))
            await asyncio.sleep(_BETWEEN_REVIEWS_S)

    def _begin_to_move(self, request: LimitRequest, answer_to: asyncio.StreamWriter) -> None:
        if self._moving:
            say(answer_to, Answer(answer=request.ask, error="another limit is being moved: try again in a moment"))
            return
        moving = asyncio.create_task(self._move(request, answer_to))
        self._moving.add(moving)
        moving.add_done_callback(self._moving.discard)

    async def _move(self, request: LimitRequest, answer_to: asyncio.StreamWriter) -> None:
        done = await moved_by_process(self._settings, request.limit)
        error = done.error
        if done.event:
            try:
                await self._note(LIMIT_EVENT, done.event)
            except JournalError as err:
                error = f"the bundle with that limit is activated, but the journal does not say so: {err}"
        log.info("limit_moved", to=request.limit.to, by=request.limit.by, bundle_id=done.bundle_id, error=error or None)
        say(answer_to, Answer(answer=request.ask, error=error, bundle_id=done.bundle_id))


def _record_of(request: ReviewRequest | PasswordRequest) -> tuple[str, str]:
    """The event's kind and detail."""
    if isinstance(request, PasswordRequest):
        own = request.password_of
        return USERS_EVENT, users_detail("password", own.user, own.role, Person(own.user, own.role, "password"))
    return "REVIEW", request.review.detail()


def _in_short(request: ReviewRequest | PasswordRequest) -> dict[str, object]:
    """For the log, which people read who need not know what others said of a part."""
    if isinstance(request, PasswordRequest):
        return {"user": request.password_of.user}
    return {"part_seq": request.review.part_seq, "says": request.review.says}

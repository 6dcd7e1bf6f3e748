"""The agent's side of the page: starts its process, tells it how the agent stands, writes its reviews.

Nothing here waits for the page. What it does not read in time it is not told; if it ends it is started again; what it
asks for is written one review after the other, with a pause, so that it cannot keep the journal busy. A limit that a
person moves is another process's work (``moving``), one at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from pydantic import TypeAdapter

from drivers.timing import Backoff, monotonic_s
from edge_agent.inspection.bundle.limit_changes import LIMIT_EVENT
from edge_agent.runtime.companion import start_companion
from edge_agent.store.held import Held
from edge_agent.store.journal import JournalError
from edge_agent.web.feed import AgentState, Answer, ArchivedKind, Condition, LimitRequest, Request
from edge_agent.web.moving import moved_by_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from pydantic import BaseModel

    from edge_agent.settings import Settings
    from edge_agent.store.held import HeldKind

__all__ = ["Looked", "keep_page"]

log = structlog.get_logger(__name__)

_REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
_LOOK_EVERY_S = 0.1
_TELL_EVERY_S = 1.0
_UNREAD_MAX_BYTES = 64 * 1024
_BETWEEN_REVIEWS_S = 0.1
_RESTART_FIRST_S, _RESTART_CAP_S = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Looked:
    """The agent at this moment. ``conditions`` maps each to why it does not hold, empty where it does."""

    state: str
    conditions: Mapping[str, str]
    is_simulated: bool
    archive_lost: int
    archive_pruned: int
    is_dry_run: bool = False
    degraded: Mapping[str, str] = field(default_factory=dict)
    bypass: str = ""
    archive_held: Held = field(default_factory=Held)


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
        self._look = look
        self._note = note
        self._state_since = ("", 0.0)
        self._since: dict[str, tuple[bool, float]] = {}
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
            telling = asyncio.create_task(self._tell(tell))
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

    async def _tell(self, to: asyncio.StreamWriter) -> None:
        last, last_mono_s = None, 0.0
        while True:
            state, now = self._state(), monotonic_s()
            if state != last or now - last_mono_s >= _TELL_EVERY_S:
                _say(to, state)
                last, last_mono_s = state, now
            await asyncio.sleep(_LOOK_EVERY_S)

    def _state(self) -> AgentState:
        looked, now = self._look(), monotonic_s()
        if looked.state != self._state_since[0]:
            self._state_since = (looked.state, now)
        conditions = {}
        for name, why_not in looked.conditions.items():
            holds = not why_not
            if name not in self._since or self._since[name][0] != holds:
                self._since[name] = (holds, now)
            conditions[name] = Condition(why_not=why_not, since_mono_s=self._since[name][1])
        return AgentState(
            state=looked.state,
            since_mono_s=self._state_since[1],
            is_simulated=looked.is_simulated,
            is_dry_run=looked.is_dry_run,
            degraded=dict(looked.degraded),
            conditions=conditions,
            archive_lost=looked.archive_lost,
            archive_pruned=looked.archive_pruned,
            bypass=looked.bypass,
            archive_passes=_kind(looked.archive_held.passes),
            archive_others=_kind(looked.archive_held.others),
        )

    async def _hear(self, page: asyncio.StreamReader, answer_to: asyncio.StreamWriter) -> None:
        """Do what people ask for until the page is gone. Raises ValueError for a page that says something else."""
        while line := await page.readline():
            request = _REQUEST.validate_json(line)
            if isinstance(request, LimitRequest):
                self._begin_to_move(request, answer_to)
                continue
            try:
                await self._note("REVIEW", request.review.model_dump_json())
                error = ""
            except JournalError as err:
                error = str(err)
            log.info("part_reviewed", part_seq=request.review.part_seq, says=request.review.says, error=error or None)
            _say(answer_to, Answer(answer=request.ask, error=error))
            await asyncio.sleep(_BETWEEN_REVIEWS_S)

    def _begin_to_move(self, request: LimitRequest, answer_to: asyncio.StreamWriter) -> None:
        if self._moving:
            _say(answer_to, Answer(answer=request.ask, error="another limit is being moved: try again in a moment"))
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
        _say(answer_to, Answer(answer=request.ask, error=error, bundle_id=done.bundle_id))


def _kind(held: HeldKind) -> ArchivedKind:
    return ArchivedKind(size_bytes=held.size_bytes, oldest_seq=held.oldest_seq)


def _say(to: asyncio.StreamWriter, line: BaseModel) -> None:
    if to.transport.get_write_buffer_size() < _UNREAD_MAX_BYTES:
        to.write(line.model_dump_json().encode() + b"\n")

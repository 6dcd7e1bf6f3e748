"""Whose turn it is in the journal's one thread: a part's row before everything else, its fate with the next row.

A commit waits for the disk, and a row that comes meanwhile waits behind it. So what became of a verdict, which nobody
waits for, is written in the same commit as the next part's row; where no part is open, at once; otherwise after
``LINGER_S`` at the latest. See docs/decisions/0082.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from edge_agent.store.opening import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from edge_agent.store.rows import PartRow, PublicationRow
    from edge_agent.store.writer import JournalWriter

__all__ = ["LINGER_S", "Turns"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

LINGER_S = 0.25
"""So long what became of a verdict may wait for the next part's row to be written with it."""


class Turns:
    """Calls of the writer, worked off one after the other in the executor's one thread. Filled from any thread."""

    def __init__(self, writer: JournalWriter, thread: Executor) -> None:
        self._writer = writer
        self._thread = thread
        self._rows: deque[Callable[[], None]] = deque()
        self._others: deque[Callable[[], None]] = deque()
        self._fates: deque[tuple[PublicationRow, Future[None]]] = deque()
        self.is_row_near: Callable[[], bool] = lambda: False
        """Whether a part is open, so that its row comes soon."""

    def row(self, row: PartRow) -> Future[None]:
        """Write a part's row before what waits, and with it what became of verdicts before. Raises RuntimeError.

        It is written even if nobody waits for it any more: a part that was decided has its row.
        """
        return self._put(self._rows, lambda: self._write_row(row), may_be_cancelled=False)

    def first(self, work: Callable[[], T]) -> Future[T]:
        """Do this before what waits, but for rows that came earlier, even if nobody waits for it any more.

        Raises RuntimeError: the thread has ended.
        """
        return self._put(self._rows, work, may_be_cancelled=False)

    def other(self, work: Callable[[], T]) -> Future[T]:
        """Do this when no row waits. Raises RuntimeError: the thread has ended."""
        return self._put(self._others, work)

    def fate(self, fate: PublicationRow) -> Future[None]:
        """Write what became of a verdict with the next row, or at the next ``flush``."""
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # it is written even if nobody waits for it any more
        self._fates.append((fate, done))
        return done

    def flush(self) -> None:
        """Write what became of verdicts now, where it still waits. Raises RuntimeError: the thread has ended."""
        if self._fates:
            self._put(self._others, self._write_fates)

    def _put(
        self, turns: deque[Callable[[], None]], work: Callable[[], T], *, may_be_cancelled: bool = True
    ) -> Future[T]:
        done: Future[T] = Future()
        if not may_be_cancelled:
            # From here on it cannot be cancelled: a part that was decided has its row even if nobody waits.
            done.set_running_or_notify_cancel()

        def turn() -> None:
            if may_be_cancelled and not done.set_running_or_notify_cancel():
                return
            try:
                found = work()
            except BaseException as err:  # noqa: BLE001 - handed to whoever waits, as every executor does
                done.set_exception(err)
            else:
                done.set_result(found)

        # Before the thread is called, which may look for it at once.
        turns.append(turn)
        try:
            self._thread.submit(self._take_turn)
        except RuntimeError:
            turns.remove(turn)
            raise
        return done

    def _take_turn(self) -> None:
        """Each call that was put is one turn; whose it is, is decided now."""
        # Never empty here: as many turns are submitted as calls are put, and only this thread takes any.
        (self._rows or self._others).popleft()()
        # After the row is acknowledged: what follows delays nobody's PASS but one whose row is there already.
        try:
            self._writer.tidy(is_calm=not (self._rows or self._others or self.is_row_near()))
        except Exception:  # every row is written: what was to be tidied waits for the next time
            log.exception("journal_not_tidied")

    def _write_row(self, row: PartRow) -> None:
        fates = self._taken()
        try:
            problems = self._writer.append(row, [fate for fate, _ in fates])
        except BaseException:
            # Back in their order, before those that have come meanwhile.
            self._fates.extendleft(reversed(fates))
            self._write_fates()  # what keeps a row out need not keep them out
            raise
        _tell(fates, problems)

    def _write_fates(self) -> None:
        fates = self._taken()
        if not fates:
            return
        try:
            problems = self._writer.publications([fate for fate, _ in fates])
        except JournalError as err:
            problems = [err] * len(fates)
        _tell(fates, problems)

    def _taken(self) -> list[tuple[PublicationRow, Future[None]]]:
        taken: list[Any] = []
        while self._fates:  # only this thread takes any
            taken.append(self._fates.popleft())
        return taken


def _tell(fates: list[tuple[PublicationRow, Future[None]]], problems: list[JournalError | None]) -> None:
    for (_, done), problem in zip(fates, problems, strict=True):
        if problem is None:
            done.set_result(None)
        else:
            done.set_exception(problem)

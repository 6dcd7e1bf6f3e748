"""The journal: every part once, durable before its PASS may leave.

One thread named ``journal`` owns the database; the event loop awaits it. Rows of parts go first (``turns``). Times are
monotonic seconds, UTC is a label.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from drivers.timing import monotonic_s
from edge_agent.store.opening import JournalError
from edge_agent.store.reader import JournalReader, NoJournalYet
from edge_agent.store.rows import CameraRow, EventRow, PartRow, PublicationRow
from edge_agent.store.turns import LINGER_S, Turns
from edge_agent.store.writer import JournalWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from edge_agent.domain import Published
    from edge_agent.store.chain import Head

__all__ = [
    "CameraRow",
    "EventRow",
    "Journal",
    "JournalError",
    "JournalReader",
    "NoJournalYet",
    "PartRow",
    "PublicationRow",
]

T = TypeVar("T")


class Journal:
    """The agent's journal. Made by ``open``; ``close`` lets the next agent have it."""

    def __init__(self, writer: JournalWriter, thread: ThreadPoolExecutor, next_part_seq: int) -> None:
        self._writer = writer
        self._thread = thread
        self._turns = Turns(writer, thread)
        self._next_part_seq = next_part_seq
        self._waiting: deque[float] = deque()

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open or create the journal, check it, bring its schema up to date and prove a durable write.

        Raises AlreadyRunning if another agent holds it, DataError if it is damaged or something else,
        JournalError if the disk refuses.
        """
        # A connection of SQLite belongs to the thread that opened it: this one does all of it.
        thread = ThreadPoolExecutor(1, initializer=_name_thread)
        try:
            writer = thread.submit(JournalWriter, path).result()
            last = thread.submit(lambda: writer.last_part_seq).result()
        except BaseException:
            thread.shutdown()
            raise
        return cls(writer, thread, last + 1)

    @property
    def next_part_seq(self) -> int:
        """The number of the next part: one above the highest in the journal."""
        return self._next_part_seq

    @property
    def waiting_s(self) -> float:
        """For how long the oldest call that has not returned has been waiting for the disk; 0.0 if none is."""
        return max(0.0, monotonic_s() - min(self._waiting)) if self._waiting else 0.0

    def tell_nearness(self, is_row_near: Callable[[], bool]) -> None:
        """Whether a part is open: what became of verdicts then waits a moment, to be written with its row."""
        self._turns.is_row_near = is_row_near

    def counted(self, *, is_simulated: bool) -> tuple[int | None, frozenset[int]]:
        """How far the controller's count was followed, and single counts beyond. Blocks: before the loop has work."""
        return self._thread.submit(lambda: self._writer.counted(is_simulated=is_simulated)).result()

    async def append(self, row: PartRow) -> None:
        """Return when the row is on the disk; raises JournalError if it is not. It goes before all else that waits."""
        await self._done(lambda: self._turns.row(row))
        # The larger one: rows may come in another order than their numbers.
        self._next_part_seq = max(self._next_part_seq, row.part_seq + 1)

    async def missed(self, detail: str, rows: Sequence[PartRow], at_mono_s: float) -> None:
        """Return when an event and the rows of parts that nobody heard of, withheld, are on the disk, all together.

        Raises JournalError if they are not.
        """
        await self._done(lambda: self._turns.first(lambda: self._writer.missed(detail, rows, at_mono_s)))
        self._next_part_seq = max(self._next_part_seq, *(row.part_seq + 1 for row in rows))

    async def publication(self, part_seq: int, published: Published, at_mono_s: float, detail: str = "") -> None:
        """Record durably what became of a part's verdict. Its row must be there. Raises JournalError.

        While a part is open it is written with that one's row, or a moment later. It is written even if nobody waits
        for it any more.
        """
        fate = PublicationRow(part_seq, published, at_mono_s, detail)
        # No row comes soon that it could share a commit with (docs/decisions/0082).
        if not self._turns.is_row_near():
            await self._done(lambda: self._fated(fate))
            return
        loop = asyncio.get_running_loop()
        lingers = loop.call_later(LINGER_S, self._flush)
        try:
            await self._done(lambda: self._turns.fate(fate), after_s=LINGER_S)
        # The timer goes with whoever waited: what lies there is written now.
        except asyncio.CancelledError:
            self._flush()
            raise
        finally:
            lingers.cancel()

    def _fated(self, fate: PublicationRow) -> Future[None]:
        done = self._turns.fate(fate)
        self._turns.flush()
        return done

    def _flush(self) -> None:
        with suppress(RuntimeError):  # the thread has ended, and wrote all when it was closed
            self._turns.flush()

    async def event(self, kind: str, detail: str, *, must: bool = False) -> None:
        """Record durably what happened to the agent: start, stop, READY, FAULT, an operator's action.

        Raises JournalError. ``must``: what the disk refuses is owed then, and written before any part's row.
        """
        await self._in_thread(lambda: self._writer.event(kind, detail, must=must))

    async def prove_writable(self) -> None:
        """Return if a write reaches the disk; raises JournalError if it does not."""
        await self._in_thread(self._writer.prove)

    async def head(self) -> Head:
        """The newest link of the chain of hashes. Raises JournalError."""
        return await self._in_thread(lambda: self._writer.head)

    def close(self) -> None:
        """Finish what is being written and let go of the file. A second call does nothing."""
        try:
            self._turns.flush()
            self._thread.submit(self._writer.close)
        except RuntimeError:  # the thread has ended: it is closed
            return
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._done(lambda: self._turns.other(work))

    async def _done(self, put: Callable[[], Future[T]], *, after_s: float = 0.0) -> T:
        """Wait for what is put; of waiting for the disk only what lies behind ``after_s`` counts."""
        try:
            done = put()
        except RuntimeError as err:
            raise JournalError("the journal is closed") from err
        since = monotonic_s() + after_s
        self._waiting.append(since)
        try:
            return await asyncio.wrap_future(done)
        finally:
            self._waiting.remove(since)  # not the oldest: one that is cancelled may be any


def _name_thread() -> None:
    threading.current_thread().name = "journal"

"""The server's process from the inside: last in line for the processor, first to go when memory runs out.

It reads the journal, hears how the agent stands, and says nothing to the agent.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING

import structlog

from drivers.timing import monotonic_s
from edge_agent.errors import DataError
from edge_agent.feed.current import REMEMBERED_PARTS, Live
from edge_agent.feed.state import AgentState
from edge_agent.logs import configure_logs
from edge_agent.opcua.hello import Hello
from edge_agent.opcua.library import need_library
from edge_agent.opcua.results import RESULTS_KEPT
from edge_agent.opcua.states import vision_state
from edge_agent.runtime.process import boot_id, stand_back

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.feed.current import SeenPart
    from edge_agent.opcua.space import Space

__all__ = ["run_server"]

log = structlog.get_logger(__name__)

_LINE_MAX_BYTES = 8 << 20
_TELL_EVERY_S = 0.1
_COUNT_EVERY_S = 1.0
_FATE_WITHIN_S = 3.0
"""So long after its row a part may wait for the word on what became of its verdict."""


async def run_server() -> None:
    """Serve until standard input ends. Raises ConfigError, DataError, Unavailable."""
    stand_back(None)
    told = asyncio.StreamReader(limit=_LINE_MAX_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    hello = Hello.model_validate_json(await told.readline())
    settings = hello.settings
    configure_logs(settings.log.level, settings.log.format)
    need_library()
    from edge_agent.opcua.server import open_server, quiet_library  # noqa: PLC0415 - an extra

    quiet_library()
    live = Live(settings.store.journal, settings.web.shift_starts if settings.web else ("00:00",))
    async with open_server(hello) as space, asyncio.TaskGroup() as tasks:
        work = [
            tasks.create_task(live.follow()),
            tasks.create_task(_tell(live, space)),
        ]
        where = f"{settings.opcua.host}:{settings.opcua.port}" if settings.opcua else ""
        log.info("opcua_serves", at=where)
        while line := await told.readline():
            live.hear(AgentState.model_validate_json(line))
        for task in work:
            task.cancel()


async def _tell(live: Live, space: Space) -> None:
    """Bring into the address space what is known now, ten times a second.

    Raises DataError where the journal's file is another one than before: after a rotation everything is read anew.
    """
    results, counted_mono_s, file = _Results(), -_COUNT_EVERY_S, _file_of(live.journal)
    while True:
        await space.tell_state(vision_state(live.agent, is_heard=live.is_heard))
        await space.tell_program(live.agent.program if live.agent is not None and live.is_heard else None)
        for part, is_news in results.of(live):
            await space.tell_result(part, is_news=is_news)
        if monotonic_s() - counted_mono_s >= _COUNT_EVERY_S:
            counted_mono_s = monotonic_s()
            await space.tell_counters(live.counters())
            if _file_of(live.journal) != file:
                raise DataError(f"{live.journal} is another file than before", hint="the server begins anew with it")
        await asyncio.sleep(_TELL_EVERY_S)


class _Results:
    """Which parts are to be told: as soon as it is known what became of the verdict, or after three seconds.

    News is what was decided since the server began, once; what is shown beside it is no event.
    """

    def __init__(self) -> None:
        self._version = 0
        self._begun_mono_s, self._boot_id = monotonic_s(), boot_id()
        self._waiting: dict[int, tuple[SeenPart, float]] = {}
        self._told: deque[int] = deque(maxlen=REMEMBERED_PARTS)

    def of(self, live: Live) -> list[tuple[SeenPart, bool]]:
        """Those to tell now, the oldest first, and whether each is news."""
        self._version, parts = live.newer_than(self._version)
        now = monotonic_s()
        shown: list[SeenPart] = []
        for part in parts:
            number = part.row.part_seq
            if self._is_since(part) and number not in self._told:
                self._waiting[number] = part, self._waiting.get(number, (part, now))[1]
            else:
                shown.append(part)
        ready = [
            number
            for number, (part, since) in sorted(self._waiting.items())
            if part.publication is not None or now - since >= _FATE_WITHIN_S
        ]
        self._told.extend(ready)
        shown.sort(key=lambda part: part.row.part_seq)
        return [(part, False) for part in shown[-RESULTS_KEPT:]] + [
            (self._waiting.pop(number)[0], True) for number in ready
        ]

    def _is_since(self, part: SeenPart) -> bool:
        return part.row.boot_id == self._boot_id and part.row.decided_mono_s >= self._begun_mono_s


def _file_of(path: Path) -> int:
    """Which file stands under the name now; 0: none, for a moment or for good."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0

"""``edge-agent output test``: the output by hand, while no agent runs, with its row in the journal before PASS."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING

from drivers.base import DriverError
from edge_agent.errors import Unavailable, UsageError
from edge_agent.output import make_walker
from edge_agent.runtime.claim import claimed
from edge_agent.store.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.output import Step, Walk, Walker
    from edge_agent.settings import Settings

__all__ = ["person", "plan", "walk_output", "walk_to_json"]

_STOPPED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def person() -> str:
    """Who sits at this terminal, as far as the system knows."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def plan(settings: Settings) -> list[Step]:
    """What would be written, step by step. Touches nothing."""
    return list(make_walker(settings).plan())


async def walk_output(settings: Settings, seconds: float, tell: Callable[[int, int, Step], None]) -> Walk:
    """Walk through the output, once, within ``seconds``; Ctrl-C, SIGTERM and a closed terminal end it with REJECT.

    Holds output and journal meanwhile, so that no agent can start, and writes down who did it before PASS is energised.
    Raises AlreadyRunning while an agent runs, Unavailable if the device is not there, JournalError, ConfigError.
    """
    _refuse_foreign_files(settings.store.journal)
    # These block, and nothing else runs on this loop.
    with closing(Journal.open(settings.store.journal)) as journal, claimed(settings.output) as claim:
        return await _walk(make_walker(settings, claim), journal, seconds, tell)


async def _walk(walker: Walker, journal: Journal, seconds: float, tell: Callable[[int, int, Step], None]) -> Walk:
    loop = asyncio.get_running_loop()
    try:
        for number in _STOPPED_BY:
            loop.add_signal_handler(number, walker.stop.set)
        walker.tell = tell
        await journal.event("OUTPUT_TEST", f"begins, by {person()}: PASS is energised by hand")
        try:
            walk = await walker.walk(seconds)
        except DriverError as err:
            await journal.event("OUTPUT_TEST", f"ends: {err}")
            raise Unavailable(str(err), hint="edge-agent doctor says more") from err
        found = walk.problem or next((step.problem for step in walk.steps if step.problem), "every step was read back")
        await journal.event("OUTPUT_TEST", f"ends: {found}; REJECT {'stands' if walk.is_at_rest else 'is NOT PROVEN'}")
        return walk
    finally:
        for number in _STOPPED_BY:
            loop.remove_signal_handler(number)


def walk_to_json(walk: Walk) -> dict[str, object]:
    """The versioned object of ``--json``."""
    return {
        "schema_version": 1,
        "ok": walk.is_good,
        "reject_stands": walk.is_at_rest,
        "problem": walk.problem or None,
        "steps": [
            {
                "name": step.name,
                "expect": step.expect,
                "writes": step.writes,
                "slowest_ms": step.slowest_ms,
                "problem": step.problem or None,
            }
            for step in walk.steps
        ],
    }


def _refuse_foreign_files(journal: Path) -> None:
    """Root must not leave files that the agent's own user cannot open."""
    folder = journal.parent
    if os.geteuid() == 0 and folder.exists() and folder.stat().st_uid != 0:
        raise UsageError(
            f"{folder} belongs to another user, and root would leave files there that the agent cannot write",
            hint="run this as that user: sudo -u edge-agent edge-agent output test ...",
        )

"""``edge-agent output test``: the output by hand, while no agent runs, with its row in the journal before PASS."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager, closing
from datetime import datetime
from typing import TYPE_CHECKING

from drivers.base import DriverError
from edge_agent.errors import Unavailable, UsageError
from edge_agent.files.owners import person
from edge_agent.runtime.claim import claimed
from edge_agent.settings import put_keys
from edge_agent.store.journal import Journal
from edge_agent.wiring.output import LevelWalker, make_walker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.settings import Settings
    from edge_agent.wiring.output import BlockWalker, Fall, Step, Walk

__all__ = ["plan", "state_watchdog", "try_watchdog", "walk_output", "walk_to_json"]

_PASS_STANDS_S = 2.0
"""Time to look at the gate, before the writes stop."""
_STOPPED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def plan(settings: Settings) -> list[Step]:
    """What would be written, step by step. Touches nothing."""
    return list(make_walker(settings).plan())


async def walk_output(settings: Settings, seconds: float, tell: Callable[[int, int, Step], None]) -> Walk:
    """Walk through the output, once, within ``seconds``; Ctrl-C, SIGTERM and a closed terminal end it with REJECT.

    Holds output and journal meanwhile, so that no agent can start, and writes down who did it before PASS is energised.
    Raises AlreadyRunning while an agent runs, Unavailable if the device is not there, JournalError, ConfigError.
    """
    async with _by_hand(settings, f"begins, by {person()}: PASS is energised by hand") as (walker, journal):
        walker.tell = tell
        walk = await walker.walk(seconds)
        found = walk.problem or next((step.problem for step in walk.steps if step.problem), "every step was read back")
        await journal.event("OUTPUT_TEST", f"ends: {found}; REJECT {'stands' if walk.is_at_rest else 'is NOT PROVEN'}")
        return walk


async def try_watchdog(settings: Settings, by: str) -> Fall:
    """Have PASS stand, stop writing, and see whether the remote I/O drops it by itself. Held and raised as by the walk.

    Raises UsageError for registers, too: there the PLC looks at the heartbeat.
    """
    if settings.output.names_parts:
        raise UsageError(
            "a PLC looks at the heartbeat by itself", hint="edge-agent output test --yes has a step for that: HEARTBEAT"
        )
    async with _by_hand(settings, f"begins, by {by}: PASS stands, then nothing is written") as (walker, journal):
        assert isinstance(walker, LevelWalker)  # noqa: S101 - a PASS that names its part was refused
        fall = await walker.let_fall(_PASS_STANDS_S)
        found = fall.problem or f"PASS fell {fall.after_ms:.0f} ms after the last write"
        await journal.event("OUTPUT_TEST", f"ends: {found}; PASS is {'off' if fall.is_at_rest else 'NOT PROVEN OFF'}")
        return fall


async def state_watchdog(settings: Settings, config: Path, by: str) -> tuple[str, str]:
    """Write into journal and line.toml that a person saw the gate close by itself: today, by this name.

    Gives the two lines for [output], and why they are not in the file (empty if they are). Raises JournalError,
    AlreadyRunning.
    """
    day = datetime.now().astimezone().date()
    keys = {"watchdog_tested": day.isoformat(), "watchdog_tested_by": json.dumps(by, ensure_ascii=False)}
    said, why = "\n".join(f"{key} = {value}" for key, value in keys.items()), ""
    with closing(Journal.open(settings.store.journal)) as journal:
        await journal.event("OUTPUT_TEST", f"the gate was seen to close when the writes stopped, by {by}")
    try:
        if not put_keys(config, "output", keys):
            why = f"{config} has no table [output] of its own lines"
    except OSError as err:
        why = f"{config} cannot be written: {err.strerror}"
    return said, why


@asynccontextmanager
async def _by_hand(settings: Settings, begins: str) -> AsyncIterator[tuple[LevelWalker | BlockWalker, Journal]]:
    """The output and the journal, held; signals only stop the walker, so that REJECT is not cut short."""
    loop = asyncio.get_running_loop()
    # These block, and nothing else runs on this loop.
    with closing(Journal.open(settings.store.journal)) as journal, claimed(settings.output) as claim:
        walker = make_walker(settings, claim)
        try:
            for number in _STOPPED_BY:
                loop.add_signal_handler(number, walker.stop.set)
            await journal.event("OUTPUT_TEST", begins)
            yield walker, journal
        except DriverError as err:
            await journal.event("OUTPUT_TEST", f"ends: {err}")
            raise Unavailable(str(err), hint="edge-agent doctor says more") from err
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

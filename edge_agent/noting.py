"""A record for the journal from a command: by way of the agent that runs, which holds the journal, or directly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edge_agent.desk import DeskClient, desk_path
from edge_agent.store.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["note"]


async def note(journal: Path, kind: str, detail: str) -> str:
    """Write an event, of the kinds that the desk takes and 2000 characters at most; by which way: agent or journal.

    Raises EdgeAgentError.
    """
    async with DeskClient.open(desk_path(journal)) as agent:
        if agent is not None:
            await agent.note(kind, detail)
            return "agent"
    opened = await asyncio.to_thread(Journal.open, journal)
    try:
        await opened.event(kind, detail)
    finally:
        await asyncio.to_thread(opened.close)
    return "journal"

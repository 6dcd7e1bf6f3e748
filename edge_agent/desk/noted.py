"""A record for the journal, written by whoever has it: the running agent, else this command itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edge_agent.desk.client import DeskClient, desk_path
from edge_agent.store.journal import Journal

if TYPE_CHECKING:
    from edge_agent.settings import Settings

__all__ = ["noted"]


async def noted(settings: Settings, kind: str, detail: str) -> str:
    """Write an event, by way of the running agent or directly; by which way. Raises EdgeAgentError, DriverError."""
    async with DeskClient.open(desk_path(settings.store.journal)) as agent:
        if agent is not None:
            await agent.note(kind, detail)
            return "agent"
    journal = await asyncio.to_thread(Journal.open, settings.store.journal)
    try:
        await journal.event(kind, detail, must=True)
    finally:
        await asyncio.to_thread(journal.close)
    return "journal"

"""How the receivers of results stand: what each has not got yet, and what it will not take. Read from files alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.store.aside import number_aside
from edge_agent.store.position import position_file, read_position, rows_behind

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings

__all__ = ["ReceiverStatus", "named_receivers", "receiver_status", "receiver_statuses"]


@dataclass(frozen=True, slots=True)
class ReceiverStatus:
    """One receiver. ``waiting``, in rows of the journal, and ``aside`` are None where ``problem`` hides them.

    ``waiting`` is None before the first start too.
    """

    receiver: str
    waiting: int | None
    aside: int | None
    problem: str = ""

    @property
    def degraded(self) -> str:
        """Why a person should look; empty where there is no reason."""
        if self.problem:
            return f"results for {self.receiver}: {self.problem}"
        if self.aside:
            return (
                f"{self.receiver} did not get {self.aside} result{'s' * (self.aside > 1)}, which "
                f"{'are' if self.aside > 1 else 'is'} set aside: edge-agent results list"
            )
        return ""


def receiver_statuses(settings: Settings) -> list[ReceiverStatus]:
    """Every receiver that line.toml names. Raises nothing."""
    return [receiver_status(settings.store.journal, name) for name in named_receivers(settings)]


def named_receivers(settings: Settings) -> list[str]:
    """The receivers that line.toml names, in the order in which people are told of them."""
    tables = {
        "mqtt": settings.mqtt,
        "sparkplug": settings.sparkplug,
        "webhook": settings.webhook,
        "fleet": settings.fleet,
    }
    return [name for name, table in tables.items() if table is not None]


def receiver_status(journal: Path, receiver: str) -> ReceiverStatus:
    """How one receiver stands. Raises nothing."""
    waiting = aside = None
    try:
        aside = number_aside(journal, receiver)
        position = read_position(position_file(journal, receiver))
        if position is not None:
            waiting = rows_behind(journal, position)
    except DataError as err:
        return ReceiverStatus(receiver, waiting, aside, str(err))
    return ReceiverStatus(receiver, waiting, aside)

"""The line's rows for the fleet: out of the journal by the publisher's own queue, each named by its journal as well."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.publishing.sender import NotDelivered
from edge_agent.publishing.webhook import WebhookReceiver
from edge_agent.settings import WebhookSettings
from edge_agent.store.position import files_since
from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_agent.publishing.outbox import Record
    from edge_agent.settings import Settings
    from edge_agent.settings.fleet import FleetSettings

__all__ = ["FleetRows", "journal_name"]

_MOST = 100


class FleetRows:
    """The server as a receiver of results. Used in one thread."""

    name = "fleet"
    most = _MOST

    def __init__(self, settings: Settings, fleet: FleetSettings, secret: Path) -> None:
        self._journal = settings.store.journal
        self._posts = WebhookReceiver(
            WebhookSettings(
                url=f"{fleet.url.rstrip('/')}/line/rows", token_file=secret, most=_MOST, ca_file=fleet.ca_file
            ),
            settings.line.name,
        )

    def deliver(self, records: Sequence[Record]) -> None:
        """POST them. Raises as WebhookReceiver does, and NotDelivered while the journal is being begun anew."""
        names = {origin: journal_name(self._journal, origin) for origin in {record.origin for record in records}}
        last = records[-1]
        if last.sha256 and names[last.origin] == "":
            raise NotDelivered("the journal is being begun anew")
        self._posts.deliver([replace(one, content=one.content | {"journal": names[one.origin]}) for one in records])

    def keep(self) -> None:
        """Nothing is held open between two deliveries."""

    def close(self) -> None:
        """Nothing is held open between two deliveries."""


def journal_name(journal: Path, origin: str) -> str:
    """What tells a journal's file from every other: of its first link, because two first journals begin alike.

    Empty where the file has no link yet. Raises NotDelivered where the file is not there any more.
    """
    try:
        files, problem = files_since(journal, origin)
        if problem:
            raise NotDelivered(problem)
        with JournalReader.open(files[0]) as reader:
            first = reader.link_sha256(1)
    except DataError as err:
        raise NotDelivered(str(err)) from err
    return sha256(f"{origin} {first}".encode()).hexdigest()[:32] if first else ""

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
        names = {one.origin: journal_name(self._journal, one.origin, one.link, one.sha256) for one in records}
        self._posts.deliver([replace(one, content=one.content | {"journal": names[one.origin]}) for one in records])

    def keep(self) -> None:
        """Nothing is held open between two deliveries."""

    def close(self) -> None:
        """Nothing is held open between two deliveries."""


def journal_name(journal: Path, origin: str, link: int, link_sha256: str) -> str:
    """What tells a stretch of a journal from every other, out of the hash of its first link: two journals begin alike.

    A stretch ends where a backup was restored: from there on parts have numbers that the line had given before, and the
    server would take them for known. Raises NotDelivered where the file that has this link, of this hash, is not there
    any more. An empty hash is of a record that was set aside, and is not compared.
    """
    try:
        files, problem = files_since(journal, origin)
        if problem:
            raise NotDelivered(problem)
        with JournalReader.open(files[0]) as reader:
            starts, found = reader.starts(), reader.link_sha256(link)
    except DataError as err:
        raise NotDelivered(str(err)) from err
    first = max((one for one in starts if one[0] <= max(link, 1)), default=None)
    if first is None or (link_sha256 and found != link_sha256):
        raise NotDelivered("the journal is being begun anew")
    return sha256(f"{origin} {first[1]}".encode()).hexdigest()[:32]

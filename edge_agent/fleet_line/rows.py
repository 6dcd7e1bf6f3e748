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
        # The last of a file: its hash covers all before it.
        newest = {one.origin: one for one in records}
        starts = {of: _starts(self._journal, of, one.link, one.sha256) for of, one in newest.items()}
        named = [(one, _name(one.origin, starts[one.origin], one.link)) for one in records]
        self._posts.deliver([replace(one, content=one.content | {"journal": name}) for one, name in named])

    def keep(self) -> None:
        """Nothing is held open between two deliveries."""

    def close(self) -> None:
        """Nothing is held open between two deliveries."""


def journal_name(journal: Path, origin: str, link: int, link_sha256: str) -> str:
    """What tells the parts at this link from all others of the same numbers.

    It is made of the file's first link, because two first journals begin alike; and of the row that a restored backup
    wrote, because numbers are given again behind it. Raises NotDelivered where the file that has this link, of this
    hash, is not there any more. An empty hash is of a record that was set aside, and is not compared.
    """
    return _name(origin, _starts(journal, origin, link, link_sha256), link)


def _starts(journal: Path, origin: str, link: int, link_sha256: str) -> list[tuple[int, str]]:
    try:
        files, problem = files_since(journal, origin)
        if problem:
            raise NotDelivered(problem)
        with JournalReader.open(files[0]) as reader:
            starts, found = reader.stretch_starts(), reader.link_sha256(link)
    except DataError as err:
        raise NotDelivered(str(err)) from err
    if not starts or (link_sha256 and found != link_sha256):
        raise NotDelivered("the journal is being begun anew")
    return starts


def _name(origin: str, starts: list[tuple[int, str]], link: int) -> str:
    of_stretch = [sha256 for begins, sha256 in starts if begins <= link] or [starts[0][1]]
    told = [origin, starts[0][1], *of_stretch[1:][-1:]]
    return sha256(" ".join(told).encode()).hexdigest()[:32]

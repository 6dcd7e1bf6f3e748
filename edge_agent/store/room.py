"""How much of a disk has to be free, and for whom: the numbers that agent, archive and doctor share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings

__all__ = ["Place", "archive_reserve_bytes", "existing", "in_words", "inbox_bytes", "places_of", "wanted_bytes"]

_INBOX_IMAGES = 2
"""Of the largest size: one that is being received, and one that waits for its verdict."""
_JOURNAL_BYTES = 16 * 2**20
"""Some thousand rows, and the log of a checkpoint."""
_AMPLE = 2
"""The archive begins to give way at so many times what is needed: long before anything has to stand still."""
# For the journal, which must still be written when the archive has filled its share (docs/decisions/0010).
_RESERVE_MOST_BYTES = 2 * 2**30
_RESERVE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that the agent cannot do without, and the bytes that have to be free there."""

    name: str
    folder: Path
    needed_bytes: int


def places_of(settings: Settings) -> tuple[Place, ...]:
    """Where a part leaves its bytes before its verdict: its image in the spool, its row in the journal."""
    return (
        Place("spool", settings.images.spool, inbox_bytes(settings)),
        Place("journal", settings.store.journal.parent, _JOURNAL_BYTES),
    )


def inbox_bytes(settings: Settings) -> int:
    """What has to be free before an image is taken."""
    return _INBOX_IMAGES * settings.images.max_mib * 2**20


def wanted_bytes(settings: Settings) -> int:
    """What the archive leaves free at least, so that no place gets short because of it."""
    return _AMPLE * max(place.needed_bytes for place in places_of(settings))


def archive_reserve_bytes(total_bytes: int, least_bytes: int) -> int:
    """What the archive leaves free of such a disk: the smaller of 2 GiB and 5 %, or the least if that is more."""
    return max(least_bytes, min(_RESERVE_MOST_BYTES, int(total_bytes * _RESERVE_SHARE)))


def existing(path: Path) -> Path:
    """The folder, or the nearest above it that is there already."""
    # Asked before the folder is made: the disk is that of the nearest folder above.
    while not path.exists():
        path = path.parent
    return path


def in_words(size_bytes: float) -> str:
    """A size for people: MiB below one GiB."""
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.1f} MiB"

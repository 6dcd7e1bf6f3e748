"""What a person means who types one text into the find field: a part, a count, an image, or a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from edge_agent.local_time import local_words
from edge_agent.moment import moment
from edge_agent.store.search import PartQuery
from edge_agent.store.stock import NAME
from edge_agent.web.asking import utc_text

if TYPE_CHECKING:
    from datetime import datetime

    from edge_agent.store.rows import PartRow
    from edge_agent.store.search import JournalSearch

__all__ = ["TEXT_MOST", "FoundGroup", "find_text"]

TEXT_MOST = 200
_SHOWN_MOST = 20
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """The parts under one meaning of the text. ``kind``: part, count, image, likely_image or time.

    ``said`` is the value that was understood; ``filter`` asks the history for all of them, empty where these are all.
    """

    kind: str
    said: str
    parts: tuple[PartRow, ...]
    filter: str = ""


def find_text(journal: JournalSearch, text: str, now: datetime) -> list[FoundGroup]:
    """Every meaning of the text with what it finds; never empty for a text that is not. ``now`` has an offset."""
    words = text.strip()
    if not words:
        return []
    groups = [_part(journal, int(words)), _count(journal, int(words))] if _NUMBER.fullmatch(words) else []
    at = _time(words, now)
    if at is not None:
        groups.append(_from(journal, at))
    if archived := NAME.fullmatch(words):
        groups.append(_part(journal, int(archived["seq"])))
    return groups or [_image(journal, words)]


def _time(words: str, now: datetime) -> str | None:
    try:
        return utc_text(moment(words, now))
    except (ValueError, OverflowError):
        return None


def _part(journal: JournalSearch, number: int) -> FoundGroup:
    row = journal.part(min(number, 2**63 - 1))
    return FoundGroup("part", str(number), () if row is None else (row,))


def _count(journal: JournalSearch, number: int) -> FoundGroup:
    return _listed(journal, "count", str(number), PartQuery(count=number, most=_SHOWN_MOST), {"count": number})


def _image(journal: JournalSearch, name: str) -> FoundGroup:
    found = _listed(journal, "image", name, PartQuery(image=name, most=_SHOWN_MOST), {"image": name})
    if found.parts or "*" in name:
        return found
    likely = f"*{name}*"
    return _listed(journal, "likely_image", name, PartQuery(image=likely, most=_SHOWN_MOST), {"image": likely})


def _from(journal: JournalSearch, utc: str) -> FoundGroup:
    query = PartQuery(since_utc=utc, after_seq=0, most=_SHOWN_MOST)
    return FoundGroup("time", local_words(utc), journal.find(query).parts[::-1], urlencode({"since": utc}))


def _listed(journal: JournalSearch, kind: str, said: str, query: PartQuery, asked: dict[str, Any]) -> FoundGroup:
    found = journal.find(query)
    return FoundGroup(kind, said, found.parts, urlencode(asked) if found.before_seq is not None else "")

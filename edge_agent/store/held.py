"""How far back an archive reaches, from what is really there: the oldest image of each kind, and when its part was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.store.journal import JournalReader
from edge_agent.store.room import in_words
from edge_agent.store.stock import PASSES, archived

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Held", "HeldKind", "Reach", "held_in", "reach_of", "span_words"]

_HOUR_S, _DAY_S = 3600.0, 86_400.0
# "30 hours" says more to a shift than "1 day".
_HOURS_UNTIL_S = 2 * _DAY_S


@dataclass(frozen=True, slots=True)
class HeldKind:
    """Bytes of all images of a kind, and the part number of the oldest; None where there is none."""

    size_bytes: int = 0
    oldest_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What an archive holds of PASS, and of all other parts."""

    passes: HeldKind = HeldKind()
    others: HeldKind = HeldKind()

    @property
    def size_bytes(self) -> int:
        """The bytes of all images together."""
        return self.passes.size_bytes + self.others.size_bytes


@dataclass(frozen=True, slots=True)
class Reach:
    """How long ago the oldest part of each kind was, in seconds; None where the journal does not know it."""

    held: Held
    passes_s: float | None = None
    others_s: float | None = None

    @property
    def words(self) -> str:
        """For people: ``holds 3.1 hours of passes, 12 days of rejects (18.2 GiB)``."""
        passes = _kind_words("passes", self.held.passes, self.passes_s)
        others = _kind_words("rejects", self.held.others, self.others_s)
        return f"holds {passes}, {others} ({in_words(self.held.size_bytes)})"


def held_in(archive: Path) -> Held:
    """Look through an archive. Raises OSError."""
    kinds: dict[bool, tuple[int, int | None]] = {True: (0, None), False: (0, None)}
    for became, image in archived(archive):
        total, least = kinds[became in PASSES]
        kinds[became in PASSES] = (
            total + image.size_bytes,
            image.part_seq if least is None else min(least, image.part_seq),
        )
    return Held(HeldKind(*kinds[True]), HeldKind(*kinds[False]))


def reach_of(held: Held, journal: Path, now: datetime | None = None) -> Reach:
    """When the oldest parts were, by the journal. What it cannot tell is None: it was rotated, or is not readable."""
    now = now or datetime.now(UTC)
    try:
        with JournalReader.open(journal) as reader:
            passes_s, others_s = (_age_s(reader, kind.oldest_seq, now) for kind in (held.passes, held.others))
    except DataError:
        return Reach(held)
    return Reach(held, passes_s, others_s)


def span_words(span_s: float) -> str:
    """A time for people: hours up to two days, then days."""
    return f"{span_s / _HOUR_S:.1f} hours" if span_s < _HOURS_UNTIL_S else f"{span_s / _DAY_S:.0f} days"


def _age_s(reader: JournalReader, part_seq: int | None, now: datetime) -> float | None:
    if part_seq is None:
        return None
    row = reader.part(part_seq)
    return None if row is None else max(0.0, (now - datetime.fromisoformat(row.decided_utc)).total_seconds())


def _kind_words(name: str, kind: HeldKind, span_s: float | None) -> str:
    if kind.oldest_seq is None:
        return f"no {name}"
    return f"{name} from before this journal" if span_s is None else f"{span_words(span_s)} of {name}"

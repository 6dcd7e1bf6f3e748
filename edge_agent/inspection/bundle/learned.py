"""What a bundle learned from confirmed parts of its line: in its manifest, which the bundle's id covers.

An older program reads such a bundle as any other one: it judges by nothing that stands here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.errors import BundleRejected, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "LEARNED",
    "LEARN_EVENT",
    "Learned",
    "LearnedPart",
    "Word",
    "Worse",
    "check_compared",
    "check_reason",
    "learned_of",
    "plain",
]

LEARNED = "learned"
LEARN_EVENT = "LEARN"
"""The journal's event: somebody has a bundle learn from confirmed parts, and what came of it."""
_ID_DIGITS, _LONGEST = 12, 200


def plain(text: str) -> str:
    """A text as a manifest can hold it: what no screen shows is written out, and the end of a long one is cut."""
    return (text if text.isprintable() else ascii(text)[1:-1])[:_LONGEST]


@dataclass(frozen=True, slots=True)
class Word:
    """One review: event ``event`` of the journal whose origin is ``journal``, by whom, and what it says of the part."""

    journal: str
    event: int
    by: str
    says: str


@dataclass(frozen=True, slots=True)
class LearnedPart:
    """A part of the line that this bundle was made or tried with, the sha256 of its image, and who said what of it."""

    part: str
    sha256: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Worse:
    """A figure that is worse than that of the bundle before: ``what`` it is, in words, and both values as told."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Learned:
    """``added`` good parts are in its memory beside those of ``parent``; ``defects`` it was tried with, no part of it.

    ``worse`` is what it loosens or does worse than ``parent``; ``is_compared``: that was found out.
    """

    parent: str
    by: str
    at_utc: str
    why: str
    added: tuple[LearnedPart, ...]
    defects: tuple[LearnedPart, ...]
    worse: tuple[Worse, ...] = ()
    is_compared: bool = False

    def to_json(self) -> dict[str, Any]:
        """The object that stands in the manifest."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"learned from bundle {self.parent[:_ID_DIGITS]} by {self.by} at {self.at_utc}: {len(self.added)} good "
            f"parts added, tried with {len(self.defects)} known defects"
        )


def learned_of(manifest: Mapping[str, Any]) -> Learned | None:
    """What a proven manifest says of it; None for a bundle that learned nothing from its line."""
    told = manifest.get(LEARNED)
    if told is None:
        return None
    return Learned(
        told["parent"],
        told["by"],
        told["at_utc"],
        told["why"],
        tuple(map(_part, told["added"])),
        tuple(map(_part, told["defects"])),
        tuple(Worse(one["what"], one["before"], one["after"]) for one in told["worse"]),
        told["is_compared"],
    )


def check_compared(manifest: Mapping[str, Any]) -> None:
    """Raise BundleRejected for a bundle that learned and was not compared: nobody knows what it loosens."""
    learned = learned_of(manifest)
    if learned is not None and not learned.is_compared:
        raise BundleRejected(
            "this bundle was not compared with the one that it learned from: its learning was broken off, or refused",
            hint="edge-agent learn run goes on with it; what it offers lies in the folder bundle beside it, and is put "
            "to use by edge-agent bundle activate FOLDER --config line.toml",
        )


def check_reason(
    manifest: Mapping[str, Any], in_use: str | None, why: str, since: Sequence[str] = ()
) -> tuple[str, ...]:
    """What is loosened by putting this bundle to use, in words. Raises UsageError where nobody says why it may be.

    Raises BundleRejected for one that was not compared. ``in_use`` is the id of the bundle that judges today, None
    where none does: what was compared with another one says nothing of that. ``since`` is what people have said against
    it since it was compared.
    """
    learned = learned_of(manifest)
    if learned is None:
        return ()
    check_compared(manifest)
    loosened = (*map(str, learned.worse), *since)
    if in_use is not None and in_use != learned.parent:
        other = f"it was compared with bundle {learned.parent[:_ID_DIGITS]}, and {in_use[:_ID_DIGITS]} is in use"
        loosened = (*loosened, other)
    if loosened and not why.strip():
        raise UsageError(
            f"this bundle is worse than the one before in {len(loosened)} points, and nobody says why it may be: "
            + "; ".join(loosened),
            hint='edge-agent bundle activate FOLDER --why "..."; the report of learn shows each of them',
        )
    return loosened


def _part(told: Mapping[str, Any]) -> LearnedPart:
    words = tuple(Word(one["journal"], one["event"], one["by"], one["says"]) for one in told["words"])
    return LearnedPart(told["part"], told["sha256"], words)

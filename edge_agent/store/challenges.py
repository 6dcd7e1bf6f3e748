"""Challenges in the journal: which samples were shown, what each scored, and whether all of it was as it must be.

Their events are sealed by the journal's chain. A closed journal hands the newest ones on in its event ROTATE, so that
the next one knows when samples were last shown; how a sample scored before that stays in the closed file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from edge_agent.store.changes import files_beside
from edge_agent.store.reader import JournalReader
from edge_agent.store.starts import ROTATE, told_detail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edge_agent.store.rows import EventRow

__all__ = [
    "BUNDLE_DIGITS",
    "CHALLENGE",
    "MOST_HANDED_ON",
    "Challenged",
    "ShownSample",
    "all_challenges",
    "handed_on",
    "newest_challenges",
    "read_challenge",
]

CHALLENGE = "CHALLENGE"
"""The kind of a challenge's event in the journal; its detail is a JSON object with ``ok``."""
BUNDLE_DIGITS = 16
"""Of a bundle's id: enough to tell one bundle of a line from another."""
_HANDED_ON = "challenges"
MOST_HANDED_ON = 40
_READ_MOST = 2000

Kind = Literal["reject", "good"]


@dataclass(frozen=True, slots=True)
class ShownSample:
    """A registered sample that was shown. ``bundle`` is the beginning of the id of what judged it, '' for nothing.

    ``odd`` says that it scored as this sample never did: a code, empty where it did not.
    """

    name: str
    kind: Kind
    is_right: bool
    score: float | None
    limit: float | None
    bundle: str
    part_seq: int | None
    odd: str = ""

    def to_json(self) -> dict[str, object]:
        """The object of the journal's record."""
        return {
            "name": self.name,
            "kind": self.kind,
            "ok": self.is_right,
            "score": self.score,
            "limit": self.limit,
            "bundle": self.bundle,
            "part_seq": self.part_seq,
            **({"odd": self.odd} if self.odd else {}),
        }


@dataclass(frozen=True, slots=True)
class Challenged:
    """A challenge of the journal. ``programs`` are those that it is of; none where an older version did not say.

    ``part_seq`` is the newest part at its end, None where an older version did not say. ``bundles`` are the beginnings
    of the ids of all that judged a sample, of every camera.
    """

    at_utc: str
    is_passed: bool
    through: str = ""
    by: str = ""
    programs: tuple[int, ...] = ()
    part_seq: int | None = None
    is_simulated: bool = False
    samples: tuple[ShownSample, ...] = ()
    bundles: frozenset[str] = frozenset()


def read_challenge(detail: str, at_utc: str) -> Challenged | None:
    """What an event's ``detail`` says; None for one that does not say whether it was passed: it proves nothing."""
    told = told_detail(detail)
    return None if told is None else _challenged(told, at_utc)


def newest_challenges(reader: JournalReader) -> list[Challenged]:
    """The newest first; behind those of this file what the closed one before it handed on. Raises DataError."""
    found = [_of_event(event) for event in reader.newest_events(CHALLENGE, _READ_MOST)]
    for event in reader.newest_events(ROTATE, 1):
        told = told_detail(event.detail) or {}
        handed = told.get(_HANDED_ON)
        found += [_handed(one) for one in handed] if isinstance(handed, list) else []
    return [one for one in found if one is not None]


def all_challenges(journal: Path) -> tuple[list[Challenged], str]:
    """All of this journal and of the closed ones beside it, oldest first; the closed one that is missing. DataError."""
    files, missing = files_beside(journal)
    found: list[Challenged] = []
    for path in files:
        with JournalReader.open(path) as reader:
            found += [one for event in reader.events_of((CHALLENGE,)) if (one := _of_event(event)) is not None]
    if missing:  # what that one handed on is all that is known of it
        with JournalReader.open(files[0]) as reader:
            own = {one.at_utc for one in found}
            found = [one for one in reversed(newest_challenges(reader)) if one.at_utc not in own] + found
    return found, missing


def handed_on(reader: JournalReader) -> dict[str, object]:
    """What ROTATE hands on: the newest challenge of each kind that a line may go by. Empty where there is none."""
    kept: dict[tuple[object, ...], Challenged] = {}
    for one in newest_challenges(reader):
        shown = tuple(sorted((sample.name, sample.kind, sample.is_right) for sample in one.samples))
        kept.setdefault((one.is_passed, one.through, one.programs, one.is_simulated, shown), one)
    newest = list(kept.values())[:MOST_HANDED_ON]
    return {_HANDED_ON: [_to_json(one) for one in newest]} if newest else {}


def _of_event(event: EventRow) -> Challenged | None:
    return read_challenge(event.detail, event.at_utc)


def _challenged(told: Mapping[str, Any], at_utc: str) -> Challenged | None:
    is_passed = told.get("ok")
    if not isinstance(is_passed, bool):
        return None
    programs = told.get("programs")
    parts = told.get("parts")
    seen = [part for part in parts if _is_count(part)] if isinstance(parts, list) else []
    newest = told.get("part_seq")
    samples = tuple(_samples(told.get("shown")))
    judged = told.get("bundles")
    ids = [one for one in judged if isinstance(one, str)] if isinstance(judged, list) else []
    return Challenged(
        at_utc=at_utc,
        is_passed=is_passed,
        through=str(told.get("through", "")),
        by=str(told.get("by", "")),
        programs=tuple(one for one in programs if _is_count(one)) if isinstance(programs, list) else (),
        part_seq=newest if _is_count(newest) else max(seen, default=None),
        # Older versions did not say. Anything but a plain no is taken for simulated, which proves no real line.
        is_simulated=not (told.get("simulated") is False or told.get("simulated") is None),
        samples=samples,
        # What an older version handed on names the bundle of each sample alone.
        bundles=frozenset(one[:BUNDLE_DIGITS] for one in (*ids, *(sample.bundle for sample in samples)) if one),
    )


def _samples(told: object) -> Iterator[ShownSample]:
    for one in told if isinstance(told, list) else ():
        if isinstance(one, dict) and isinstance(one.get("name"), str) and one.get("kind") in ("reject", "good"):
            yield ShownSample(
                name=one["name"],
                kind=one["kind"],
                is_right=one.get("ok") is True,
                score=_number(one.get("score")),
                limit=_number(one.get("limit")),
                bundle=str(one.get("bundle") or ""),
                part_seq=one["part_seq"] if _is_count(one.get("part_seq")) else None,
                odd=str(one.get("odd") or ""),
            )


def _handed(told: object) -> Challenged | None:
    if not isinstance(told, dict) or not isinstance(told.get("at_utc"), str):
        return None
    return _challenged(told, told["at_utc"])


def _to_json(one: Challenged) -> dict[str, object]:
    bare = [replace(sample, score=None, limit=None, part_seq=None) for sample in one.samples]
    return {
        "at_utc": one.at_utc,
        "ok": one.is_passed,
        "through": one.through,
        "programs": list(one.programs),
        "part_seq": one.part_seq,
        "simulated": one.is_simulated,
        "bundles": sorted(one.bundles),
        "shown": [{key: value for key, value in sample.to_json().items() if value is not None} for sample in bare],
    }


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: object) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]

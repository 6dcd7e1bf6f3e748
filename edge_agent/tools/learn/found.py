"""What a learning found, as values that are kept as JSON: the report is written of them at any time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.report.tally import rate_bounds
from edge_agent.shadow.comparison import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Figure", "Found", "Judged", "KnownDefect", "Replay", "ReplayedPart", "Synthetic"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What one bundle says of one image; ``score`` is None where it has none."""

    outcome: str
    reason: str
    score: float | None
    limit: float

    @property
    def passes(self) -> bool:
        """Whether the part would pass, as far as this camera decides."""
        return self.outcome == "OK"

    @property
    def share(self) -> float | None:
        """The score as a share of the limit: below 1 it passes."""
        return None if self.score is None or not self.limit else self.score / self.limit


@dataclass(frozen=True, slots=True)
class KnownDefect:
    """A confirmed defect by both bundles. ``says``: CONFIRMED or ESCAPE."""

    part_seq: int
    says: str
    before: Judged
    after: Judged

    @property
    def is_lost(self) -> bool:
        """Whether the bundle before finds it and the new one does not."""
        return not self.before.passes and self.after.passes


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Made defects on good parts: how many, how many each bundle finds, and the same of the fainter half."""

    made: int
    before: int
    after: int
    faint: int
    faint_before: int
    faint_after: int


@dataclass(frozen=True, slots=True)
class ReplayedPart:
    """A part of the archive by both bundles. ``known``: ``good`` or ``bad`` where people said so, else empty."""

    part_seq: int
    before: Judged
    after: Judged
    known: str

    @property
    def side(self) -> Side:
        """How the two stand over it."""
        if self.before.passes == self.after.passes:
            return Side.BOTH_PASS if self.after.passes else Side.BOTH_REJECT
        return Side.TO_REJECT if self.before.passes else Side.TO_PASS


@dataclass(frozen=True, slots=True)
class Replay:
    """The archive of the last ``hours`` by both. ``learned`` parts were not judged: the new bundle knows their images.

    ``is_cut``: there are more parts than were looked at, and the newest were.
    """

    hours: float
    parts: tuple[ReplayedPart, ...]
    learned: int
    no_image: int
    not_judged: int
    is_cut: bool = False

    def sides(self) -> dict[Side, int]:
        """How many parts stand how."""
        return {side: sum(part.side is side for part in self.parts) for side in Side}

    @property
    def flips(self) -> list[ReplayedPart]:
        """Those over which the two differ, the newest first."""
        return [part for part in self.parts if part.side in (Side.TO_REJECT, Side.TO_PASS)]

    def rejected(self, known: str, *, is_after: bool) -> tuple[int, int]:
        """How many of the parts that people know as such are rejected, and how many there are."""
        parts = [part for part in self.parts if part.known == known]
        return sum(not (part.after if is_after else part.before).passes for part in parts), len(parts)

    @property
    def of_passes(self) -> tuple[int, int]:
        """How many of the parts that pass today the new bundle rejects, and how many pass today."""
        sides = self.sides()
        return sides[Side.TO_REJECT], sides[Side.TO_REJECT] + sides[Side.BOTH_PASS]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of before and after, both in words. ``name`` is one of the report's words."""

    name: str
    before: str
    after: str
    is_worse: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """All that came of one learning. ``bundle_id`` is empty where nothing is offered; ``lost`` says which defects are.

    ``own_good`` is of the added parts: how many pass by the score of an inspection that had not learned them, and how
    many there are.
    """

    program: int
    camera: int
    parent: str
    bundle_id: str
    by: str
    why: str
    at_utc: str
    added: tuple[int, ...]
    people: Mapping[str, int]
    own_good: tuple[int, int]
    figures: tuple[Figure, ...]
    defects: tuple[KnownDefect, ...]
    synthetic: Synthetic
    replay: Replay
    notes: tuple[str, ...] = ()

    @property
    def lost(self) -> tuple[int, ...]:
        """Known defects that the bundle before finds and the new one does not."""
        return tuple(one.part_seq for one in self.defects if one.is_lost)

    @property
    def worse(self) -> tuple[Figure, ...]:
        """What is worse than before."""
        return tuple(one for one in self.figures if one.is_worse)

    def to_json(self) -> dict[str, Any]:
        """The object of ``--json`` and of the file."""
        sides = {str(side).lower(): number for side, number in self.replay.sides().items()}
        return {**asdict(self), "people": dict(self.people), "lost": list(self.lost), "sides": sides}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Found:
        """As it was kept. Raises KeyError, TypeError for a file of something else."""
        replay = told["replay"]
        return cls(
            **{key: told[key] for key in ("program", "camera", "parent", "bundle_id", "by", "why", "at_utc", "people")},
            added=tuple(told["added"]),
            own_good=(told["own_good"][0], told["own_good"][1]),
            figures=tuple(Figure(**one) for one in told["figures"]),
            defects=tuple(
                KnownDefect(one["part_seq"], one["says"], Judged(**one["before"]), Judged(**one["after"]))
                for one in told["defects"]
            ),
            synthetic=Synthetic(**told["synthetic"]),
            replay=Replay(
                **{key: replay[key] for key in ("hours", "learned", "no_image", "not_judged", "is_cut")},
                parts=tuple(
                    ReplayedPart(one["part_seq"], Judged(**one["before"]), Judged(**one["after"]), one["known"])
                    for one in replay["parts"]
                ),
            ),
            notes=tuple(told["notes"]),
        )

    def lines(self) -> list[str]:
        """For a person at a terminal: what is worse first."""
        said = [f"{one.name}: {one.before} -> {one.after}  WORSE" for one in self.worse]
        said += [f"{one.name}: {one.before} -> {one.after}" for one in self.figures if not one.is_worse]
        passing, of = self.own_good
        said.append(f"of the {of} added parts {passing} pass by the score of an inspection that had not learned them")
        sides, replay = self.replay.sides(), self.replay
        said.append(
            f"the last {replay.hours:g} h, {len(replay.parts)} parts by both: {sides[Side.TO_PASS]} rejected would "
            f"pass, {sides[Side.TO_REJECT]} passing would be rejected{_bounds(*replay.of_passes)}"
        )
        said.append(
            f"  not counted: {replay.learned} that were learned from, {replay.no_image} without an image, "
            f"{replay.not_judged} not judged" + ("; there are more, the newest were looked at" if replay.is_cut else "")
        )
        if self.lost:
            listed = ", ".join(f"part {seq}" for seq in self.lost)
            said.insert(0, f"NOT OFFERED: KNOWN DEFECTS WOULD PASS by the new bundle: {listed}")
        return [*said, *self.notes]


def _bounds(seen: int, of: int) -> str:
    if not of:
        return ""
    low, high = rate_bounds(seen, of)
    return f", {100 * seen / of:.2f} % of what passes today (95 % bounds {100 * low:.2f} to {100 * high:.2f} %)"

"""A candidate beside the bundle in use: where they agree, where not, and what people know of those parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from edge_agent.domain import Outcome
from edge_agent.errors import DataError
from edge_agent.report.tally import rate_bounds
from edge_agent.store.scored import BAD, GOOD, reviews_of
from edge_agent.store.shadow import ShadowFile, What

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge_agent.store.shadow import Shadow, ShadowResult

__all__ = ["Comparison", "Known", "Side", "compared", "newest_comparison", "side_of"]

_NAMED = 10
_KEPT_FLIPS, _KEPT_SCORES = 200, 2000


class Side(StrEnum):
    """How two bundles stand to each other over one part. What is not OK is a reject on the line, REVIEW as well."""

    BOTH_PASS = "BOTH_PASS"  # noqa: S105 - no password
    BOTH_REJECT = "BOTH_REJECT"
    TO_REJECT = "TO_REJECT"
    """The bundle in use lets it pass, the candidate rejects it."""
    TO_PASS = "TO_PASS"  # noqa: S105
    """The bundle in use rejects it, the candidate lets it pass."""


@dataclass(frozen=True, slots=True)
class Known:
    """Parts that people reviewed, that both bundles judged: how many, and of which the candidate is wrong.

    ``wrong_before``: those of which the bundle in use is.
    """

    of: int
    wrong: tuple[int, ...]
    wrong_before: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one shadow has found so far. Part numbers are of the journal.

    ``flips`` and ``scores`` are the newest ones, ``scores`` as shares of the bundles' own limits (active, candidate).
    ``active`` names the bundles that judged the line meanwhile. ``left_behind`` results are of a journal before.
    """

    shadow: Shadow
    sides: dict[Side, int]
    whats: dict[What, int]
    flips: tuple[tuple[Side, ShadowResult], ...]
    scores: tuple[tuple[float, float, Side], ...]
    active: tuple[str, ...]
    good: Known
    bad: Known
    first_seq: int | None
    last_seq: int | None
    took_ms: float | None
    left_behind: int = 0
    reviews_missing: str = ""

    @property
    def parts(self) -> int:
        """How many parts both bundles judged."""
        return sum(self.sides.values())

    @property
    def agreed(self) -> int:
        """Of how many both say the same."""
        return self.sides[Side.BOTH_PASS] + self.sides[Side.BOTH_REJECT]

    @property
    def warning(self) -> str:
        """That known defects would pass; empty where none does."""
        if not self.bad.wrong:
            return ""
        return f"KNOWN DEFECTS WOULD PASS by this bundle: {_numbers(self.bad.wrong)}"

    def counts_json(self) -> dict[str, Any]:
        """The numbers alone, for the journal's event."""
        return {
            "parts": self.parts,
            **{str(side).lower(): number for side, number in self.sides.items()},
            "not_comparable": {str(what).lower(): self.whats[what] for what in What if what is not What.JUDGED},
        }

    def to_json(self) -> dict[str, Any]:
        """The object that a command prints with ``--json``, and that the page reads."""
        return {
            "bundle_id": self.shadow.candidate.bundle_id,
            "program": self.shadow.candidate.program,
            "camera": self.shadow.candidate.camera,
            "begun_utc": self.shadow.begun_utc,
            "begun_by": self.shadow.candidate.by,
            "why": self.shadow.candidate.why,
            "ended_utc": self.shadow.ended_utc,
            "ended_by": self.shadow.ended_by,
            "ended_why": self.shadow.ended_why,
            "problem": self.shadow.problem,
            "active_bundles": list(self.active),
            **self.counts_json(),
            "agreed": self.agreed,
            "newest_to_reject": self._newest(Side.TO_REJECT),
            "newest_to_pass": self._newest(Side.TO_PASS),
            "good": _known_json(self.good),
            "bad": _known_json(self.bad),
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
            "median_ms": self.took_ms,
            "left_behind": self.left_behind,
            "reviews_missing": self.reviews_missing,
            "warning": self.warning,
        }

    def lines(self) -> list[str]:
        """For a person at a terminal."""
        candidate = self.shadow.candidate
        place = f"program {candidate.program}, camera {candidate.camera}"
        said = [f"{place}: candidate {candidate.bundle_id[:12]} beside {_ids(self.active)}, since {self._since()}"]
        if self.shadow.ended_utc is not None:
            by = f" by {self.shadow.ended_by}" if self.shadow.ended_by else ""
            why = f": {self.shadow.ended_why}" if self.shadow.ended_why else ""
            said.append(f"ended {self.shadow.ended_utc}{by}{why}")
        if self.shadow.problem:
            said.append(f"IT DOES NOT JUDGE: {self.shadow.problem}")
        if not self.parts:
            return [*said, "no part was compared yet", *self._not_compared()]
        sides = self.sides
        passed = sides[Side.BOTH_PASS] + sides[Side.TO_REJECT]
        said += [
            f"{self.parts} parts compared ({self.first_seq} to {self.last_seq}); both say the same of {self.agreed}",
            f"  both pass: {sides[Side.BOTH_PASS]}; both reject: {sides[Side.BOTH_REJECT]}",
            f"  passes, the candidate rejects: {sides[Side.TO_REJECT]}{self._named(Side.TO_REJECT)}"
            + (f"; {_rate(sides[Side.TO_REJECT], passed)} of what passes today" if passed else ""),
            f"  rejected, the candidate passes: {sides[Side.TO_PASS]}{self._named(Side.TO_PASS)}",
            *_known_lines("good parts that people know", "it rejects", self.good),
            *_known_lines("defective parts that people know", "it passes", self.bad),
        ]
        if self.took_ms is not None:
            said.append(f"an inspection by the candidate takes {self.took_ms:.0f} ms beside the line (median)")
        return [*said, *self._not_compared(), *([self.warning] if self.warning else [])]

    def _not_compared(self) -> list[str]:
        words = {
            What.SKIPPED: "skipped, for the candidate is slower than the line",
            What.NO_IMAGE: "whose image is not in the archive",
            What.FAILED: "at which the candidate failed",
            What.NOT_JUDGED: "that the bundle in use did not judge",
        }
        lines = [f"not comparable: {self.whats[what]} parts {why}" for what, why in words.items() if self.whats[what]]
        if self.left_behind:
            lines.append(f"the journal was begun anew: {self.left_behind} results of before are not counted")
        if self.reviews_missing:
            lines.append(f"the journal {self.reviews_missing} is not there: reviews in it are not counted")
        return lines

    def _since(self) -> str:
        return f"{self.shadow.begun_utc} by {self.shadow.candidate.by}"

    def _newest(self, side: Side) -> list[int]:
        return [one.part_seq for found, one in self.flips if found is side]

    def _named(self, side: Side) -> str:
        found = self._newest(side)[:_NAMED]
        return f" (newest: {_numbers(found)})" if found else ""


def side_of(result: ShadowResult) -> Side | None:
    """How the two stand over this part; None where one of them did not judge it."""
    if result.what is not What.JUDGED or result.active_outcome is None:
        return None
    was, would = result.active_outcome is Outcome.OK, result.outcome is Outcome.OK
    if was == would:
        return Side.BOTH_PASS if was else Side.BOTH_REJECT
    return Side.TO_REJECT if was else Side.TO_PASS


def newest_comparison(journal: Path, bundle_id: str | None = None) -> Comparison | None:
    """Of the newest shadow, or of that candidate's; None where there is none. Raises DataError."""
    file = ShadowFile.open(journal)
    if file is None:
        return None
    with file:
        shadow = next(iter(file.shadows()), None) if bundle_id is None else file.of_bundle(bundle_id)
        return None if shadow is None else _compared(journal, file, shadow)


def compared(journal: Path, shadow: Shadow) -> Comparison:
    """What this shadow has found so far. Raises DataError."""
    file = ShadowFile.open(journal)
    if file is None:
        raise DataError("the file of shadows is gone", hint="edge-agent shadow begin")
    with file:
        return _compared(journal, file, shadow)


def _compared(journal: Path, file: ShadowFile, shadow: Shadow) -> Comparison:
    said, missing = _reviews(journal)
    sides, whats = Counter[Side](), Counter[What]()
    flips: list[tuple[Side, ShadowResult]] = []
    scores: list[tuple[float, float, Side]] = []
    active: dict[str, None] = {}
    took: list[float] = []
    known: list[tuple[Side, int]] = []
    first = last = None
    for one in file.results(shadow):
        whats[one.what] += 1
        side = side_of(one)
        if side is None:
            continue
        sides[side] += 1
        first, last = one.part_seq if first is None else first, one.part_seq
        active[one.active_bundle or ""] = None
        if side in (Side.TO_REJECT, Side.TO_PASS):
            flips = [*flips[-_KEPT_FLIPS + 1 :], (side, one)]
        if (pair := _shares(one)) is not None:
            scores.append((*pair, side))
            del scores[: -2 * _KEPT_SCORES]
        if one.took_ms is not None:
            took.append(one.took_ms)
            del took[: -2 * _KEPT_SCORES]
        if one.part_seq in said:
            known.append((side, one.part_seq))
    return Comparison(
        shadow,
        {side: sides[side] for side in Side},
        {what: whats[what] for what in What},
        tuple(reversed(flips)),
        tuple(scores[-_KEPT_SCORES:]),
        tuple(active),
        _known(known, said, GOOD, (Side.BOTH_REJECT, Side.TO_REJECT), (Side.BOTH_REJECT, Side.TO_PASS)),
        _known(known, said, BAD, (Side.BOTH_PASS, Side.TO_PASS), (Side.BOTH_PASS, Side.TO_REJECT)),
        first,
        last,
        sorted(took)[len(took) // 2] if took else None,
        file.left_behind(shadow),
        missing,
    )


def _reviews(journal: Path) -> tuple[dict[int, str], str]:
    try:
        found = reviews_of(journal)
    except DataError as err:
        return {}, str(err)
    return found.said, found.missing


def _shares(one: ShadowResult) -> tuple[float, float] | None:
    """Both scores as shares of their limits; None where one has none."""
    if one.score is None or one.active_score is None or not one.limit or not one.active_limit:
        return None
    return one.active_score / one.active_limit, one.score / one.limit


def _known(
    seen: Iterable[tuple[Side, int]],
    said: dict[int, str],
    words: frozenset[str],
    wrong: tuple[Side, ...],
    wrong_before: tuple[Side, ...],
) -> Known:
    of = [(side, seq) for side, seq in seen if said[seq] in words]
    return Known(
        len(of),
        tuple(seq for side, seq in of if side in wrong),
        tuple(seq for side, seq in of if side in wrong_before),
    )


def _known_json(known: Known) -> dict[str, Any]:
    bounds = rate_bounds(len(known.wrong), known.of) if known.of else None
    return {
        "of": known.of,
        "wrong": len(known.wrong),
        "wrong_before": len(known.wrong_before),
        "bounds_95": bounds,
        "newest_wrong": list(known.wrong[: -_NAMED - 1 : -1]),
    }


def _known_lines(whose: str, does: str, known: Known) -> list[str]:
    if not known.of:
        return [f"{whose}: none of those that were compared was reviewed"]
    rate = _rate(len(known.wrong), known.of)
    return [f"{whose}: {known.of}; {does} {len(known.wrong)} of them, {rate} (today {len(known.wrong_before)})"]


def _rate(seen: int, of: int) -> str:
    low, high = rate_bounds(seen, of)
    return f"{100 * seen / of:.2f} % (95 % bounds {100 * low:.2f} to {100 * high:.2f} %)"


def _numbers(seqs: Iterable[int]) -> str:
    listed = list(seqs)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(f"part {seq}" for seq in listed[:_NAMED]) + more


def _ids(bundles: Iterable[str]) -> str:
    return ", ".join(one[:12] for one in bundles) or "the bundle in use"

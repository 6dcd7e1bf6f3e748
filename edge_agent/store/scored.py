"""Parts that one camera's score decided, and what people said of them: what another limit rests on.

A journal that was rotated goes on in the one before it, as long as that lies beside it: what somebody once confirmed
as bad must not be forgotten because a file has become long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_agent.reviews.settling import BAD, DISPUTED, GOOD, Word, settle, word_of
from edge_agent.store.search import JournalSearch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["BAD", "GOOD", "Judging", "Moved", "ReviewedPart", "Reviews", "ScoredParts", "reviews_of"]

_AT_ONCE = 500
_TALLIED_AT_MOST = 1_000_000
_OTHERS_ARE_OK = (
    "NOT EXISTS (SELECT 1 FROM camera other WHERE other.part_seq = part.part_seq "
    "AND other.camera <> camera.camera AND other.outcome IS NOT 'OK')"
)
_DECIDED = (
    "FROM part JOIN camera ON camera.part_seq = part.part_seq WHERE camera.camera = ? AND camera.score IS NOT NULL "
    f"AND ((part.verdict = 'PASS' AND part.reason = 'OK') OR (part.verdict = 'REJECT' AND part.reason = 'SCORE' "
    f"AND camera.reason = 'SCORE' AND {_OTHERS_ARE_OK} AND (? OR part.controller_judgement IS NOT 'NG')))"
)
"""Parts that passed, and those that this camera's score alone kept from it."""


_DEFECTS = (
    "SELECT part.part_seq, camera.score FROM part JOIN camera ON camera.part_seq = part.part_seq "
    "WHERE camera.camera = ? AND camera.score < ? AND (camera.outcome = 'OK' OR camera.reason = 'SCORE') "
    "AND (? OR part.controller_judgement IS NOT 'NG') AND (part.verdict = 'PASS' OR EXISTS "
    "(SELECT 1 FROM camera one WHERE one.part_seq = part.part_seq AND one.reason = 'SCORE'))"
)
"""Defective parts that only this camera's score may tell from good ones: they passed, or a score stopped them.
What else decided the part, as that its result was missing, says nothing of the next one with this defect."""


@dataclass(frozen=True, slots=True)
class Judging:
    """How a camera judges: scores of these bundles pass below that."""

    bundles: frozenset[str]
    passes_below: float


@dataclass(frozen=True, slots=True)
class Moved:
    """Parts that a camera's score decided, and what another limit would have made of them, by part number.

    ``rejected`` were rejected then. ``first_utc`` is when the first of them was decided; empty where there is none.
    """

    decided: int
    rejected: int
    first_utc: str
    to_reject: tuple[int, ...]
    to_pass: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReviewedPart:
    """A part that a person looked at, and its score at that camera."""

    part_seq: int
    score: float


@dataclass(slots=True)
class Reviews:
    """What people said of parts, by part number. ``missing`` names a journal that is not there.

    ``said`` is the settled word; a part that people dispute is in ``disputed`` instead: it counts as neither good nor
    defective until somebody has decided. ``words`` are all words in their order. ``journals`` are those that were read,
    the newest first.
    """

    said: dict[int, str] = field(default_factory=dict)
    disputed: frozenset[int] = frozenset()
    words: dict[int, list[Word]] = field(default_factory=dict)
    journals: list[Path] = field(default_factory=list)
    missing: str = ""

    def of(self, says: frozenset[str]) -> list[int]:
        """The parts of which people say one of these."""
        return [seq for seq, said in self.said.items() if said in says]

    @property
    def doubted(self) -> list[int]:
        """The disputed parts that somebody calls defective."""
        standing = ((seq, settle(self.words[seq]).words) for seq in sorted(self.disputed))
        return [seq for seq, words in standing if any(word.says in BAD for word in words)]


class ScoredParts(JournalSearch):
    """A read-only view of a journal that knows what a score decided."""

    def moved(
        self, bundles: Sequence[str], camera: int, passes_below: float, first_seq: int, *, agent_alone: bool
    ) -> Moved:
        """What a limit would have done to the parts from ``first_seq`` on that one of these bundles judged.

        ``agent_alone``: the controller's own judgement rejects no part.
        """
        marks = ", ".join("?" * len(bundles))
        first = max(first_seq, self.newest_seq() - _TALLIED_AT_MOST + 1)
        query = (
            "SELECT count(*), coalesce(sum(part.verdict = 'REJECT'), 0), coalesce(min(part.part_seq), 0), "
            "group_concat(CASE WHEN part.verdict = 'PASS' AND camera.score >= ? THEN part.part_seq END), "
            "group_concat(CASE WHEN part.verdict = 'REJECT' AND camera.score < ? THEN part.part_seq END) "
            f"{_DECIDED} AND part.part_seq >= ? AND camera.bundle_id IN ({marks})"
        )
        asked: tuple[Any, ...] = (passes_below, passes_below, camera, int(agent_alone), first, *bundles)
        (number, rejected, least, to_reject, to_pass), *_ = self._all(query, *asked)
        utc = self._all("SELECT decided_utc FROM part WHERE part_seq = ?", least)
        return Moved(number, rejected, utc[0][0] if utc else "", _numbers(to_reject), _numbers(to_pass))

    def passing(
        self, seqs: Iterable[int], bundles: Sequence[str], camera: int, passes_below: float, *, agent_alone: bool
    ) -> list[ReviewedPart]:
        """Those of these parts that would pass by their score, the least conspicuous first."""
        found: list[tuple[int, float]] = []
        for some in _some(sorted(seqs)):
            query = (
                f"SELECT part.part_seq, camera.score {_DECIDED} AND camera.score < ? "
                f"AND camera.bundle_id IN ({', '.join('?' * len(bundles))}) "
                f"AND part.part_seq IN ({', '.join('?' * len(some))})"
            )
            found += self._all(query, camera, int(agent_alone), passes_below, *bundles, *some)
        return [ReviewedPart(seq, score) for seq, score in sorted(found, key=lambda one: (one[1], one[0]))]

    def defects_passing(
        self,
        seqs: Iterable[int],
        judging: Judging,
        camera: int,
        others: Mapping[int, Judging],
        *,
        agent_alone: bool,
    ) -> list[ReviewedPart]:
        """Those of these defective parts that nothing would stop where this camera judges so, the weakest score first.

        ``others`` is how the line's other cameras judge by now: by that, and not by their limits of then, one of them
        stops a part. One whose scores are not known to be of its bundle stops none by its score.
        """
        found: list[tuple[int, float]] = []
        ids = sorted(judging.bundles)
        for some in _some(sorted(seqs)):
            marks = ", ".join("?" * len(some))
            query = f"{_DEFECTS} AND camera.bundle_id IN ({', '.join('?' * len(ids))}) AND part.part_seq IN ({marks})"
            passing = self._all(query, camera, judging.passes_below, int(agent_alone), *ids, *some)
            beside = (
                "SELECT part_seq, camera, outcome, reason, score, bundle_id FROM camera "  # noqa: S608 - question marks
                f"WHERE camera <> ? AND part_seq IN ({marks})"
            )
            stopped = {
                seq for seq, other, *judged in self._all(beside, camera, *some) if _stops(others.get(other), *judged)
            }
            found += [one for one in map(tuple, passing) if one[0] not in stopped]
        return [ReviewedPart(seq, score) for seq, score in sorted(found, key=lambda one: (one[1], one[0]))]

    def reviews(self) -> list[Word]:
        """What people said in this journal, in the order in which they said it."""
        events = self.events_between(0, self.newest_event(), "REVIEW")
        return [word for event in events if (word := word_of(event.detail)) is not None]


def reviews_of(path: Path) -> Reviews:
    """All reviews of a journal and of those before it that lie beside it. Raises DataError."""
    found, older = Reviews(), []
    name = path.name
    while name:
        file = path.with_name(name)
        if file != path and not file.is_file():
            found.missing = name
            break
        with ScoredParts.open(file) as journal:
            older.append(journal.reviews())
            name = journal.origin()[1]
        found.journals.append(file)
    # The oldest journal first: a dispute may begin in one journal and be decided in the next.
    for told in reversed(older):
        for word in told:
            found.words.setdefault(word.part_seq, []).append(word)
    standing = {seq: settle(words).says for seq, words in found.words.items()}
    found.said = {seq: says for seq, says in standing.items() if says != DISPUTED}
    found.disputed = frozenset(standing) - frozenset(found.said)
    return found


def _stops(
    judging: Judging | None, outcome: str | None, reason: str | None, score: float | None, bundle_id: str | None
) -> bool:
    """Whether another camera would stop a part that it judged then. An image that was not judged proves nothing."""
    if judging is None or outcome is None:
        return False
    # How the part lay, or its light, is judged by no limit: it would be stopped for that today as well.
    if outcome != "OK" and reason != "SCORE":
        return True
    return score is not None and bundle_id in judging.bundles and score >= judging.passes_below


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(sorted(int(number) for number in (text or "").split(",") if number))


def _some(seqs: list[int]) -> Iterator[list[Any]]:
    for begin in range(0, len(seqs), _AT_ONCE):
        yield seqs[begin : begin + _AT_ONCE]

"""How often people agree who review parts: from second readings that were asked for and read blind, and from disputes.

Only such readings are counted as agreement: who speaks unasked mostly does so because she differs. People stand by
their names and are put in no order, and of a few readings nothing is said.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.report.agreement import Rate, cohen_kappa, fleiss_kappa
from edge_agent.reviews.settling import BAD, DISPUTED, settle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge_agent.reviews.settling import Word

__all__ = ["LEAST", "Between", "Reviewer", "Reviewers", "kappa_bounds", "reviewers"]

LEAST = 20
"""Of fewer readings the bounds are so wide that a number would only name and blame."""
_DRAWS = 4000
_SEED = 98


@dataclass(frozen=True, slots=True)
class Reviewer:
    """One person. ``agreed`` counts second readings, ``overturned`` disputes that somebody else decided."""

    name: str
    reviews: int
    parts: int
    agreed_seen: int
    read_twice: int
    overturned_seen: int
    decided: int

    def to_json(self) -> dict[str, Any]:
        """With bounds where there is enough to have them."""
        return {
            "name": self.name,
            "reviews": self.reviews,
            "parts": self.parts,
            "read_twice": self.read_twice,
            "agreed": _rate(self.agreed_seen, self.read_twice),
            "overturned": _rate(self.overturned_seen, self.decided),
        }


@dataclass(frozen=True, slots=True)
class Between:
    """Two people who read the same parts. ``kappa`` is Cohen's, None where it is not defined."""

    one: str
    other: str
    agreed: Rate
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Reviewers:
    """Everybody who reviewed. ``kappa`` is Fleiss' over all second readings, None where they are too few or all alike.

    ``kappa_bounds`` are its two-sided 95 % bounds.
    """

    people: tuple[Reviewer, ...]
    read_twice: Rate | None
    kappa: float | None
    kappa_bounds: tuple[float, float] | None
    between: tuple[Between, ...]
    disputed: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """For programs and for the page. ``bounds_95`` is null where there are too few to say."""
        return {
            "schema_version": 1,
            "least": LEAST,
            "read_twice": 0 if self.read_twice is None else self.read_twice.of,
            "agreed": None if self.read_twice is None else self.read_twice.seen,
            "kappa": self.kappa,
            "kappa_bounds_95": self.kappa_bounds,
            "disputed": list(self.disputed),
            "reviewers": [one.to_json() for one in self.people],
            "between": [
                {
                    "one": two.one,
                    "other": two.other,
                    "agreed": _rate(two.agreed.seen, two.agreed.of),
                    "kappa": two.kappa,
                }
                for two in self.between
            ],
        }


def reviewers(words: Mapping[int, Sequence[Word]]) -> Reviewers:
    """All numbers, from the words on each part in the order in which they were said."""
    names: dict[str, str] = {}
    said: Counter[str] = Counter()
    parts: defaultdict[str, set[int]] = defaultdict(set)
    for seq, on_part in words.items():
        for word in on_part:
            names[word.person] = word.by.strip()
            said[word.person] += 1
            parts[word.person].add(seq)
    pairs = [pair for on_part in words.values() for pair in _pairs(on_part)]
    twice = Counter(person for pair in pairs for person in (pair[0].person, pair[1].person))
    agreed = Counter(w.person for one, other in pairs if one.says == other.says for w in (one, other))
    decided, overturned = _decided(words)
    people = tuple(
        Reviewer(names[who], said[who], len(parts[who]), agreed[who], twice[who], overturned[who], decided[who])
        for who in sorted(names, key=lambda who: names[who].casefold())
    )
    ratings = np.array([[word.says in BAD for word in pair] for pair in pairs], bool).reshape(-1, 2)
    kappa = fleiss_kappa(ratings) if len(pairs) >= LEAST else None
    return Reviewers(
        people,
        Rate(sum(one.says == other.says for one, other in pairs), len(pairs)) if pairs else None,
        kappa,
        None if kappa is None else kappa_bounds(ratings),
        tuple(_between(pairs, names)),
        tuple(sorted(seq for seq, on_part in words.items() if settle(on_part).says == DISPUTED)),
    )


def kappa_bounds(ratings: NDArray[np.bool_]) -> tuple[float, float]:
    """Two-sided 95 % bounds of Fleiss' kappa of two readings each, (parts, 2): percentiles over parts drawn again.

    Draws in which all readings are alike have no kappa and are left out. Source: Efron 1979, the bootstrap.
    """
    bad = ratings.sum(axis=1)
    shares = np.array([(bad == n).mean() for n in range(3)])
    drawn = np.random.default_rng(_SEED).multinomial(len(ratings), shares, _DRAWS) / len(ratings)
    share_bad = drawn[:, 2] + drawn[:, 1] / 2
    by_chance = share_bad**2 + (1 - share_bad) ** 2
    has_kappa = by_chance < 1
    kappa = ((1 - drawn[:, 1]) - by_chance)[has_kappa] / (1 - by_chance[has_kappa])
    low, high = np.percentile(kappa, [2.5, 97.5])
    return float(low), float(high)


def _pairs(on_part: Sequence[Word]) -> list[tuple[Word, Word]]:
    """Each blind second reading with the word that it was laid beside: the first person's last one before it."""
    found = []
    for at, word in enumerate(on_part):
        others = [one for one in on_part[:at] if one.person != word.person]
        if word.is_blind and others:
            first = others[0].person
            found.append(([one for one in others if one.person == first][-1], word))
    return found


def _decided(words: Mapping[int, Sequence[Word]]) -> tuple[Counter[str], Counter[str]]:
    """By person: of how many of her words somebody else decided a dispute, and how often the other way."""
    decided: Counter[str] = Counter()
    overturned: Counter[str] = Counter()
    for on_part in words.values():
        standing = settle(on_part)
        if not standing.decided_by:
            continue
        # The words as they were when the decider came: who gave in afterwards was overturned all the same.
        at = next(at for at, word in enumerate(on_part) if word.person == standing.decided_by)
        for word in settle(on_part[:at]).words:
            decided[word.person] += 1
            overturned[word.person] += word.says != standing.says
    return decided, overturned


def _between(pairs: Sequence[tuple[Word, Word]], names: Mapping[str, str]) -> list[Between]:
    found = []
    for one, other in combinations(sorted(names, key=lambda who: names[who].casefold()), 2):
        of = [{word.person: word.says in BAD for word in pair} for pair in pairs]
        both = np.array([[said[one], said[other]] for said in of if said.keys() == {one, other}], bool).reshape(-1, 2)
        if len(both) >= LEAST:
            rate = Rate(int((both[:, 0] == both[:, 1]).sum()), len(both))
            found.append(Between(names[one], names[other], rate, cohen_kappa(both[:, 0], both[:, 1])))
    return found


def _rate(seen: int, of: int) -> dict[str, Any]:
    return {"seen": seen, "of": of, "bounds_95": Rate(seen, of).bounds if of >= LEAST else None}

"""Where the limit lies, from good parts alone, and what it promises in words.

Everything that a new part has not seen, the scored part must not have seen either: the autoencoder that made its
map, the bank it is compared with, and the mean and scale that standardise it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from calibration.limits.shares import (
    SHARE_HINT,
    false_reject_bound,
    images_to_expect,
    images_to_promise,
    parts_in,
    percent,
    place_of,
    share_for,
    share_of,
)
from calibration.limits.tail import Tail, extrapolate, largest_is_odd, tells_of_tail, without_largest
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.scoring.knn import Bank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Limit",
    "LimitWishes",
    "Review",
    "at_rank",
    "choose_limit",
    "leave_one_out_scores",
    "offers",
    "plan_ranks",
    "wishes_of",
]

# From here on the second largest score costs 5 % of good parts at most, 2 / (n + 1) (docs/decisions/0015).
_SECOND_FROM = 39
# From 149 parts on this is the third largest score or further in (docs/decisions/0015).
_QUANTILE = 0.02
_OFFERED = (0.01, 0.02, 0.03, 0.05, 0.10)
# Of what n parts carry by themselves, 1 / (n + 1): further down a model speaks of nothing (docs/decisions/0015).
_FURTHEST_EXTRAPOLATION = 0.1
# The doubt of few parts costs good parts, not escapes (docs/decisions/0063).
_TAIL_TARGET, _TAIL_TARGET_OF_FEW = 0.03, 0.05
# As a share of n + 1: 5 % at 44 parts, 3 % at 74 (docs/decisions/0063).
_PARTS_IN_TAIL = 2.25


@dataclass(frozen=True, slots=True)
class LimitWishes:
    """What a person asks of the limit, as shares of good parts in (0, 1); None leaves it to the rule.

    ``false_rejects``: expect no more rejected at the limit. ``review_share``: expect no more in the band below it;
    None is no band. ``extrapolate``: where the parts are too few for ``false_rejects``, a model of the tail may
    speak.
    """

    false_rejects: float | None = None
    review_share: float | None = None
    extrapolate: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    """The band below the limit: a score from ``value`` on, and below the limit, is REVIEW.

    It begins just above the ``rank``-th largest of the scores. ``share``: good parts expected in the band.
    ``expected`` and ``bound_95``: good parts stopped by band and limit together, as in Limit.
    """

    value: float
    rank: int
    share: float
    expected: float
    bound_95: float


@dataclass(frozen=True, slots=True)
class Limit:
    """``value``: scores at or above it are rejected. ``rank``: it lies just above the rank-th largest of n scores.

    ``expected`` and ``bound_95`` are false-reject rates of new good parts: the mean, and what it stays below with
    95 % confidence. They assume no law of the scores. Rank 0 is a limit above all scores that ``tail`` extrapolated:
    the two are then those of the largest score, which the limit lies above. Where ``tail`` sets a limit of another
    rank, that lies where the tail says but never below the rank's score: the two are then no more than a ceiling.
    """

    value: float
    rank: int
    n: int
    expected: float
    bound_95: float
    target: float | None = None
    review: Review | None = None
    tail: Tail | None = None

    @property
    def is_extrapolated(self) -> bool:
        """Whether it lies beyond what the good parts carry, on the word of a model alone."""
        return self.tail is not None and self.rank == 0

    @property
    def review_from(self) -> float:
        """Where OK ends: the band's lower edge, the limit itself without a band."""
        return self.value if self.review is None else self.review.value

    @property
    def statement(self) -> str:
        """What the limit promises of good parts, and that it promises nothing of defects, in words for a person."""
        if self.tail is None:
            words = [self._promise]
        else:
            words = [self._extrapolation(self.tail) if self.is_extrapolated else self._by_tail(self.tail)]
        if self.target is not None and self.tail is None:
            words.append(self._asked(self.target))
        if self.review is not None:
            words.append(_band(self.review))
        return " ".join([*words, "What share of defects is found cannot be told from good parts."])

    def to_json(self) -> dict[str, object]:
        """For the manifest and for programs."""
        return {**asdict(self), "review_from": self.review_from, "statement": self.statement}

    @property
    def _promise(self) -> str:
        return (
            f"The limit lies just above the {place_of(self.rank)} score of {self.n} good parts, each scored without "
            f"itself. Of new good parts like these, expect it to reject {percent(self.expected)}; with 95 % "
            f"confidence fewer than {percent(self.bound_95)}."
        )

    def _asked(self, target: float) -> str:
        words = f"At most {percent(target)} were asked for: that is what to expect, not what is promised. "
        safe = max((rank for rank in range(1, self.rank) if false_reject_bound(self.n, rank) <= target), default=0)
        if safe:
            return words + f"To have it with 95 % confidence, ask for {share_for(safe, self.n)}."
        return words + f"To have it with 95 % confidence takes {images_to_promise(target)} good images."

    def _by_tail(self, tail: Tail) -> str:
        aside = ""
        if tail.without_largest:
            aside = ", the largest of all left aside, for it lies further out than the others make likely"
        return (
            f"The limit lies where, by the {tail.fitted} largest scores of {self.n} good parts, each scored without "
            f"itself, {percent(tail.target)} of good parts score more{aside}. That takes their tail for an "
            f"exponential one. Whatever it is, the limit is not below the {place_of(self.rank)} score: of new good "
            f"parts like these, expect it to reject no more than {percent(self.expected)}; with 95 % confidence fewer "
            f"than {percent(self.bound_95)}."
        )

    def _extrapolation(self, tail: Tail) -> str:
        return (
            f"EXTRAPOLATED, NOT PROVEN: the limit lies above the scores of all {self.n} good parts. If scores fall off "
            f"as the {tail.fitted} largest do (an exponential tail), expect {percent(tail.target)} of good parts to be "
            f"rejected, in 9 of 10 such calibrations {percent(tail.low_90)} to {percent(tail.high_90)}; if their tail "
            f"is heavier, more. Without that model only this is known: expect no more than {percent(self.expected)}; "
            f"with 95 % confidence fewer than {percent(self.bound_95)}. A limit this high also lets more defects pass."
        )


def leave_one_out_scores(
    bank: NDArray[np.float32], queries: NDArray[np.float32], k: int, depths: Sequence[int] = ()
) -> NDArray[np.float64]:
    """Score ``queries[i]`` against the bank without its row i, standardised without it; (n, d) both, n > k."""
    n = len(bank)
    keep = ~np.eye(n, dtype=bool)
    return np.array([Bank.of(bank[keep[i]], k, depths).score(queries[i]) for i in range(n)])


def wishes_of(false_rejects: str | None, review_share: str | None, *, extrapolate: bool) -> LimitWishes:
    """Wishes as a person writes them: ``1%`` or ``0.01``. Raises UsageError."""
    wishes = LimitWishes(
        false_rejects=share_of("false rejects", false_rejects),
        review_share=share_of("the review share", review_share),
        extrapolate=extrapolate,
    )
    if extrapolate and wishes.false_rejects is None:
        raise UsageError("extrapolation needs a target", hint="add --false-rejects, for example --false-rejects 1%")
    return wishes


def plan_ranks(n: int, wishes: LimitWishes) -> tuple[int, int | None]:
    """The ranks of the limit (0: beyond all scores) and of the review band's lower edge, of n held-out scores.

    Known before a single part is scored: who asks for too much hears it at once. Raises CalibrationRefused with the
    number of good images that the wish would take, UsageError for a share that is none.
    """
    for name, share in (("false rejects", wishes.false_rejects), ("the review share", wishes.review_share)):
        if share is not None and not 0.0 < share < 1.0:
            raise UsageError(f"{name}: {share} is no share of parts", hint=SHARE_HINT)
    rank = _limit_rank(n, wishes)
    if wishes.review_share is None:
        return rank, None
    band = parts_in(wishes.review_share, n)
    if band < 1:
        raise CalibrationRefused(
            f"a review band of {percent(wishes.review_share)} of good parts cannot be drawn with {n} of them: "
            f"one part is {percent(1 / (n + 1))} already",
            hint=f"collect {images_to_expect(wishes.review_share)} good images, or ask for a wider band",
        )
    _check_some_pass(n, rank + band)
    return rank, rank + band


def _check_some_pass(n: int, rank: int) -> None:
    if rank > n:
        raise CalibrationRefused(
            f"limit and review band together would reject all {n} good parts", hint="ask for a narrower band"
        )


def choose_limit(scores: NDArray[np.float64], wishes: LimitWishes = LimitWishes(), *, by_tail: bool = False) -> Limit:
    """The limit from held-out scores of the shape (n,).

    Without a wish it lies above the largest score; from 39 parts on, where that costs no more than 5 % of good parts,
    above the second largest: one odd part no longer sets it; from 149 on above the 2 % quantile. ``by_tail``: without a
    wish a model of the largest scores sets it, where they tell anything. Raises as ``plan_ranks`` does, and
    CalibrationRefused for scores that are not finite.
    """
    if not np.isfinite(scores).all():
        raise CalibrationRefused(
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} good parts have no finite score",
            hint="look for images that are all black, all white or of something else",
        )
    n = len(scores)
    # A share that a person asked for goes by rank: a promise without a model (docs/decisions/0015).
    if by_tail and wishes.false_rejects is None and tells_of_tail(scores):
        return _limit_by_tail(scores, wishes)
    rank, review_rank = plan_ranks(n, wishes)
    tail = extrapolate(scores, wishes.false_rejects) if rank == 0 and wishes.false_rejects is not None else None
    # Rank 0 is beyond all scores: what holds without the model is what holds for the largest of them.
    limit = at_rank(scores, max(rank, 1))
    # Where no score was seen a model may speak; below one that was seen it has nothing to say.
    value = limit.value if tail is None else max(limit.value, tail.value)
    return Limit(
        value,
        rank,
        n,
        limit.expected,
        limit.bound_95,
        target=wishes.false_rejects,
        review=None if review_rank is None else _review(scores, rank, review_rank),
        tail=tail,
    )


def _limit_by_tail(scores: NDArray[np.float64], wishes: LimitWishes) -> Limit:
    """The limit that ``_tail_target`` of good parts exceed by the exponential tail of their scores.

    One odd part is left out of the fit. What is promised hangs on no model: the limit never lies below the score of
    the rank behind the one that the target itself would take, and that rank is known before any part is scored.
    """
    n = len(scores)
    target = _tail_target(n)
    # The rank behind the target's own: the promise rests on this, not on the model (docs/decisions/0055).
    floor = at_rank(scores, parts_in(target, n) + 1)
    # One odd part must not carry the limit away: without it the others say where the tail lies (docs/decisions/0055).
    tail = (without_largest if largest_is_odd(scores) else extrapolate)(scores, target)
    rank, review_rank = plan_ranks(n, wishes)
    band = None
    if review_rank is not None:
        _check_some_pass(n, floor.rank + review_rank - rank)
        band = _review(scores, floor.rank, floor.rank + review_rank - rank)
    return replace(floor, value=max(floor.value, tail.value), review=band, tail=tail)


def _tail_target(n: int) -> float:
    """Share of good parts that a limit by the tail of n scores may reject: 5 % of few, 3 % from 74 parts on.

    The fewer the parts, the less sure the tail: the doubt costs good parts, not escapes (docs/decisions/0063). Never
    less than what one of n + 1 is.
    """
    falling = min(_TAIL_TARGET_OF_FEW, _PARTS_IN_TAIL / (n + 1))
    # One of n + 1 is what the largest of n scores stands for: n parts cannot speak of less.
    return max(_TAIL_TARGET, falling, 1 / (n + 1))


def at_rank(scores: NDArray[np.float64], rank: int) -> Limit:
    """The limit just above the rank-th largest of scores (n,), where 1 is the largest, and what it promises.

    A new good part is as likely to fall into any of the n + 1 gaps between and beside n scores of good parts, whatever
    the law of the scores. So rank / (n + 1) of new good parts are expected above it, and the share that is really
    rejected follows Beta(rank, n + 1 - rank) (docs/decisions/0004, 0015).
    """
    n = len(scores)
    # One step above the score itself: "at or above the limit" is then "above that part", also where scores tie.
    value = float(np.nextafter(np.sort(scores)[n - rank], np.inf))
    return Limit(value, rank, n, rank / (n + 1), false_reject_bound(n, rank))


def offers(scores: NDArray[np.float64]) -> list[Limit]:
    """Limits a person may choose from, the highest first.

    Above the largest of the scores of the shape (n,), and at 1, 2, 3, 5 and 10 % of them.
    """
    n = len(scores)
    return [at_rank(scores, rank) for rank in sorted({1, *(max(1, parts_in(share, n)) for share in _OFFERED)})]


def _limit_rank(n: int, wishes: LimitWishes) -> int:
    target = wishes.false_rejects
    if target is None:
        return max(2, parts_in(_QUANTILE, n)) if n >= _SECOND_FROM else 1
    rank = parts_in(target, n)
    if rank >= 1:
        return rank
    least = _FURTHEST_EXTRAPOLATION / (n + 1)
    if wishes.extrapolate and target >= least:
        return 0
    needed = f"{images_to_expect(target)} good images to expect it, {images_to_promise(target)} to promise it with 95 %"
    what = f"{n} good images cannot carry a false-reject rate of {percent(target)}: above the largest of their scores"
    way = f"with --extrapolate a model of the tail may speak, down to {percent(least)}"
    raise CalibrationRefused(
        f"{what} {percent(1 / (n + 1))} are expected",
        hint=f"it takes {needed} confidence; or ask for {share_for(1, n)} or more; {way}",
    )


def _review(scores: NDArray[np.float64], limit_rank: int, rank: int) -> Review:
    edge = at_rank(scores, rank)
    return Review(edge.value, rank, (rank - limit_rank) / (edge.n + 1), edge.expected, edge.bound_95)


def _band(review: Review) -> str:
    return (
        f"A score from {review.value:.4g} up to the limit is REVIEW: expect {percent(review.share)} of good parts "
        f"there. On the line REVIEW is a reject; with it expect {percent(review.expected)} of good parts to be "
        f"rejected in all, with 95 % confidence fewer than {percent(review.bound_95)}."
    )

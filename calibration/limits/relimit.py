"""A bundle with another limit: the same good parts and networks, what hangs on the limit made anew, and who wants it.

Everything here is read from the manifest: the held-out score of every good part is in it, and of every known-defective
one. Golden values, tails of files and the gate of registration know no limit; they stay as they are.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.good_parts.known import KnownImage
from calibration.limits.defects import Defect, Findings
from calibration.limits.limit import Limit, Review
from calibration.limits.shares import false_reject_bound, percent
from calibration.writer import write_bundle
from edge_agent.domain import Outcome, Reason
from edge_agent.errors import BundleRejected, UsageError
from edge_agent.inspection.bundle.limit_changes import LIMIT_CHANGES, LimitChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["KeptDefect", "NewLimit", "new_limit", "relimited", "write_relimited"]

_MOST = 1e9
_NAMED, _LONGEST_NAME = 10, 100


@dataclass(frozen=True, slots=True)
class KeptDefect:
    """A known-defective image whose score is kept with the bundle. ``passed_before``: by the limit of before, too."""

    name: str
    score: float
    passed_before: bool


@dataclass(frozen=True, slots=True)
class NewLimit:
    """What a bundle's manifest says of another limit.

    ``limit`` with its false rejects; ``good_parts_above`` of the ``limit.n`` held-out scores lie at or above what may
    pass; ``defects`` are the known-defective images that would pass, the least conspicuous first, of ``defects_known``.
    """

    before: float
    limit: Limit
    good_parts_above: int
    defects: tuple[KeptDefect, ...]
    defects_known: int

    @property
    def passes_below(self) -> float:
        """Scores below this one pass: a REVIEW band's lower edge, the limit itself without a band."""
        return self.limit.review_from

    @property
    def good_words(self) -> str:
        """What is to be expected of good parts, and what that rests on."""
        limit, band = self.limit, self.limit.review
        expected, bound = (limit.expected, limit.bound_95) if band is None else (band.expected, band.bound_95)
        return (
            f"{self.good_parts_above} of {limit.n} good parts of the calibration, each scored without itself, score "
            f"{self.passes_below:.4g} or more: of new good parts like these, expect no more than {percent(expected)} "
            f"to be rejected; with 95 % confidence fewer than {percent(bound)}"
        )


def new_limit(manifest: Mapping[str, Any], to: float) -> NewLimit:
    """What the manifest of a bundle says of the limit ``to``. A REVIEW band moves with it, by the same factor.

    Raises UsageError for a limit that is none, that is the present one, or by which no good part would pass.
    """
    before = float(manifest["limit"]["value"])
    if not (math.isfinite(to) and 0.0 < to <= _MOST):
        raise UsageError(
            f"{to} is no limit", hint=f"a number above 0, {_MOST:g} at most; the limit is {before:.6g} now"
        )
    if to == before:
        raise UsageError(f"{before:.6g} is the limit already", hint="name another one")
    scores = _scores(manifest)
    # A band is kept as a share: with the limit the boundary of PASS moves as it was asked (docs/decisions/0073).
    share = float(manifest["limit"]["review_from"]) / before
    limit = _limit_at(scores, to, to if share == 1.0 else to * share)
    above = int((scores >= limit.review_from).sum())
    if above == len(scores):
        least = float(scores.min(initial=math.inf))
        raise UsageError(
            f"by a limit of {to:.6g} not one of the {len(scores)} good parts of the calibration would pass",
            hint=f"the least of their scores is {least:.4g}",
        )
    known = _defects(manifest)
    passed_before = float(manifest["limit"]["review_from"])
    passing = [
        KeptDefect(one.name, one.score, one.score < passed_before)
        for one in known
        if one.score is not None and one.passes_at(limit.review_from)
    ]
    passing.sort(key=lambda one: (one.score, one.name))
    return NewLimit(before, limit, above, tuple(passing), len(known))


def relimited(manifest: Mapping[str, Any], new: NewLimit, change: LimitChange) -> dict[str, Any]:
    """The manifest of the bundle with that limit; the id is made where it is written."""
    changes = [*manifest.get(LIMIT_CHANGES, []), change.to_json()]
    made = {key: value for key, value in manifest.items() if key != "id"} | {LIMIT_CHANGES: changes}
    made["limit"] = {**asdict(new.limit), "review_from": new.passes_below, "statement": _statement(new, change)}
    if "defective" in manifest:
        made["defective"] = _findings(manifest, new.limit).to_json()
    return made


def write_relimited(parent: Path, out: Path, manifest: Mapping[str, Any]) -> str:
    """Write the bundle of this manifest with the files of ``parent``; its id. Raises BundleRejected, OSError."""
    files = {name: (parent / name).read_bytes() for name in manifest["files"]}
    # Of the very bytes that are written: what is copied is what the manifest names.
    altered = [name for name, data in files.items() if hashlib.sha256(data).hexdigest() != manifest["files"][name]]
    if altered:
        raise BundleRejected(f"{parent / altered[0]} was altered", hint="edge-agent bundle list says what is usable")
    return write_bundle(out, files, manifest)


def _scores(manifest: Mapping[str, Any]) -> NDArray[np.float64]:
    return np.array([image["heldout_score"] for image in manifest["training_images"]], np.float64)


def _limit_at(scores: NDArray[np.float64], value: float, review_from: float) -> Limit:
    """A limit that a person sets. It lies above the score behind those that it rejects: what is promised is theirs."""
    n = len(scores)
    rank, band = (min(n, int((scores >= edge).sum()) + 1) for edge in (value, review_from))
    review = None
    if review_from < value:
        share = (band - rank) / (n + 1)
        review = Review(review_from, band, share, band / (n + 1), false_reject_bound(n, band))
    return Limit(value, rank, n, rank / (n + 1), false_reject_bound(n, rank), review=review)


def _defects(manifest: Mapping[str, Any]) -> list[Defect]:
    """The known-defective images as the manifest keeps them. Raises BundleRejected where it does not say enough."""
    try:
        return [
            Defect(
                KnownImage(Path(one["name"]), one["sha256"]),
                Outcome(one["outcome"]),
                Reason(one["reason"]),
                None if one["score"] is None else float(one["score"]),
            )
            for one in manifest.get("defective", {}).get("images", [])
        ]
    except (KeyError, TypeError, ValueError) as err:
        raise BundleRejected(
            f"the manifest does not say of its known-defective images what they score: {err!r}",
            hint="calibrate again with --defective",
        ) from err


def _findings(manifest: Mapping[str, Any], limit: Limit) -> Findings:
    """The same images, judged by the new limit: by their scores alone, which are what they were."""
    had_a_say = any(question.get("figures") for question in manifest.get("questions", {}).values())
    defects = tuple(_judged(one, limit) for one in _defects(manifest))
    return Findings(defects, limit, _scores(manifest), had_a_say=had_a_say)


def _judged(one: Defect, limit: Limit) -> Defect:
    if one.score is None or one.reason not in (Reason.OK, Reason.SCORE):
        return one
    if one.passes_at(limit.review_from):
        return Defect(one.image, Outcome.OK, Reason.OK, one.score)
    return Defect(one.image, Outcome.NG if one.score >= limit.value else Outcome.REVIEW, Reason.SCORE, one.score)


def _statement(new: NewLimit, change: LimitChange) -> str:
    names = list(change.known_defects)
    passing = ""
    if names:
        named = ", ".join(name[:_LONGEST_NAME] for name in names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
        passing = f" KNOWN DEFECTS PASS by it, {len(names)}: {named}."
    return (
        f"The limit was set by {change.by} at {change.at_utc}, to {change.to:.6g} from {change.limit:.6g}: "
        f"{change.why.rstrip('.')}.{passing} {new.good_words}. What share of defects is found cannot be told from good "
        "parts."
    )

"""What another limit would do, said before anybody moves it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from calibration.limits.relimit import NewLimit, new_limit
from edge_agent.bundles.line_bundles import entry_of
from edge_agent.errors import BundleRejected, UsageError
from edge_agent.inspection.bundle.limit_changes import LIMIT_CHANGES
from edge_agent.inspection.bundle.manifest import Section, read_manifest
from edge_agent.inspection.bundle.registry import bundle_in_use, bundles_in
from edge_agent.inspection.bundle.signature import SIGNATURE
from edge_agent.store.journal import NoJournalYet
from edge_agent.store.scored import BAD, GOOD, Judging, Moved, ReviewedPart, Reviews, ScoredParts, reviews_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.settings import BundleSettings, Settings

__all__ = ["NEXT_START", "LimitWish", "Prospect", "foresee"]

NEXT_START = (
    "parts are judged by it from the agent's next start on (systemctl restart edge-agent); until then all are judged "
    "by the limit of before"
)
_BY_LIMIT = frozenset({"id", "created", "limit", "defective", LIMIT_CHANGES})
"""What may differ between bundles whose scores are the same."""

_TEXT_MAX, _NAME_MAX = 200, 100
_NAMED, _LISTED = 10, 1000


@dataclass(frozen=True, slots=True)
class LimitWish:
    """Who wants which limit, and why. ``bundle_id``: the bundle that this person looked at; empty: the one in use.

    ``told``: the ``Prospect.defects_digest`` that this person saw, empty where it is the one that is at hand.
    ``since_utc``: only parts from then on are looked at for what the limit would do, not for known defects.
    """

    program: int | None
    camera: int
    to: float
    by: str = ""
    why: str = ""
    bundle_id: str = ""
    although_known_defects_pass: bool = False
    told: str = ""
    since_utc: str | None = None


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a limit would do: to good parts, to parts that the journal holds, and to defects that somebody knows.

    ``parts`` are defective, as people say, and would pass; ``overturned`` are good parts that people know,
    ``rejected_good`` those of them that would still be rejected.
    """

    entry: BundleSettings
    folder: Path
    manifest: Mapping[str, Any] = field(repr=False)
    passed_below: float
    new: NewLimit
    moved: Moved
    reviews: Reviews
    parts: tuple[ReviewedPart, ...]
    overturned: int
    rejected_good: int
    notes: tuple[str, ...]

    @property
    def bundle_id(self) -> str:
        """The bundle in use."""
        return str(self.manifest["id"])

    @property
    def known_defects(self) -> tuple[str, ...]:
        """The known defects that would pass, by the names of their images, or by their parts."""
        return (*(one.name for one in self.new.defects), *(f"part {one.part_seq}" for one in self.parts))

    @property
    def defects_digest(self) -> str:
        """Stands for these names, where a list is too long to be sent back."""
        return hashlib.sha256("\n".join(self.known_defects).encode()).hexdigest()

    @property
    def refusal(self) -> str:
        """Why this limit wants a word more; empty where no known defect passes by it."""
        if not self.known_defects:
            return ""
        return f"by a limit of {self.new.limit.value:.6g} known defects would pass: {self._defects_named()}"

    def lines(self) -> list[str]:
        """For a person at a terminal."""
        moved, new = self.moved, self.new
        rejected = moved.rejected + len(moved.to_reject) - len(moved.to_pass)
        said = self.reviews.said
        confirmed, overturned = (sum(said.get(seq) in words for seq in moved.to_pass) for words in (BAD, GOOD))
        since = f", from {moved.first_utc} on" if moved.first_utc else ""
        lines = [
            f"program {self.entry.program}, camera {self.entry.camera}: bundle {self.bundle_id[:12]} in {self.folder}",
            f"limit {new.before:.6g} -> {new.limit.value:.6g}"
            + (f", with a REVIEW band from {new.passes_below:.6g}" if new.limit.review else ""),
            f"good parts: {new.good_words}",
            (
                f"the journal: of {moved.decided} parts that this score decided{since}, "
                f"{_share(moved.rejected, moved)} were rejected; {_share(rejected, moved)} would be"
            ),
            f"  passed, would be rejected: {_parts(moved.to_reject)}",
            f"  rejected, would pass: {_parts(moved.to_pass)}"
            + f"; of them {confirmed} confirmed by people, {overturned} overturned" * bool(moved.to_pass),
            f"  good parts that people know: {self.overturned}; {self.rejected_good} of them would still be rejected",
            f"known defects: {new.defects_known} images are kept with the bundle, {len(self.reviews.of(BAD))} parts "
            f"are bad as people say; "
            + (f"WOULD PASS: {self._defects_named()}" if self.known_defects else "none passes"),
        ]
        if not new.defects_known and not self.reviews.of(BAD):
            lines.append("  no defect is known here: nothing says what this limit lets through")
        return [*lines, *(f"note: {note}" for note in self.notes)]

    def to_json(self) -> dict[str, Any]:
        """For programs and for the page. Lists of parts are cut after 1000; the counts are not."""
        moved, new, limit = self.moved, self.new, self.new.limit
        said = self.reviews.said
        band = limit.review
        return {
            "program": self.entry.program,
            "camera": self.entry.camera,
            "bundle_id": self.bundle_id,
            "limit": new.before,
            "to": limit.value,
            "review_from": new.passes_below,
            "good_parts": limit.n,
            "good_parts_above": new.good_parts_above,
            "expected_false_rejects": limit.expected if band is None else band.expected,
            "false_reject_bound_95": limit.bound_95 if band is None else band.bound_95,
            "good_words": new.good_words,
            "decided_by_score": moved.decided,
            "since_utc": moved.first_utc or None,
            "rejected_before": moved.rejected,
            "rejected_then": moved.rejected + len(moved.to_reject) - len(moved.to_pass),
            "passes_to_reject": len(moved.to_reject),
            "passes_to_reject_parts": list(moved.to_reject[-_LISTED:]),
            "rejects_to_pass": len(moved.to_pass),
            "rejects_to_pass_parts": list(moved.to_pass[-_LISTED:]),
            "of_them_confirmed": sum(said.get(seq) in BAD for seq in moved.to_pass),
            "of_them_overturned": sum(said.get(seq) in GOOD for seq in moved.to_pass),
            "good_parts_known": self.overturned,
            "good_parts_known_rejected": self.rejected_good,
            "known_defect_images": new.defects_known,
            "known_defect_parts": len(self.reviews.of(BAD)),
            "known_defects_that_pass": [
                *({"image": d.name, "score": d.score, "passed_before": d.passed_before} for d in new.defects),
                *(
                    {"part_seq": p.part_seq, "score": p.score, "passed_before": p.score < self.passed_below}
                    for p in self.parts
                ),
            ],
            "refusal": self.refusal or None,
            "defects_digest": self.defects_digest,
            "notes": list(self.notes),
            "takes_effect": NEXT_START,
        }

    def _defects_named(self) -> str:
        named = [
            *((d.name, d.score, d.passed_before) for d in self.new.defects),
            *((f"part {p.part_seq}", p.score, p.score < self.passed_below) for p in self.parts),
        ]
        words = [f"{name} (score {score:.4g}{', as today' * passed})" for name, score, passed in named[:_NAMED]]
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        least = min(score for _, score, _ in named)
        return f"{', '.join(words)}{more}; none of them would by {least:.6g} or less"


def foresee(settings: Settings, wish: LimitWish) -> Prospect:
    """What that limit would do. Changes nothing, computes no image.

    Raises UsageError for a wish that cannot be, BundleRejected, DataError for a damaged journal.
    """
    entry = entry_of(settings, wish.program, wish.camera)
    folder, pinned = bundle_in_use(entry.path)
    manifest = read_manifest(folder).content
    if pinned not in (None, manifest["id"]):
        raise BundleRejected(f"{folder} is not the bundle that was activated", hint="edge-agent bundle list")
    if wish.bundle_id and wish.bundle_id != manifest["id"]:
        raise UsageError(
            f"the parts looked at were judged by bundle {wish.bundle_id[:12]}, and {str(manifest['id'])[:12]} is "
            "activated: it judges from the agent's next start on",
            hint="restart the agent, let it judge parts, and decide by those: edge-agent bundle list shows both",
        )
    new = new_limit(manifest, wish.to)
    passed_below = float(manifest["limit"]["review_from"])
    agent_alone = settings.line.judgement == "agent"
    bundles, camera, below = _kin(entry.path, manifest), entry.camera, new.passes_below
    judging, others = Judging(frozenset(bundles), below), _others(settings, entry)
    moved, reviews, parts, good, good_passing = Moved(0, 0, "", (), ()), Reviews(), [], 0, 0
    doubted: list[ReviewedPart] = []
    try:
        reviews = reviews_of(settings.store.journal)
        with ScoredParts.open(settings.store.journal) as journal:
            first = 1 if wish.since_utc is None else journal.first_seq_since(wish.since_utc)
            moved = journal.moved(bundles, camera, below, first, agent_alone=agent_alone)
        for path in reviews.journals:
            with ScoredParts.open(path) as journal:
                bad, seen = reviews.of(BAD), reviews.of(GOOD)
                doubted += journal.defects_passing(reviews.doubted, judging, camera, others, agent_alone=agent_alone)
                parts += journal.defects_passing(bad, judging, camera, others, agent_alone=agent_alone)
                good += len(journal.passing(seen, bundles, camera, float("inf"), agent_alone=agent_alone))
                good_passing += len(journal.passing(seen, bundles, camera, below, agent_alone=agent_alone))
        notes = [f"{reviews.missing}, the journal before, is not there: what people said in it is not known here"]
        notes = notes if reviews.missing else []
        if reviews.disputed:
            disputed = _parts(tuple(sorted(reviews.disputed)))
            notes.append(f"people differ over parts, which count as neither good nor defective: {disputed}")
        if doubted:
            would = _parts(tuple(sorted(one.part_seq for one in doubted)))
            notes.append(f"of these somebody calls defective what WOULD PASS by this limit; decide them first: {would}")
    except NoJournalYet as err:
        notes = [f"{err}: nothing but the calibration tells what this limit would do"]
    if settings.trusted_keys:
        notes.append("this line judges by signed bundles alone: the new one wants a key again (--key)")
    elif (folder / SIGNATURE).exists():
        notes.append("the bundle in use is signed; the new one is not, unless a key signs it (--key)")
    return Prospect(
        entry=entry,
        folder=folder,
        manifest=manifest,
        passed_below=passed_below,
        new=new,
        moved=moved,
        reviews=reviews,
        parts=tuple(parts),
        overturned=good,
        rejected_good=good - good_passing,
        notes=tuple(notes),
    )


def _check_words(wish: LimitWish) -> None:
    for option, text, most in (("--by", wish.by, _NAME_MAX), ("--why", wish.why, _TEXT_MAX)):
        if not (text.isprintable() and 0 < len(text.strip()) <= most):
            raise UsageError(
                f"{option} {text!a} does not do: whoever moves a limit signs for it",
                hint=f"{option} with 1 to {most} characters on one line",
            )


def _kin(path: Path, manifest: Mapping[str, Any]) -> list[str]:
    """The ids of all bundles that give the same scores: this one, those that it was made of, and those made beside it.

    What was confirmed as bad under one of them is as bad under another.
    """
    found = {str(manifest["id"]), *(str(change["parent"]) for change in manifest.get(LIMIT_CHANGES, []))}
    alike = _without_limit(manifest)
    for folder in bundles_in(path):
        try:
            other: Section = read_manifest(folder)
        except BundleRejected:  # a damaged one judges nothing; bundle list tells of it
            continue
        if _without_limit(other.content) == alike:
            found.add(other.text("id"))
    return sorted(found)


def _others(settings: Settings, entry: BundleSettings) -> dict[int, Judging]:
    """How the other cameras of this program judge from the next start on."""
    found = {}
    for other in settings.bundle:
        if other.program != entry.program or other.camera not in {*settings.line.cameras} - {entry.camera}:
            continue
        try:
            manifest = read_manifest(bundle_in_use(other.path)[0]).content
        except BundleRejected:  # by that one no part passes; once another is in its place, its scores are others
            continue
        found[other.camera] = Judging(frozenset(_kin(other.path, manifest)), float(manifest["limit"]["review_from"]))
    return found


def _without_limit(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in manifest.items() if key not in _BY_LIMIT}


def _share(number: int, moved: Moved) -> str:
    return f"{number} ({100 * number / moved.decided:.1f} %)" if moved.decided else str(number)


def _parts(seqs: tuple[int, ...]) -> str:
    if not seqs:
        return "none"
    numbers = f"part{'s' * (len(seqs) > 1)} {', '.join(map(str, seqs[-_NAMED:]))}"
    return f"{len(seqs)} ({'the last: ' * (len(seqs) > _NAMED)}{numbers})"

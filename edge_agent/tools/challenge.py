"""Seeded reject samples through the chain, as a metal detector gets its test pieces each shift: all must be rejected.

``images``: recorded images of such samples, judged by the bundles in use on this PC. It proves bundle and software, not
camera, light and gate. ``line``: the samples themselves on the running line (``challenge_line``); what the agent wrote
of them counts, and a person saw the gate. A reject for want of an image or of time proves nothing and is no success.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from edge_agent.desk.noted import noted
from edge_agent.domain import Outcome, Published, Reason, Verdict
from edge_agent.errors import DataError
from edge_agent.golden.usual import Odd
from edge_agent.inspection.containers.image_files import every_one, look_into, unreadable
from edge_agent.report.tally import rate_upper_bound
from edge_agent.store.challenges import BUNDLE_DIGITS, CHALLENGE, ShownSample
from edge_agent.store.reader import NoJournalYet
from edge_agent.store.search import JournalSearch
from edge_agent.store.shrink import received_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.people.signing import Signed
    from edge_agent.settings import Settings

__all__ = ["Challenge", "Sample", "challenge_images", "is_doubtful", "now_utc", "record", "was_seen"]

_SEEN = frozenset({Reason.SCORE, Reason.ALIGN, Reason.CONTROLLER_NG})
"""Reasons that say that somebody looked at the part. In another light only a score that would have rejected it does."""
_UNLIKE_GOOD_IMAGES = frozenset({Reason.LIGHT, Reason.FOCUS})


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample and what became of it. ``must_reject`` False: a golden sample, which must pass.

    ``path`` is its file, ``part_seq`` its part on the line: one of the two. ``name`` is that of a registered sample, or
    empty. ``odd`` is the code of what is odd about its score, ``odd_words`` say it. ``wrong`` says why it proves
    nothing, whatever its verdict is. ``judged_by`` are the ids of the bundles of all cameras that judged it.
    """

    label: str
    must_reject: bool
    verdict: Verdict
    reason: Reason
    score: float | None
    limit: float | None
    bundle_id: str | None
    image_sha256: str
    part_seq: int | None = None
    published: Published | None = None
    path: Path | None = None
    name: str = ""
    program: int | None = None
    odd: str = ""
    odd_words: str = ""
    wrong: str = ""
    judged_by: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether it was rejected for what it is, or passed if it is a golden one.

        A golden one that the lock alone held back has passed: LOCKED says that nothing else stood against it.
        """
        if self.wrong:
            return False
        if not self.must_reject:
            is_judged_good = self.verdict is Verdict.PASS and self.reason is Reason.OK
            return is_judged_good or (self.verdict is Verdict.REJECT and self.reason is Reason.LOCKED)
        return self.verdict is Verdict.REJECT and was_seen(self.reason, self.score, self.limit)

    def __str__(self) -> str:
        wanted = "must be rejected" if self.must_reject else "must pass"
        score = "" if self.score is None else f", score {self.score:.4g} of {self.limit:.4g}"
        said = f"{self.label}: {wanted}, {self.verdict} {self.reason}{score}"
        return "; ".join(filter(None, (f"{'ok  ' if self.is_right else 'FAIL'}  {said}", self.wrong, self.odd_words)))

    def to_json(self) -> dict[str, object]:
        """The sample's object of ``--json``."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "path"}

    def shown(self) -> ShownSample:
        """What the journal keeps of a registered sample."""
        return ShownSample(
            name=self.name,
            kind="reject" if self.must_reject else "good",
            is_right=self.is_right,
            score=None if self.score is None else float(f"{self.score:.6g}"),
            limit=None if self.limit is None else float(f"{self.limit:.6g}"),
            bundle=(self.bundle_id or "")[:BUNDLE_DIGITS],
            part_seq=self.part_seq,
            odd=self.odd,
        )


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that was run. ``notes`` say what of the folder was passed over, or why not all samples came.

    ``why_not`` says what keeps it from being passed although every sample that came is right; empty for nothing.
    ``programs`` are those that judged. ``part_seq`` is the newest part at its end; None: where it is recorded, it is
    looked up.
    """

    through: Literal["images", "line"]
    by: str
    at_utc: str
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
    programs: tuple[int, ...] = ()
    is_simulated: bool = False
    why_not: str = ""
    signed: Signed | None = None

    @property
    def is_passed(self) -> bool:
        """There was a reject sample, every sample is right, and none of the reject samples may be another one."""
        is_right = any(s.must_reject for s in self.samples) and all(s.is_right for s in self.samples)
        return is_right and not self.why_not and not any(s.must_reject and is_doubtful(s.odd) for s in self.samples)

    def to_json(self) -> dict[str, object]:
        """The ``--json`` object; without ``samples`` it is the journal's record."""
        rejects = [s for s in self.samples if s.must_reject]
        golden = [s for s in self.samples if not s.must_reject]
        hashes = "".join(sorted(s.image_sha256 for s in self.samples))
        return {
            "schema_version": 1,
            "ok": self.is_passed,
            "through": self.through,
            "by": self.by,
            **({} if self.signed is None else self.signed.to_json()),
            "at_utc": self.at_utc,
            "programs": list(self.programs),
            "simulated": self.is_simulated,
            "rejected": sum(s.is_right for s in rejects),
            "of": len(rejects),
            "golden_passed": sum(s.is_right for s in golden),
            "golden": len(golden),
            "bundles": sorted(
                {bundle_id for s in self.samples for bundle_id in (s.bundle_id, *s.judged_by) if bundle_id}
            ),
            "parts": [s.part_seq for s in self.samples if s.part_seq is not None][:50],
            "samples_sha256": hashlib.sha256(hashes.encode()).hexdigest(),
            **({"why_not": self.why_not} if self.why_not else {}),
            **({"odd": odd} if (odd := [s.odd_words for s in self.samples if s.odd_words]) else {}),
            **({"shown": shown} if (shown := [s.shown().to_json() for s in self.samples if s.name]) else {}),
        }

    @property
    def escape_bound(self) -> float:
        """The largest share of such defects that would pass, with 95 % confidence, by these samples; 1.0: none."""
        rejects = [sample for sample in self.samples if sample.must_reject]
        return rate_upper_bound(sum(not sample.is_right for sample in rejects), len(rejects)) if rejects else 1.0

    def lines(self) -> list[str]:
        """The result as lines of text for a person."""
        rejects = [s for s in self.samples if s.must_reject]
        missed = sum(not s.is_right for s in rejects)
        words = "passed" if self.is_passed else "NOT PASSED"
        said = (
            f"challenge {words}: {len(rejects) - missed} of {len(rejects)} rejected; so many samples say, with 95 % "
            f"confidence, that at most {self.escape_bound:.0%} of parts with such defects would pass"
        )
        return [*map(str, self.samples), *self.notes, *filter(None, [self.why_not]), said]


def challenge_images(
    folder: Path,
    inspector: Inspector,
    by: str,
    progress: Callable[[str, int, int], None],
    program: int | None = None,
) -> Challenge:
    """Judge every image in ``folder``, or in its ``reject`` and ``good``. Raises DataError where there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", hint="name the folder of images that must be rejected")
    lies = [look_into(folder / "reject" if (folder / "reject").is_dir() else folder)]
    if not lies[0].images:
        raise DataError(
            f"{folder} holds no image of a reject sample{lies[0].why_none}",
            hint="put images of parts that must be rejected into it, or into its folder reject/ with good/ beside it",
        )
    if (folder / "good").is_dir():
        lies[0].folders = [below for below in lies[0].folders if below != folder / "good"]
        lies.append(look_into(folder / "good"))
    wanted = [(path, number == 0) for number, one in enumerate(lies) for path in one.images]
    if closed := unreadable(path for path, _ in wanted):
        raise DataError(every_one(closed, len(wanted)), hint="remove them, or make them readable")
    samples = []
    for done, (path, must_reject) in enumerate(wanted):
        progress("challenge", done, len(wanted))
        samples.append(_judged(path, must_reject, inspector))
    progress("challenge", len(wanted), len(wanted))
    notes = tuple(note for one in lies for note in one.notes)
    programs = () if program is None else (program,)
    return Challenge("images", by, now_utc(), tuple(samples), notes, programs=programs)


def was_seen(reason: Reason, score: float | None, limit: float | None) -> bool:
    """Whether a reject for this reason says that somebody looked at the part."""
    is_above = score is not None and limit is not None and score >= limit
    return reason in _SEEN or (reason in _UNLIKE_GOOD_IMAGES and is_above)


async def record(settings: Settings, challenge: Challenge) -> str:
    """Write it into the journal, by way of the running agent or directly; by which way. Raises EdgeAgentError."""
    newest: int | None = None
    try:
        with JournalSearch.open(settings.store.journal) as journal:
            newest = journal.last_seq()
    except NoJournalYet:  # it is begun with this record, and no part has come
        newest = 0
    detail = json.dumps({**challenge.to_json(), "part_seq": newest}, ensure_ascii=False)
    return await noted(settings, CHALLENGE, detail)


def is_doubtful(odd: str) -> bool:
    """Whether a score says that this may not be the sample that it is said to be: a jump is that, a creep is wear."""
    return bool(odd) and not Odd(odd).is_creep


def _judged(path: Path, must_reject: bool, inspector: Inspector) -> Sample:  # noqa: FBT001 - a fact, not a switch
    found = inspector.inspect(received_bytes(path))
    is_ok = found.outcome is Outcome.OK
    return Sample(
        label=path.name,
        must_reject=must_reject,
        verdict=Verdict.PASS if is_ok else Verdict.REJECT,
        reason=Reason.OK if is_ok else found.reason,
        score=found.score if math.isfinite(found.score) else None,
        limit=found.limit if math.isfinite(found.limit) else None,
        bundle_id=found.bundle_id,
        image_sha256=found.image_sha256,
        path=path,
    )


def now_utc() -> str:
    """Now, as a record says it."""
    return datetime.now(UTC).isoformat(timespec="seconds")

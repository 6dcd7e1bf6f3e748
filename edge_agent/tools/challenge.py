"""Seeded reject samples through the chain, as a metal detector gets its test pieces each shift: all must be rejected.

``images``: recorded images of such samples, judged by the bundles in use on this PC. It proves bundle and software, not
camera, light and gate. ``line``: the samples themselves on the running line; what the agent wrote of them counts, and a
person saw the gate. A reject for want of an image or of time proves nothing and is no success.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from drivers.timing import monotonic_s
from edge_agent.desk.client import DeskClient, desk_path
from edge_agent.desk.noted import noted
from edge_agent.domain import Outcome, Published, Reason, Verdict
from edge_agent.errors import DataError, Unavailable
from edge_agent.inspection.containers.image_files import every_one, look_into, unreadable
from edge_agent.report.tally import rate_upper_bound
from edge_agent.runtime.overdue import CHALLENGE
from edge_agent.store.search import JournalSearch
from edge_agent.store.shrink import received_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.settings import Settings
    from edge_agent.store.rows import PartRow

__all__ = ["Challenge", "Sample", "challenge_images", "challenge_line", "record", "was_seen"]

_SEEN = frozenset({Reason.SCORE, Reason.ALIGN, Reason.CONTROLLER_NG})
"""Reasons that say that somebody looked at the part. In another light only a score that would have rejected it does."""
_UNLIKE_GOOD_IMAGES = frozenset({Reason.LIGHT, Reason.FOCUS})
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample and what became of it. ``must_reject`` False: a golden sample, which must pass.

    ``path`` is its file, ``part_seq`` its part on the line: one of the two.
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

    @property
    def is_right(self) -> bool:
        """Whether it was rejected for what it is, or passed if it is a golden one."""
        if not self.must_reject:
            return self.verdict is Verdict.PASS
        return self.verdict is Verdict.REJECT and was_seen(self.reason, self.score, self.limit)

    def __str__(self) -> str:
        wanted = "must be rejected" if self.must_reject else "must pass"
        score = "" if self.score is None else f", score {self.score:.4g} of {self.limit:.4g}"
        return f"{'ok  ' if self.is_right else 'FAIL'}  {self.label}: {wanted}, {self.verdict} {self.reason}{score}"

    def to_json(self) -> dict[str, object]:
        """The sample's object of ``--json``."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "path"}


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that was run. ``notes`` say what of the folder was passed over."""

    through: Literal["images", "line"]
    by: str
    at_utc: str
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_passed(self) -> bool:
        """There was a reject sample, and every sample is right."""
        return any(s.must_reject for s in self.samples) and all(s.is_right for s in self.samples)

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
            "at_utc": self.at_utc,
            "rejected": sum(s.is_right for s in rejects),
            "of": len(rejects),
            "golden_passed": sum(s.is_right for s in golden),
            "golden": len(golden),
            "bundles": sorted({s.bundle_id for s in self.samples if s.bundle_id}),
            "parts": [s.part_seq for s in self.samples if s.part_seq is not None][:50],
            "samples_sha256": hashlib.sha256(hashes.encode()).hexdigest(),
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
        return [*map(str, self.samples), *self.notes, said]


def challenge_images(
    folder: Path, inspector: Inspector, by: str, progress: Callable[[str, int, int], None]
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
    return Challenge("images", by, _now(), tuple(samples), notes)


async def challenge_line(
    settings: Settings, number: int, by: str, within_s: float, say: Callable[[str], None]
) -> Challenge:
    """The next parts of the running line are reject samples. Raises Unavailable without an agent, or in time's want."""
    async with DeskClient.open(desk_path(settings.store.journal)) as agent:
        if agent is None:
            raise Unavailable("no agent runs on this line", hint="start it, or challenge with a folder of images")
    samples: list[Sample] = []
    until_mono_s = monotonic_s() + within_s
    with JournalSearch.open(settings.store.journal) as journal:
        after = journal.newest_seq()
        say(f"put {number} reject samples through the line, nothing else: the next {number} parts count")
        while len(samples) < number:
            if monotonic_s() > until_mono_s:
                came = f"{len(samples)} of {number} samples came within {within_s:.0f} s"
                raise Unavailable(came, hint="nothing is recorded: start again, with --within-s for more time")
            for row in journal.rows(after + len(samples) + 1, after + number):
                published = journal.published(row.part_seq)
                if published is None or row.part_seq != after + len(samples) + 1:
                    break
                samples.append(_came(row, published))
                say(str(samples[-1]))
            await asyncio.sleep(_LOOK_EVERY_S)
    return Challenge("line", by, _now(), tuple(samples))


def was_seen(reason: Reason, score: float | None, limit: float | None) -> bool:
    """Whether a reject for this reason says that somebody looked at the part."""
    is_above = score is not None and limit is not None and score >= limit
    return reason in _SEEN or (reason in _UNLIKE_GOOD_IMAGES and is_above)


async def record(settings: Settings, challenge: Challenge) -> str:
    """Write it into the journal, by way of the running agent or directly; by which way. Raises EdgeAgentError."""
    return await noted(settings, CHALLENGE, json.dumps(challenge.to_json()))


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


def _came(row: PartRow, published: Published) -> Sample:
    return Sample(
        label=f"part {row.part_seq}",
        must_reject=True,
        verdict=row.verdict,
        reason=row.reason,
        score=row.score,
        limit=row.limit,
        bundle_id=row.bundle_id,
        image_sha256="".join(camera.image_sha256 for camera in row.cameras),
        part_seq=row.part_seq,
        published=published,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

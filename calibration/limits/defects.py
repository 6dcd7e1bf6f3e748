"""What known-defective parts say about a limit: how many would pass, and what it would cost to catch them all.

They do not move the limit: a share of missed defects holds only for images that had no say in it. Where they took part
in how parts are compared (docs/decisions/0058) the words say so.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.limits.limit import at_rank
from calibration.limits.shares import percent, share_for
from calibration.workers import ONE_THREAD, Work
from calibration.writer import write_bundle
from edge_agent.domain import Outcome, Reason
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.report.tally import rate_upper_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from calibration.good_parts.known import KnownImage
    from calibration.limits.limit import Limit
    from calibration.workers import Workers

__all__ = ["Defect", "Findings", "judge_defective"]

_NAMED = 10
_SAY = "They had a say in how parts are compared: for a share that is certain, judge others. "


@dataclass(frozen=True, slots=True)
class Defect:
    """One defective part as the bundle judges it; ``score`` is None where it has none."""

    image: KnownImage
    outcome: Outcome
    reason: Reason
    score: float | None

    @property
    def name(self) -> str:
        """The name of the image file, without its folder."""
        return self.image.path.name

    def passes_at(self, limit: float) -> bool:
        """Whether it would pass if scores from ``limit`` on were rejected. What was stopped otherwise stays stopped."""
        return self.reason in (Reason.OK, Reason.SCORE) and self.score is not None and self.score < limit


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """All known-defective parts, against the bundle's limit and the held-out scores (n) of the good parts.

    ``had_a_say``: they took part in how parts are compared.
    """

    defects: tuple[Defect, ...]
    limit: Limit
    good: NDArray[np.float64]
    had_a_say: bool = False

    @property
    def missed(self) -> list[Defect]:
        """Those that would pass, the least conspicuous first."""
        return sorted((d for d in self.defects if d.outcome is Outcome.OK), key=lambda d: (d.score or 0.0, d.name))

    def missed_at(self, limit: float) -> int:
        """How many would pass if scores from ``limit`` on were rejected."""
        return sum(defect.passes_at(limit) for defect in self.defects)

    @property
    def miss_bound_95(self) -> float:
        """With 95 % confidence fewer than this share of such defects pass."""
        return rate_upper_bound(len(self.missed), len(self.defects))

    @property
    def catching_all(self) -> Limit | None:
        """The highest limit above a good part's score that lets none of them pass; None if there is none."""
        weakest = min(
            (d.score for d in self.defects if d.passes_at(math.inf) and d.score is not None), default=math.inf
        )
        # Of the good part just below the weakest defect: right above it the limit still catches that one.
        rank = int(np.sum(self.good >= weakest)) + 1
        return at_rank(self.good, rank) if rank <= len(self.good) else None

    @property
    def statement(self) -> str:
        """What is found and how sure that is, what catching all would cost."""
        missed = self.missed
        named = [defect.name for defect in missed[:_NAMED]] + ["..."] * (len(missed) > _NAMED)
        would_pass = f"{len(missed)} of {len(self.defects)} known-defective parts would pass"
        return (
            f"{would_pass}{': ' * bool(named)}{', '.join(named)}. With 95 % confidence fewer than "
            f"{percent(self.miss_bound_95)} of defects like these would; of other kinds this says nothing. "
            f"{_SAY * self.had_a_say}{self._cost() if missed else self._margin()}"
        )

    def _margin(self) -> str:
        scored = [d for d in self.defects if d.passes_at(math.inf)]
        if not scored:
            return "None of them was stopped by its score: they do not tell whether the limit lies right."
        weakest = min(scored, key=lambda d: d.score or 0.0)
        ratio = (weakest.score or 0.0) / self.limit.review_from
        return f"The least conspicuous of them, {weakest.name}, scores {ratio:.2f} times what a part may score to pass."

    def _cost(self) -> str:
        all_caught = self.catching_all
        if all_caught is None:
            return "No limit catches all of them: one scores less than every good part."
        ask = share_for(all_caught.rank, all_caught.n)
        return (
            f"A limit of {all_caught.value:.4g} would let none of them pass. Expect it to reject "
            f"{percent(all_caught.expected)} of good parts, with 95 % confidence fewer than "
            f"{percent(all_caught.bound_95)}; to set it, ask for --false-rejects {ask}. What a limit that was set so "
            f"misses must be proven with other defective parts."
        )

    def to_json(self) -> dict[str, object]:
        """For the manifest and for programs."""
        return {
            "statement": self.statement,
            "missed": len(self.missed),
            "miss_bound_95": self.miss_bound_95,
            "catching_all": None if self.catching_all is None else self.catching_all.to_json(),
            "images": [
                {"name": d.name, "sha256": d.image.sha256, "outcome": d.outcome, "reason": d.reason, "score": d.score}
                for d in self.defects
            ],
        }


def judge_defective(
    bundle: tuple[Mapping[str, bytes], Mapping[str, Any]],
    images: Sequence[KnownImage],
    *,
    threads: int,
    progress: Callable[[int, int], None],
    workers: Workers = ONE_THREAD,
) -> tuple[Defect, ...]:
    """Each image as the bundle of these files and this manifest judges it: written, loaded and run as on the line."""
    found = []
    for defect in workers.each(Work(_judged, (), partial(_inspector, bundle, threads)), images):
        found.append(defect)
        progress(len(found), len(images))
    return tuple(found)


def _inspector(bundle: tuple[Mapping[str, bytes], Mapping[str, Any]], threads: int) -> Inspector:
    # Not judged by what is in memory: written, proven and loaded, it is what the line will judge by, rounding included.
    with tempfile.TemporaryDirectory(prefix="edge-agent-defective-") as folder:
        write_bundle(Path(folder) / "bundle", *bundle)
        return Inspector(Bundle.load(Path(folder) / "bundle"), threads=threads)


def _judged(inspector: Inspector, image: KnownImage) -> Defect:
    seen = inspector.inspect(image.read())
    score = seen.score if math.isfinite(seen.score) else None
    return Defect(image, seen.outcome, seen.reason, score)

"""The bundle in use and the one that learned, over all that is known: what came of the learning."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from calibration.stages import stage_of
from edge_agent.inspection.inspector import Inspector
from edge_agent.tools.learn.figures import figures_of
from edge_agent.tools.learn.found import Found
from edge_agent.tools.learn.judging import Both, known_defects, replayed, synthetic_defects

if TYPE_CHECKING:
    from calibration.stages import Progress
    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.settings import Settings
    from edge_agent.tools.learn.proposal import Proposal
    from edge_agent.tools.learn.wish import Wish
    from edge_agent.tools.learn.workshop import Workshop

__all__ = ["compared"]


def compared(
    settings: Settings,
    proposal: Proposal,
    calibrated: Bundle,
    workshop: Workshop,
    wish: Wish,
    *,
    originals: frozenset[str],
    progress: Progress,
) -> Found:
    """What was found; nothing is offered yet. ``originals``: sha256 of the good parts that both bundles know.

    One thread is enough: it has to make way. Raises BundleRejected where this PC computes other values, DataError.
    """
    both = Both(Inspector(proposal.parent, threads=1), Inspector(calibrated, threads=1))
    both.before.warm_up()
    both.after.warm_up()
    made_of = {image["sha256"]: image["name"] for image in calibrated.manifest["training_images"]}
    known = {*made_of, *originals, *(part.sha256 for part in proposal.added)}
    known |= {image["sha256"] for image in proposal.parent.manifest["training_images"]}
    defects = known_defects(both, proposal.defects, workshop.defects, stage_of(progress, "known defects"))
    synthetic = synthetic_defects(
        both,
        [workshop.good / name for sha256, name in made_of.items() if sha256 in originals],
        seed=calibrated.manifest.get("seed", 0),
        progress=stage_of(progress, "synthetic defects"),
    )
    replay = replayed(
        both,
        settings.store.archive,
        proposal.reviews,
        frozenset(known),
        wish=wish,
        progress=stage_of(progress, "archive"),
    )
    return Found(
        calibrated.program,
        calibrated.camera,
        proposal.parent.id,
        "",
        wish.by,
        wish.why,
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple(part.part_seq for part in proposal.added if part.sha256 in made_of),
        proposal.by_person,
        _own_good(calibrated, proposal),
        figures_of(proposal.parent, calibrated, defects, synthetic, replay),
        defects,
        synthetic,
        replay,
    )


def _own_good(calibrated: Bundle, proposal: Proposal) -> tuple[int, int]:
    """Of the added parts: how many would pass by the score that they had before the bundle knew them."""
    added = {part.sha256 for part in proposal.added}
    scores = [i["heldout_score"] for i in calibrated.manifest["training_images"] if i["sha256"] in added]
    return sum(score < calibrated.review_from for score in scores), len(scores)

"""One learning from its images to the bundle that is offered: beside a running line at idle priority.

Nothing here touches the running agent, its bundles or its output: whoever activates what is offered does that.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from calibration.asked import options_again
from calibration.calibrate import calibrate
from calibration.choosing.within import wish_of_line
from calibration.limits.relimit import write_relimited
from calibration.stages import unseen
from drivers.timing import monotonic_s
from edge_agent.errors import UsageError
from edge_agent.inspection.bundle.learned import LEARNED, Learned, Worse, learned_of, plain
from edge_agent.inspection.bundle.limit_changes import limit_changes
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.store.fs import write_durably
from edge_agent.tools.collecting import stand_back_beside_agent
from edge_agent.tools.learn.comparing import compared
from edge_agent.tools.learn.workshop import collect_good, without_copies

if TYPE_CHECKING:
    from pathlib import Path

    from calibration.options import CalibrationOptions
    from calibration.stages import Progress
    from edge_agent.settings import Settings
    from edge_agent.tools.learn.found import Found
    from edge_agent.tools.learn.proposal import Material, Proposal
    from edge_agent.tools.learn.wish import Wish
    from edge_agent.tools.learn.workshop import Workshop

__all__ = ["learn", "making_way"]

_LOOK_EVERY_S = 2.0
_NOTHING = "edge-agent learn propose says what was left out, and why"


def learn(settings: Settings, proposal: Proposal, workshop: Workshop, wish: Wish, progress: Progress = unseen) -> Found:
    """Calibrate, compare, and offer or refuse; the caller stands back, and holds the folder.

    Where it was killed before, the same is gone on with. Raises UsageError where there is nothing to learn,
    PartsInDoubt where a person has to look at some images first, DataError for images that are gone or altered,
    CalibrationRefused, OSError where the disk is full.
    """
    task = _Task.of(settings, proposal, workshop, wish)
    calibrated = task.calibrated(progress)
    found = compared(
        settings, task.proposal, calibrated, workshop, wish, originals=frozenset(task.originals), progress=progress
    )
    found = replace(found, notes=(*task.notes, *proposal.notes))
    if not found.lost:
        found = replace(found, bundle_id=_offer(calibrated, task.proposal, workshop, found))
    write_durably(workshop.result, json.dumps(found.to_json(), ensure_ascii=True, allow_nan=False).encode())
    return found


def making_way(settings: Settings, progress: Progress = unseen) -> Progress:
    """Make this process the last in line for the processor where an agent runs on this line, or once one starts.

    That is looked for now, and every few seconds while what this gives is told of progress.
    """
    stands_back = stand_back_beside_agent(settings)
    looked_s = monotonic_s()

    def watched(stage: str, done: int, total: int) -> None:
        nonlocal stands_back, looked_s
        if not stands_back and monotonic_s() - looked_s > _LOOK_EVERY_S:
            stands_back = stand_back_beside_agent(settings)
            looked_s = monotonic_s()
        progress(stage, done, total)

    return watched


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be made of what. ``originals``: sha256 to name and file of each good image of before."""

    settings: Settings
    proposal: Proposal
    originals: dict[str, tuple[str, Path]]
    workshop: Workshop
    wish: Wish
    options: CalibrationOptions
    notes: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings, proposal: Proposal, workshop: Workshop, wish: Wish) -> _Task:
        """Raises UsageError where there is nothing to learn, DataError where a good image of before is missing."""
        _check_something(proposal)
        taken_out = frozenset(part.sha256 for part in proposal.taken_out)
        originals = collect_good(proposal.parent, wish.good, taken_out)
        proposal = without_copies(proposal, originals, workshop.folder, settings.store.archive)
        _check_something(proposal)
        options, notes = options_again(proposal.parent.manifest, proposal.parent.folder)
        notes = (*notes, *_by_hand(proposal.parent))
        by_line = wish_of_line(deadline_ms=settings.line.deadline_ms, cameras=len(settings.line.cameras))
        kept = {image["sha256"] for image in proposal.parent.manifest.get("kept_images", ())}
        names = [name for sha256, (name, _) in originals.items() if sha256 in kept]
        options = replace(
            options,
            keep=tuple(dict.fromkeys([*names, *wish.keep])),
            leave_out=wish.leave_out,
            within=options.within or by_line,
            threads=wish.threads,
            overwrite=True,
            learned=_lineage(proposal, wish).to_json(),
        )
        return cls(settings, proposal, originals, workshop, wish, options, notes)

    def calibrated(self, progress: Progress) -> Bundle:
        """The new bundle, made here before or now."""
        gone_on = self.workshop.begin(self._plan())
        self.workshop.fill(self.proposal, self.originals, self.settings.store.archive)
        made = self.workshop.calibrated_of(self._learned()) if gone_on else None
        if made is not None:
            return made
        calibrate(self.workshop.good, self.workshop.calibrated, self.options, progress)
        return Bundle.load(self.workshop.calibrated)

    def _learned(self) -> frozenset[str]:
        return frozenset({*self.originals, *(part.sha256 for part in self.proposal.added)})

    def _plan(self) -> dict[str, Any]:
        """What decides what is made: where it is another one, what was made before is of no use."""
        return {
            "schema_version": 1,
            "parent": self.proposal.parent.id,
            "good": {sha256: name for sha256, (name, _) in self.originals.items()},
            "added": [_in_plan(part) for part in self.proposal.added],
            "defects": [_in_plan(part) for part in self.proposal.defects],
            "leave_out": list(self.wish.leave_out),
            "keep": list(self.wish.keep),
            "by": self.wish.by,
            "why": self.wish.why,
        }


def _check_something(proposal: Proposal) -> None:
    if not proposal.added and not proposal.taken_out:
        raise UsageError("there is no confirmed false reject to learn from", hint=_NOTHING)


def _by_hand(parent: Bundle) -> tuple[str, ...]:
    """That a person had moved the limit: the calibration finds it anew, and knows nothing of that reason."""
    return tuple(
        f"the limit of the bundle in use was set by hand, by {change.by}: {change.why}; that of the new bundle is "
        "found by its calibration"
        for change in limit_changes(parent.manifest)[-1:]
    )


def _lineage(proposal: Proposal, wish: Wish) -> Learned:
    return Learned(
        proposal.parent.id,
        plain(wish.by),
        datetime.now(UTC).isoformat(timespec="seconds"),
        plain(wish.why),
        tuple(part.learned() for part in proposal.added),
        tuple(part.learned() for part in proposal.defects),
    )


def _in_plan(part: Material) -> list[Any]:
    words = hashlib.sha256(repr(part.words).encode()).hexdigest()
    return [part.part_seq, part.sha256, part.says, words]


def _offer(calibrated: Bundle, proposal: Proposal, workshop: Workshop, found: Found) -> str:
    """Write the bundle that may be activated, with what is worse in it; its id."""
    worse = tuple(Worse(plain(one.name), plain(one.before), plain(one.after)) for one in found.worse)
    begun = learned_of(calibrated.manifest)
    assert begun is not None  # noqa: S101 - the options gave it
    made_of = {image["sha256"] for image in calibrated.manifest["training_images"]}
    added = tuple(part for part in begun.added if part.sha256 in made_of)
    manifest = {key: value for key, value in calibrated.manifest.items() if key != "id"}
    manifest[LEARNED] = replace(begun, added=added, worse=worse, is_compared=True).to_json()
    manifest["left_out_images"] = _left_out(calibrated, proposal)
    if workshop.bundle.exists():
        shutil.rmtree(workshop.bundle)
    return write_relimited(calibrated.folder, workshop.bundle, manifest)


def _left_out(calibrated: Bundle, proposal: Proposal) -> list[dict[str, str]]:
    """What people took out, now or when the bundle before was made: nobody is to add it as a good part again."""
    before = {image["sha256"]: image["name"] for image in proposal.parent.manifest["training_images"]}
    images = [
        *proposal.parent.manifest.get("left_out_images", ()),
        *({"name": before[part.sha256], "sha256": part.sha256} for part in proposal.taken_out),
        *calibrated.manifest.get("left_out_images", ()),
    ]
    return list({image["sha256"]: image for image in images}.values())

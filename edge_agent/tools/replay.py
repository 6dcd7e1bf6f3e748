"""Recorded images through the production engine: the same inspection, the same decision, the same verdicts."""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_agent.domain import Capture, ControllerResult, Inspection, Judgement, Outcome, Reason, Verdict
from edge_agent.errors import DataError
from edge_agent.inspection.containers.image_files import printable, readable_images
from edge_agent.runtime.verdict import Decision, Evidence, decide_verdict
from edge_agent.store.journal import JournalReader
from edge_agent.store.shrink import received_bytes
from edge_agent.store.stock import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge_agent.inspection.inspector import Inspector
    from edge_agent.store.journal import CameraRow, PartRow

    _Record = tuple[PartRow, CameraRow]

__all__ = ["ReplayResult", "ReplayedImage", "replay_folder"]

_TOLD = 20

_OF_THE_LINE = frozenset(
    {
        Reason.LATE,
        Reason.OVERRUN,
        Reason.STALE,
        Reason.DUPLICATE,
        Reason.PROGRAM,
        Reason.NOT_READY,
        Reason.NO_IMAGE,
        Reason.NO_RESULT,
        Reason.NO_ANSWER,
        Reason.OUTPUT,
        Reason.JOURNAL,
        Reason.DISK,
        Reason.BYPASS,
        Reason.LOCKED,
    }
)
"""Reasons that no image can tell: such a verdict is taken from the record, the image's score is still compared."""


@dataclass(frozen=True, slots=True)
class ReplayedImage:
    """One image, judged again. ``difference`` is empty where nothing was recorded or all is as recorded.

    ``is_altered``: the file is not the image that its name or its record tells of; it is not judged as that one.
    """

    path: Path
    inspection: Inspection
    verdict: Verdict
    reason: Reason
    recorded: PartRow | None
    difference: str
    is_altered: bool = False


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """A folder, judged again.

    ``of_record`` counts the parts between the first and the last of the folder that never had an image: their verdict
    is what was recorded. ``absent`` counts those whose image is not here, and that nobody can judge again. ``notes``
    say what of the folder was passed over.
    """

    images: tuple[ReplayedImage, ...]
    of_record: int = 0
    absent: int = 0
    notes: tuple[str, ...] = ()

    @property
    def compared(self) -> int:
        """How many images had a recorded verdict to compare with."""
        return sum(image.recorded is not None for image in self.images)

    @property
    def differences(self) -> list[ReplayedImage]:
        """The images whose verdict, reason or score is not what was recorded."""
        return [image for image in self.images if image.difference]

    @property
    def altered(self) -> int:
        """How many files are not the images that they were archived as."""
        return sum(image.is_altered for image in self.images)

    @property
    def unusable(self) -> list[ReplayedImage]:
        """The images that could not be judged at all: broken ones, and those of another shape."""
        reasons = (Reason.IMAGE_BROKEN, Reason.IMAGE_SIZE)
        return [image for image in self.images if image.inspection.reason in reasons and not image.is_altered]

    @property
    def exit_code(self) -> int:
        """1 if any verdict differs from the recorded one, or a file is not the image that was archived."""
        return 1 if self.differences else 0

    def to_json(self) -> dict[str, object]:
        """The object that the command prints with ``--json``."""
        return {
            "schema_version": 1,
            "images": len(self.images),
            "compared": self.compared,
            "different": len(self.differences),
            "altered": self.altered,
            "parts_of_record": self.of_record,
            "parts_without_image_here": self.absent,
            "notes": list(self.notes),
            "verdicts": dict(Counter(str(image.verdict) for image in self.images)),
            "reasons": dict(Counter(str(image.reason) for image in self.images)),
            "results": [
                {
                    "file": str(image.path),
                    "sha256": image.inspection.image_sha256,
                    "part_seq": image.recorded.part_seq if image.recorded else None,
                    "verdict": image.verdict,
                    "reason": image.reason,
                    "outcome": image.inspection.outcome,
                    "score": image.inspection.score if math.isfinite(image.inspection.score) else None,
                    "limit": image.inspection.limit if math.isfinite(image.inspection.limit) else None,
                    "condition": image.inspection.condition,
                    "difference": image.difference or None,
                    "detail": image.inspection.detail or None,
                }
                for image in self.images
            ],
        }

    def summary(self) -> list[str]:
        """The result in a few lines for a person."""
        tally = Counter(f"{image.verdict} {image.reason}" for image in self.images)
        lines = [f"{len(self.images)} images", *self.notes]
        lines += [f"  {count:5d}  {what}" for what, count in sorted(tally.items())]
        if self.altered:
            lines.append(f"NOT THE IMAGES THAT WERE ARCHIVED: {self.altered}, somebody or the disk changed the files")
        lines += [f"  {printable(image.path)}: {image.inspection.detail}" for image in self.unusable]
        if self.compared:
            lines.append(
                f"compared with the journal: {self.compared}, "
                + (f"DIFFERENT: {len(self.differences)}" if self.differences else "all identical, bit for bit")
            )
            if self.of_record:
                lines.append(
                    f"{self.of_record} parts between them never had an image: their verdict is the recorded one"
                )
            if self.absent:
                lines.append(
                    f"{self.absent} parts between them have no image here (a sample of passes is kept, or they were "
                    "pruned): these images can be replayed, the shift cannot"
                )
        else:
            lines.append("no recorded verdicts to compare with")
        return lines + [f"  {image.path.name}: {image.difference}" for image in self.differences[:_TOLD]]


def replay_folder(
    folder: Path,
    inspectors: Mapping[tuple[int, int], Inspector],
    journal: Path | None,
    progress: Callable[[str, int, int], None],
) -> ReplayResult:
    """Judge every image below ``folder``, in name order; compare with ``journal`` where it knows the image.

    Raises DataError for a folder without images, files that cannot be read (all of them are named), or an image of a
    program that no bundle was given for.
    """
    lies = readable_images(folder, hint="name the archive, or any folder of images")
    paths = lies.images
    records = _Records.of(journal)
    judged: dict[str, Inspection] = {}
    found = []
    for done, path in enumerate(paths):
        progress("replay", done, len(paths))
        data = received_bytes(path)
        sha256 = hashlib.sha256(data).hexdigest()
        record, why_altered = records.find(path, sha256)
        if not why_altered:
            judged[sha256] = _inspector(inspectors, record, path).inspect(data)
        found.append((path, sha256, record, why_altered))
    progress("replay", len(paths), len(paths))
    compared = tuple(
        _altered(path, sha256, record, why) if why else _compare(path, judged[sha256], record, judged)
        for path, sha256, record, why in found
    )
    return ReplayResult(compared, *_not_here(journal, compared), notes=lies.notes)


@dataclass(slots=True)
class _Records:
    """What the journal knows of images: by their hash, and by the part and camera that a file's name tells."""

    by_sha256: dict[str, list[_Record]] = field(default_factory=dict)
    by_place: dict[tuple[int, int], _Record] = field(default_factory=dict)

    @classmethod
    def of(cls, journal: Path | None) -> _Records:
        records = cls()
        if journal is not None:
            with JournalReader.open(journal) as reader:
                for row in reader.rows():
                    for camera in row.cameras:
                        records.by_sha256.setdefault(camera.image_sha256, []).append((row, camera))
                        records.by_place[row.part_seq, camera.camera] = row, camera
        return records

    def find(self, path: Path, sha256: str) -> tuple[_Record | None, str]:
        """The record of an image, and why the file is not what was archived; '' where it is, or where nothing tells.

        An archived image is the one of the part that its name tells, any other the last that had these bytes.
        """
        name = NAME.fullmatch(path.name)
        if name is None:
            return next(reversed(self.by_sha256.get(sha256, [])), None), ""
        recorded = self.by_place.get((int(name["seq"]), int(name["camera"])))
        is_named = recorded is not None and recorded[1].image_sha256.startswith(name["sha256"])
        if recorded is not None and is_named:
            was = recorded[1].image_sha256
            why = f"the file is not the image that came: its sha256 is {sha256}, the journal says {was}"
            return recorded, "" if was == sha256 else why
        if not sha256.startswith(name["sha256"]):
            why = f"the file is not the image that was archived: its sha256 is {sha256}, its name says {name['sha256']}"
            return None, why
        return next(reversed(self.by_sha256.get(sha256, [])), None), ""


def _not_here(journal: Path | None, images: Sequence[ReplayedImage]) -> tuple[int, int]:
    """Parts between the first and the last of the images that are not among them: without an image, and with one."""
    seen = {image.recorded.part_seq for image in images if image.recorded}
    if journal is None or not seen:
        return 0, 0
    with JournalReader.open(journal) as reader:
        others = [row for row in reader.rows(min(seen), max(seen)) if row.part_seq not in seen]
    without = sum(not row.cameras for row in others)
    return without, len(others) - without


def _inspector(inspectors: Mapping[tuple[int, int], Inspector], record: _Record | None, path: Path) -> Inspector:
    if record is not None and (program := record[0].program) is not None:
        found = inspectors.get((program, record[1].camera))
        if found is not None:
            return found
    if len(inspectors) == 1:
        return next(iter(inspectors.values()))
    raise DataError(
        f"{path.name}: which of the {len(inspectors)} bundles judges it is not known",
        hint="name one with --bundle, or the journal that recorded the image with --journal",
    )


def _altered(path: Path, sha256: str, record: _Record | None, why: str) -> ReplayedImage:
    """A file that is not what it should be tells nothing of its part."""
    refused = Inspection(Outcome.NG, Reason.IMAGE_BROKEN, math.nan, math.nan, "", sha256, detail=why)
    row = None if record is None else record[0]
    return ReplayedImage(path, refused, Verdict.REJECT, Reason.IMAGE_BROKEN, row, why, is_altered=True)


def _compare(
    path: Path, inspection: Inspection, record: _Record | None, judged: Mapping[str, Inspection]
) -> ReplayedImage:
    if record is None:
        is_ok = inspection.outcome is Outcome.OK
        verdict = Verdict.PASS if is_ok else Verdict.REJECT
        return ReplayedImage(path, inspection, verdict, Reason.OK if is_ok else inspection.reason, None, "")
    row, camera = record
    decision = _decide_again(row, judged)
    differences = []
    if (decision.verdict, decision.reason) != (row.verdict, row.reason):
        differences.append(f"recorded {row.verdict} {row.reason}, now {decision.verdict} {decision.reason}")
    if camera.score is not None and _bits(camera.score) != _bits(inspection.score):
        differences.append(f"recorded score {camera.score!r}, now {inspection.score!r}")
    if camera.condition and camera.condition != inspection.condition:
        differences.append(f"recorded light and focus {camera.condition}, now {inspection.condition}")
    if camera.bundle_id and camera.bundle_id != inspection.bundle_id:
        differences.append(f"recorded with bundle {camera.bundle_id[:12]}, now {inspection.bundle_id[:12]}")
    return ReplayedImage(path, inspection, decision.verdict, decision.reason, row, "; ".join(differences))


def _decide_again(row: PartRow, judged: Mapping[str, Inspection]) -> Decision:
    """The verdict of the part from its images judged now and from what was recorded of the line."""
    inspections = {
        camera.camera: judged[camera.image_sha256] for camera in row.cameras if camera.image_sha256 in judged
    }
    if row.reason in _OF_THE_LINE or len(inspections) < len(row.cameras):
        return Decision(row.verdict, row.reason, row.detail)
    captures = {
        camera.camera: Capture(
            count=row.count,
            camera=camera.camera,
            session=row.session,
            name=camera.image_name,
            path=None,
            sha256=camera.image_sha256,
            received_mono_s=row.first_sign_mono_s,
            broken=camera.reason if camera.outcome is None else None,
            detail=camera.detail,
        )
        for camera in row.cameras
    }
    # A recorded PASS against the controller's NG tells that the line was set to the agent's judgement alone.
    agent_alone = row.verdict is Verdict.PASS and row.controller_judgement is not Judgement.OK
    return decide_verdict(
        Evidence(
            cameras=tuple(camera.camera for camera in row.cameras),
            judgement_policy="agent" if agent_alone else "both",
            captures=captures,
            inspections=inspections,
            result=ControllerResult(row.count, row.program, row.controller_judgement, (), row.first_sign_mono_s),
            not_ready="",
            unproven="",
            deadline_passed=False,
            next_part_is_here=False,
            locked="",
        )
    )


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)

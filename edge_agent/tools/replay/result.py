"""What a replay found, in numbers and in a few lines. The images themselves are walked through, never held together."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_agent.domain import Reason
from edge_agent.inspection.containers.image_files import printable
from edge_agent.tools.replay.records import SeenParts

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge_agent.tools.replay.image import ReplayedImage
    from edge_agent.tools.replay.records import Records

__all__ = ["NAMED", "ReplayResult", "Tally", "image_json"]

_TOLD = 20
NAMED = 1000
"""Images that are named at most, of those that differ and of those that could not be judged; the others are counted."""
_UNUSABLE = (Reason.IMAGE_BROKEN, Reason.IMAGE_SIZE, Reason.INTERNAL)


@dataclass(slots=True)
class Tally:
    """Counts over images that came by, and the first of those that a person wants to see by name."""

    images: int = 0
    compared: int = 0
    different: int = 0
    altered: int = 0
    unusable: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    both: Counter[str] = field(default_factory=Counter)
    bundles: set[str] = field(default_factory=set)
    is_simulated: bool = False
    first_utc: str = ""
    last_utc: str = ""
    first_different: list[ReplayedImage] = field(default_factory=list)
    first_unusable: list[ReplayedImage] = field(default_factory=list)
    _seen: SeenParts = field(default_factory=SeenParts)

    def add(self, image: ReplayedImage) -> None:
        """Count one image."""
        self.images += 1
        self.verdicts[str(image.verdict)] += 1
        self.reasons[str(image.reason)] += 1
        self.both[f"{image.verdict} {image.reason}"] += 1
        if image.difference:
            self.different += 1
            _keep(self.first_different, image)
        if image.is_altered:
            self.altered += 1
        else:
            self.bundles.add(image.inspection.bundle_id)
            if image.inspection.reason in _UNUSABLE:
                self.unusable += 1
                _keep(self.first_unusable, image)
        if image.recorded is not None:
            self.compared += 1
            self.is_simulated |= image.recorded.simulated
            self._seen.add(image.recorded.part_seq)
            at = image.recorded.decided_utc
            self.first_utc = min(self.first_utc or at, at)
            self.last_utc = max(self.last_utc, at)

    def not_here(self, records: Records) -> tuple[int, int]:
        """Parts between the first and the last of the images that are not among them: without an image, and with one.

        Those with an image are counted by what the journal has, so it is never less than none.
        """
        if not self._seen.number:
            return 0, 0
        parts, without = records.between(self._seen.first, self._seen.last)
        return without, max(0, parts - without - self._seen.number)


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Images, judged again.

    ``images`` may be walked through more than once. ``of_record`` counts the parts between the first and the last of
    them that never had an image: their verdict is what was recorded. ``absent`` counts those whose image is not here,
    and that nobody can judge again. ``notes`` say what was passed over.
    """

    images: Collection[ReplayedImage]
    tally: Tally
    of_record: int = 0
    absent: int = 0
    notes: tuple[str, ...] = ()

    @property
    def compared(self) -> int:
        """How many images had a recorded verdict to compare with."""
        return self.tally.compared

    @property
    def differences(self) -> list[ReplayedImage]:
        """The images whose verdict, reason or score is not what was recorded, the first 1000 of them."""
        return self.tally.first_different

    @property
    def altered(self) -> int:
        """How many files are not the images that they were archived as."""
        return self.tally.altered

    @property
    def unusable(self) -> list[ReplayedImage]:
        """The images that could not be judged at all (broken, of another shape, ...), the first 1000 of them."""
        return self.tally.first_unusable

    @property
    def exit_code(self) -> int:
        """1 if any verdict differs from the recorded one, or a file is not the image that was archived."""
        return 1 if self.tally.different else 0

    def facts(self) -> dict[str, object]:
        """The numbers, as the command prints them with ``--json``."""
        return {
            "schema_version": 1,
            "images": self.tally.images,
            "compared": self.compared,
            "different": self.tally.different,
            "altered": self.altered,
            "parts_of_record": self.of_record,
            "parts_without_image_here": self.absent,
            "notes": list(self.notes),
            "verdicts": dict(self.tally.verdicts),
            "reasons": dict(self.tally.reasons),
        }

    def to_json(self) -> dict[str, object]:
        """The numbers and every image: the object that the command prints with ``--json``."""
        return {**self.facts(), "results": [image_json(image) for image in self.images]}

    def summary(self) -> list[str]:
        """The result in a few lines for a person."""
        tally = self.tally
        lines = [f"{tally.images} images", *self.notes]
        lines += [f"  {count:5d}  {what}" for what, count in sorted(tally.both.items())]
        if self.altered:
            lines.append(f"NOT THE IMAGES THAT WERE ARCHIVED: {self.altered}, somebody or the disk changed the files")
        lines += [f"  {printable(image.path)}: {image.inspection.detail}" for image in self.unusable]
        if tally.unusable > len(self.unusable):
            lines.append(f"  and {tally.unusable - len(self.unusable)} more images that could not be judged")
        if self.compared:
            lines.append(
                f"compared with the journal: {self.compared}, "
                + (f"DIFFERENT: {tally.different}" if tally.different else "all identical, bit for bit")
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


def image_json(image: ReplayedImage) -> dict[str, object]:
    """One image, as the command prints it with ``--json``."""
    found = image.inspection
    return {
        "file": str(image.path),
        "sha256": found.image_sha256,
        "part_seq": image.recorded.part_seq if image.recorded else None,
        "verdict": image.verdict,
        "reason": image.reason,
        "outcome": found.outcome,
        "score": found.score if math.isfinite(found.score) else None,
        "limit": found.limit if math.isfinite(found.limit) else None,
        "condition": found.condition,
        "difference": image.difference or None,
        "detail": found.detail or None,
    }


def _keep(first: list[ReplayedImage], image: ReplayedImage) -> None:
    if len(first) < NAMED:
        first.append(image)

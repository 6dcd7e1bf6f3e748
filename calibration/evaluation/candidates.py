"""Images of a labelled data set before it is settled which of them count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from calibration.good_parts.images import GoodImage

__all__ = ["GOOD", "Candidate"]

GOOD = "good"
"""The folder of good images, among the training images and among the test images."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One image, read and proven. ``name`` is its path in the data set, ``sha256`` that of its file there.

    ``image`` is what the methods will read: the file itself, or its picture laid into the frame of the others.
    ``masks`` mark the defects of a test image, in that same frame.
    """

    name: str
    kind: str
    is_training: bool
    image: GoodImage
    sha256: str
    masks: tuple[Path, ...] = ()

    @property
    def is_defective(self) -> bool:
        """Whatever is not in a folder of good ones."""
        return self.kind != GOOD

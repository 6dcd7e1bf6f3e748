"""Masks of a data set: found under the names that data sets use, read in the ways that they are written.

MVTec AD: ``ground_truth/<kind>/<name>_mask.png``. MVTec LOCO AD: a folder ``ground_truth/<kind>/<name>/`` with one
mask for each place. Others: the image's own name, or ``_GT``, ``_gt``, ``_label``, ``_seg`` behind it; any format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.good_parts.mask_files import read_mask_file
from drivers.base import ImageRefused, Reason
from edge_agent.errors import DataError
from edge_agent.inspection.containers.image_files import look_into, named, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_agent.inspection.containers.image_files import FolderOfImages

__all__ = ["MaskFinder", "read_mask"]

_ENDS: Final = ("_mask", "", "_gt", "_groundtruth", "_ground_truth", "_label", "_seg", "-mask", ".mask")


class MaskFinder:
    """The masks below a folder ``ground_truth``, handed out to the images they belong to.

    ``check`` says at the end what was handed out to none: a mask that is not used without a word makes every pixel
    measure untrue.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kinds: dict[str, dict[str, list[Path]]] = {}
        self._given: set[Path] = set()
        self._asked: set[str] = set()
        self._notes: list[str] = []

    def of(self, kind: str, image: Path) -> tuple[Path, ...]:
        """The masks of an image of that kind; several where each marks a place of its own."""
        masks = self._of_kind(kind)
        names = [f"{image.stem}{end}".lower() for end in _ENDS]
        found = next((masks[name] for name in names if name in masks), [])
        self._given |= set(found)
        return tuple(found)

    def check(self) -> list[str]:
        """What is to be said of the masks: those of kinds that are not tested, and what was passed over.

        Raises DataError for masks of tested kinds that belong to no image.
        """
        if not self._folder.is_dir():
            return []
        lost = [
            path
            for masks in self._kinds.values()
            for paths in masks.values()
            for path in paths
            if path not in self._given
        ]
        if lost:
            raise DataError(
                f"{len(lost)} masks belong to no test image: {named([printable(path) for path in sorted(lost)])}",
                hint="a mask bears its image's name: ground_truth/<kind>/000_mask.png, or 000.png, for "
                "test/<kind>/000.png",
            )
        loose = look_into(self._folder, deep=True)
        others = [path for path in _masks_of(loose) if path.relative_to(self._folder).parts[0] not in self._asked]
        if others:
            names = named([printable(path.relative_to(self._folder)) for path in others])
            self._notes.append(f"masks of no kind that is tested: {names}")
        return self._notes

    def _of_kind(self, kind: str) -> dict[str, list[Path]]:
        """Masks by the name, in lower case, of the file or of the folder that holds several."""
        if kind not in self._kinds:
            self._asked.add(kind)
            found: dict[str, list[Path]] = {}
            self._kinds[kind] = found
            below = self._folder / kind
            if below.is_dir():
                lies = look_into(below, deep=True)
                self._notes += [note for note in lies.notes if "left there" in note]
                for path in _masks_of(lies):
                    inside = path.relative_to(below)
                    name = inside.stem if len(inside.parts) == 1 else inside.parts[0]
                    found.setdefault(name.lower(), []).append(path)
        return self._kinds[kind]


def _masks_of(lies: FolderOfImages) -> list[Path]:
    return sorted([*lies.images, *lies.foreign])


def read_mask(paths: Sequence[Path], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """What an image's masks mark together, (H, W): all that is not black; in a JPEG, all that is light.

    Raises ImageRefused for one that cannot be read or is of another size, and if they mark nothing.
    """
    marked = np.zeros(shape, np.bool_)
    for path in paths:
        pixels = read_mask_file(path).marked
        if pixels.shape != shape:
            raise ImageRefused(
                Reason.IMAGE_SIZE,
                f"{path.name} is {pixels.shape[1]} x {pixels.shape[0]} px, its image {shape[1]} x {shape[0]} px",
            )
        marked |= pixels
    if not marked.any():
        raise ImageRefused(Reason.IMAGE_BROKEN, f"{', '.join(path.name for path in paths)} marks nothing")
    return marked

"""Good parts of the line itself, one after the other into a folder: taken, or refused with the reason.

The folder is the state: whoever stops goes on with the same folder later, and whoever deletes a picture gets another
part in its place. What is refused lies in the folder's sub-folder ``odd``, to be looked at; nothing reads it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.good_parts.images import GoodImage, find_same, images_in, inspect_file, read_each
from calibration.registering.gate import unregistered
from calibration.registering.part_mask import part_and_rim, part_mask
from calibration.registering.reference import medoid
from calibration.registering.search import overview
from calibration.registering.tails import dark_ground, filled_with_zeros
from drivers.base import ImageRefused
from edge_agent.errors import DataError
from edge_agent.inspection.containers.image_files import SET_ASIDE, SUFFIXES, read_file
from edge_agent.inspection.registration.likeness import Likeness
from edge_agent.inspection.registration.register import Registration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.domain import Alignment
    from edge_agent.inspection.registration.register import RegistrationSettings
    from edge_agent.inspection.registration.tail import DarkGround

__all__ = ["ODD", "Collector", "Refused"]

ODD = SET_ASIDE
_REFERENCE_AFTER = 5
"""So many parts say which of them is most like the others; what does not register to that one is odd."""
_ODD_KEPT_MAX = 200


@dataclass(frozen=True, slots=True)
class Refused:
    """An image that was not taken. ``path`` is where it lies now, None where it was not kept."""

    label: str
    why: str
    path: Path | None


@dataclass(slots=True)
class Collector:
    """The good parts collected so far. ``open`` reads what lies in the folder; ``take`` is called with new images."""

    folder: Path
    settings: RegistrationSettings
    images: list[GoodImage] = field(default_factory=list)
    qualities: dict[str, float] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    _registration: Registration | None = None
    _alike: Likeness | None = None
    _most: DarkGround | None = None

    @classmethod
    def open(cls, folder: Path, settings: RegistrationSettings) -> Collector:
        """Make the folder, or go on with what is in it; ``notes`` say what of it is passed over.

        Raises CalibrationRefused with the name of every file that is no image, OSError.
        """
        folder.mkdir(parents=True, exist_ok=True)
        lies = images_in(folder)
        collector = cls(folder, settings, notes=lies.notes)
        for image in read_each(lies.images, lambda path: inspect_file(path, read_file(path))):
            collector._consider(image)
        return collector

    def __len__(self) -> int:
        return len(self.images)

    def take(self, data: bytes, name: str) -> str:
        """Take an image, durably, and return ""; or refuse it and return why. Raises OSError if the disk refuses."""
        before = len(self.refused)
        try:
            image = inspect_file(Path(name), data)
        except ImageRefused as err:
            return self._refuse(name, f"broken: {err.detail}", data)
        path = self._stored(data, name)
        self._consider(replace(image, path=path))
        return next((r.why for r in self.refused[before:] if r.label == path.name), "")

    def turn_away(self, name: str, why: str) -> str:
        """Note an image that was refused before it got here."""
        self.refused.append(Refused(name, why, None))
        return why

    def _consider(self, image: GoodImage) -> None:
        if self.images and image.shape != self.images[0].shape:
            ours, theirs = self.images[0].shape, image.shape
            self._put_aside(image, f"another shape: {theirs[1]} x {theirs[0]}, the others are {ours[1]} x {ours[0]}")
            return
        same = find_same(self.images, image)
        if same is not None:
            self._put_aside(image, f"the same picture as {same.path.name}")
            return
        self.images.append(image)
        if self._registration is not None:
            self._register([image])
        elif len(self.images) == _REFERENCE_AFTER:
            pixels = self.images[medoid(self.images)].pixels()
            self._registration = self._registration_of(pixels)
            template = overview(pixels * np.float32(1.0 / 255.0))
            self._alike = Likeness(template, part_and_rim(part_mask(template)))
            self._register(self.images)

    def _registration_of(self, pixels: NDArray[np.uint8]) -> Registration:
        """By this reference; off where it shows nothing to register by: calibration finds that out as well."""
        try:
            return Registration(pixels, self.settings)
        except DataError:
            return Registration(pixels, replace(self.settings, off=True))

    def _register(self, images: list[GoodImage]) -> None:
        """Lay them on the reference and put aside what does not lie there as the others do."""
        assert self._registration is not None  # noqa: S101 - made above
        alignments = [self._registration.register(image.pixels()) for image in images]
        is_on = not self._registration.settings.off
        self.qualities |= {image.path.name: a.quality for image, a in zip(images, alignments, strict=True) if is_on}
        self._put_aside_cut(images, alignments)
        if not is_on:
            return
        odd = unregistered(self.qualities, 1.0, self._likeness)
        for image in [image for image in self.images if image.path.name in odd]:
            self.images.remove(image)
            quality = self.qualities.pop(image.path.name)
            self._put_aside(
                image, f"does not register like the others (quality {quality:.2f}): another part, or turned?"
            )

    def _likeness(self, name: str) -> float:
        """How like the reference an image of that name is."""
        assert self._registration is not None  # noqa: S101 - made before anything is registered
        assert self._alike is not None  # noqa: S101 - made with it
        pixels = next(image for image in self.images if image.path.name == name).pixels()
        return self._alike(overview(self._registration.warp(pixels, self._registration.register(pixels))))

    def _put_aside_cut(self, images: list[GoodImage], alignments: list[Alignment]) -> None:
        """Put aside what ends in zeros where the first good parts show something."""
        assert self._registration is not None  # noqa: S101 - made before anything is registered
        if self._most is None:
            _, self._most = dark_ground(images, self._registration, alignments)
        cut = filled_with_zeros(images, self._registration, alignments, self._most)
        for image in [image for image in images if image.path.name in cut]:
            self.images = [other for other in self.images if other is not image]
            self.qualities.pop(image.path.name, None)
            self._put_aside(image, f"broken: {cut[image.path.name]}")

    def _put_aside(self, image: GoodImage, why: str) -> None:
        place = self.folder / ODD / image.path.name
        place.parent.mkdir(exist_ok=True)
        image.path.replace(place)
        self.refused.append(Refused(image.path.name, why, place))

    def _refuse(self, name: str, why: str, data: bytes) -> str:
        place = self.folder / ODD / self._name(data, name)
        if len(self.refused) < _ODD_KEPT_MAX:
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(data)
            self.refused.append(Refused(place.name, why, place))
        else:
            self.refused.append(Refused(place.name, why, None))
        return why

    def _stored(self, data: bytes, name: str) -> Path:
        place = self.folder / self._name(data, name)
        descriptor, part = tempfile.mkstemp(prefix=".part-", dir=self.folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), 0o644)
                file.flush()
                os.fsync(file.fileno())
            Path(part).replace(place)
        finally:
            Path(part).unlink(missing_ok=True)
        return place

    def _name(self, data: bytes, name: str) -> str:
        """A number of its own, and nothing of a name that came over a wire but a known suffix."""
        taken = [p.name for p in self.folder.rglob("good_*")]
        number = max((int(n[5:9]) for n in taken if n[5:9].isdigit()), default=0) + 1
        suffix = Path(name).suffix.lower()
        known = suffix if suffix in SUFFIXES else ".bmp"
        return f"good_{number:04d}_{hashlib.sha256(data).hexdigest()[:8]}{known}"

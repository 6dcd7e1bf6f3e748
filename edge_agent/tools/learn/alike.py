"""Whether two images show the same picture: by the rule that calibration has for copies among good parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.good_parts.images import examine_image, find_same

if TYPE_CHECKING:
    from pathlib import Path

    from calibration.good_parts.images import GoodImage

__all__ = ["Alike"]


class Alike:
    """Pictures that were seen so far, each with what it is: its kind, and the part. They lie in ``spool`` meanwhile."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._seen: list[GoodImage] = []
        self._what: dict[Path, tuple[str, int]] = {}

    def same_as(self, data: bytes) -> tuple[str, int] | None:
        """What shows the same picture as this image file, whose shape all have; None: nothing does."""
        image = self._examined("asked", data)
        same = find_same(self._seen, image)
        return None if same is None else self._what[same.path]

    def add(self, name: str, data: bytes, what: tuple[str, int]) -> None:
        """Remember a picture. Raises CalibrationRefused for a file that is no image, OSError."""
        image = self._examined(name, data)
        self._seen.append(image)
        self._what[image.path] = what

    def _examined(self, name: str, data: bytes) -> GoodImage:
        path = self._spool / name
        path.write_bytes(data)
        return examine_image(path, data)

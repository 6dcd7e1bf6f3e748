"""What the controller says in the names of its image files and folders. Text only: no name ever becomes a path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.base import Judgement
from drivers.timing import controller_time

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["PATTERNS", "ImageName", "NameRule", "Place", "parse_image_path", "place_of", "printable", "program_number"]

_EXTENSION = r"\.(?P<extension>(?i:bmp|jpg|jpeg|png))"
PATTERNS = {
    # PROTOCOL.md, "Image names": yymmdd_hhmmss_<count, 10 digits>_CAM<1-4>[_<image type>]_<OK|NG>.<ext>
    "cv-x": r"(?P<taken>[0-9]{6}_[0-9]{6})_(?P<count>[0-9]{10})_CAM(?P<camera>[1-4])"
    r"(?:_(?P<kind>[A-Z0-9]{1,32}))?_(?P<judgement>OK|NG)" + _EXTENSION,
    # XG-X and VisionDatabase: <date>_<time>_<count>[_<number>]_&Cam<1-4>Img[.<image type>].<ext>
    "xg-x": r"(?P<taken>(?:20)?[0-9]{6}_[0-9]{6})_(?P<count>[0-9]{10})(?:_[0-9]{1,10})?_&Cam(?P<camera>[1-4])Img"
    r"(?:\.(?P<kind>[A-Za-z0-9]{1,32}))?" + _EXTENSION,
}
"""Patterns by name; any other text is a pattern of its own."""
_SETTINGS_FOLDER = re.compile(r"SD([12])_([0-9]{3})")
_SESSION_FOLDER = re.compile(r"[0-9]{6}_[0-9]{6}")
_CAMERA_FOLDER = re.compile(r"CAM([1-4])")
_NAME_MAX_CHARS = 255
_TAIL_CHARS = 8
_COUNT_DIGITS = 18
"""What the journal can hold; the controller's own has 10."""
_CLOCK = re.compile(r"(?:20)?([0-9]{6}_[0-9]{6})")
# Above the highest program number, 999.
_SECOND_CARD = 1000
_CV_X = re.compile(PATTERNS["cv-x"])


@dataclass(frozen=True, slots=True)
class Place:
    """What the folders tell: the program, the session folder and the camera, as far as they are there."""

    program: int | None
    session: str
    camera: int | None


@dataclass(frozen=True, slots=True)
class ImageName:
    """What an image's name and folders tell.

    ``taken`` is by the controller's own clock: compared with that clock alone, never with ours; None if not told.
    ``count`` restarts with the program, so (session, count, camera) is the identity. ``kind`` is the image type of
    multi-image captures (NORMAL, SHAPE, ...), or ''.
    """

    taken: datetime | None
    count: int
    camera: int
    kind: str
    judgement: Judgement | None
    extension: str
    session: str
    program: int | None


def program_number(card: int, number: int) -> int:
    """The agent's number of program ``number`` (0 to 999) on SD card ``card``.

    Card 1 keeps its number. Card 2 gets 1000 more: no reference bundle has such a number, so a program of the
    second card can never be judged by the bundle of its namesake on the first.
    """
    return number if card == 1 else number + _SECOND_CARD


def place_of(virtual_path: str) -> Place:
    """Read ``.../SD1_022/<session>/CAM1/<file>``; the folder nearest to the file wins."""
    program, session, camera = None, "", None
    # Read from the top: a later folder of the same kind overwrites an earlier one, and is nearer to the file.
    for folder in virtual_path.split("/")[:-1]:
        if match := _SETTINGS_FOLDER.fullmatch(folder):
            program = program_number(int(match[1]), int(match[2]))
        elif _SESSION_FOLDER.fullmatch(folder):
            session = folder
        elif match := _CAMERA_FOLDER.fullmatch(folder):
            camera = int(match[1])
    return Place(program, session, camera)


def parse_image_path(virtual_path: str, pattern: re.Pattern[str] | None = None) -> ImageName | None:
    """Read a name as the controller gives it, with or without folders (``/`` between them); None if it is another.

    A file whose name and folder disagree about the camera is another: nothing says which of the two lies.
    """
    name = virtual_path.rsplit("/", 1)[-1]
    # Cut off before the pattern sees it: a person's own pattern may take very long on a long name.
    match = (pattern or _CV_X).fullmatch(name) if len(name) <= _NAME_MAX_CHARS else None
    if match is None:
        return None
    place, found = place_of(virtual_path), match.groupdict()
    # With one camera, names and folders need not tell it.
    camera = int(found.get("camera") or place.camera or 1)
    kind = (found.get("kind") or "").upper()
    # A kind "OK" is a judgement that the pattern took for one, in a name of another rule.
    if place.camera not in (None, camera) or kind in ("OK", "NG") or len(found["count"]) > _COUNT_DIGITS:
        return None
    judgement = found.get("judgement")
    return ImageName(
        taken=controller_time(match[1]) if (match := _CLOCK.fullmatch(found.get("taken") or "")) else None,
        count=int(found["count"]),
        camera=camera,
        kind=kind,
        judgement=None if judgement is None else Judgement(judgement),
        extension=(found.get("extension") or name.rpartition(".")[2]).lower(),
        session=place.session,
        program=place.program,
    )


@dataclass(frozen=True, slots=True)
class NameRule:
    """How a controller's names are read, and which image is judged where one capture gives several.

    ``kind`` None: every image. Else an image that names another type is beside the judged one: it is no part.
    """

    pattern: re.Pattern[str]
    kind: str | None = None
    default_camera: int = 1

    @classmethod
    def of(cls, pattern: str = "cv-x", kind: str | None = None) -> NameRule:
        """The rule of a name in ``PATTERNS``, or of a regular expression with named groups.

        Groups: count, and if they are there camera (1 to 4), judgement (OK or NG), kind, taken, extension.
        Raises ValueError.
        """
        try:
            compiled = re.compile(PATTERNS.get(pattern, pattern))
        except re.error as err:
            raise ValueError(f"{pattern!r} is no regular expression: {err}") from err
        if "count" not in compiled.groupindex:
            raise ValueError(f"{pattern!r} has no group (?P<count>...): images and results are paired by it")
        return cls(compiled, kind)

    def read(self, virtual_path: str) -> ImageName | None:
        """What name and folders tell; None for a name that does not fit. Total, whatever the groups hold."""
        try:
            return parse_image_path(virtual_path, self.pattern)
        except ValueError:
            return None

    def is_beside(self, virtual_path: str) -> bool:
        """Whether this is another image of a capture than the one that is judged."""
        name = None if self.kind is None else self.read(virtual_path)
        return name is not None and name.kind != self.kind


def printable(text: str, limit: int = _NAME_MAX_CHARS) -> str:
    """A peer's text made harmless for logs, journal and report: everything unprintable escaped, the middle cut out."""
    # A backslash is escaped too: otherwise nobody could tell an escape of ours from the peer's own text.
    if len(text) <= limit and text.isprintable() and "\\" not in text:
        return text
    safe = "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode("ascii") for char in text
    )
    return safe if len(safe) <= limit else f"{safe[: limit - 3 - _TAIL_CHARS]}...{safe[-_TAIL_CHARS:]}"
